"""Logits for weights and an image made by formula, against the authors' code run elsewhere."""

import json
import math
import zlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from residua.nn.network import build
from residua.spec.zoo import arch
from residua.weights import save_as

GOLDEN = json.loads(Path(__file__).with_name("fingerprints.json").read_text())
"""`recipe` is what `fill` follows."""


def fill(key: str, value: Tensor) -> None:
    """Writes what the recipe gives for `key` into `value`."""
    steps = torch.arange(value.numel(), dtype=torch.float64)
    wave = torch.sin(steps * 0.37 + (zlib.crc32(key.encode()) % 1000) * 0.01).reshape(value.shape)
    layer, leaf = key.rsplit(".", 1)
    linear = layer == "fc"
    if leaf == "weight" and value.dim() == 4:
        wave *= math.sqrt(2 / math.prod(value.shape[1:]))
    elif leaf == "weight":
        wave = wave * math.sqrt(1 / value.shape[1]) if linear else 1 + 0.1 * wave
    elif leaf == "running_var":
        wave = 1 + 0.1 * wave.abs()
    else:
        wave *= 0.01 if linear else 0.1
    value.copy_(wave)


@pytest.mark.parametrize("name", GOLDEN["logits"])
def test_the_logits_of_the_fingerprint_are_those_of_the_authors(name: str) -> None:
    network = build(arch(name)).double().eval()
    for key, value in save_as(network, "iduta").items():
        if not key.endswith("num_batches_tracked"):
            fill(key, value)
    image = torch.sin(torch.arange(3 * 64 * 64, dtype=torch.float64) * 0.01).reshape(1, 3, 64, 64)
    with torch.no_grad():
        logits = network(image)[0]
    golden = GOLDEN["logits"][name]
    assert logits[:5].tolist() == pytest.approx(golden["logits_first5"], rel=1e-9, abs=1e-9)
    assert logits.sum().item() == pytest.approx(golden["sum"], rel=1e-9, abs=1e-9)
    assert logits.norm().item() == pytest.approx(golden["l2"], rel=1e-9)
