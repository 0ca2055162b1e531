"""The engines of torch compute what the network computes."""

import numpy as np
import pytest
import torch

from released import shaken
from residua.nn.network import Network, build
from residua.predict.engines.candidates import CANDIDATES, Workload
from residua.predict.engines.inductor import InductorEngine
from residua.predict.predictor import compute_logits
from residua.spec.recipe import Plan
from small import PIXELS
from small import arch as small_arch

PLAN = Plan("cpu", "channels_last", "float32", 1)


def network() -> Network:
    torch.manual_seed(0)
    return build(small_arch()).eval()


def views(count, size=PIXELS.size):
    return np.random.default_rng(count).integers(0, 256, (count, 3, size, size), np.uint8)


def expected(of, pixels):
    return compute_logits(of, torch.from_numpy(pixels), PLAN).numpy()


@pytest.mark.parametrize("name", ["torch", "torch-contiguous", "torch-folded"])
def test_every_eager_engine_computes_the_logits_of_the_network(name):
    of = shaken("cifar_resnet20")
    row = next(row for row in CANDIDATES if row.name == name)
    engine = row.make(Workload(of, "cpu", 1, 4))
    pixels = views(3, 32)
    np.testing.assert_allclose(engine.logits(pixels), expected(of, pixels), rtol=1e-4, atol=1e-4)
    assert engine.name == name


def test_bfloat16_is_no_candidate_where_the_processor_emulates_it(monkeypatch):
    work = Workload(network(), "cpu", 1, 4)
    for has_units in (False, None, True):
        monkeypatch.setattr(
            "residua.predict.engines.candidates.has_bfloat16_units", lambda has=has_units: has
        )
        names = {row.name for row in CANDIDATES if row.applies(work)}
        assert ("torch-bfloat16" in names) == bool(has_units)


def test_a_compiled_engine_cuts_batches_and_computes_the_rest_eagerly():
    of = network()
    with torch.compiler.set_stance("force_eager"):
        engine = InductorEngine(of, PLAN, batch_size=3, options={}, name="inductor")
        for count in (1, 3, 7):
            pixels = views(count)
            np.testing.assert_allclose(engine.logits(pixels), expected(of, pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.battery
@pytest.mark.parametrize("name", ["inductor", "inductor-frozen"])
def test_compiled_code_computes_the_logits_of_the_network(name):
    of = network()
    row = next(row for row in CANDIDATES if row.name == name)
    engine = row.make(Workload(of, "cpu", 1, 2))
    pixels = views(5)
    np.testing.assert_allclose(engine.logits(pixels), expected(of, pixels), rtol=1e-4, atol=1e-4)
