"""What the papers say of residual networks, as numbers measured on small ones that learned the digits."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from pupils import Pupil, one_stage, stacked, trained_pupil
from torch.nn.functional import cross_entropy

from residua import analyse
from residua.analyse.blocks import split_into_layers
from residua.analyse.copies import working_copy
from residua.analyse.paths import PathGradients
from residua.errors import ConfigError
from residua.nn.network import build
from residua.spec import change, zoo
from residua.spec.orders import preactivation


def test_removing_a_middle_block_costs_a_residual_net_little_and_destroys_a_plain_one(
    residual: Pupil, without: Pupil
) -> None:
    spared = analyse.lesion_study(residual.network, residual.images, residual.labels)
    harmed = analyse.lesion_study(without.network, without.images, without.labels)
    assert spared.whole < 8
    assert harmed.whole < 25
    middle = [i for i in range(12) if i % 4]  # the first block of a stage changes what all later ones see
    assert max(spared.removed[i] for i in middle) < 25
    assert np.median([spared.removed[i] for i in middle]) < spared.whole + 5
    assert np.nanmin(harmed.removed) > 50  # guessing is wrong in 90 of 100
    assert np.isnan(harmed.removed).tolist() == [i in (4, 8) for i in range(12)]  # nothing carries x around
    assert np.nanmedian(spared.swapped) < spared.whole + 5
    assert np.nanmin(harmed.swapped) > 50
    assert math.isnan(spared.swapped[-1])


@pytest.mark.battery
def test_vgg_loses_what_it_learned_with_any_layer() -> None:
    stack = trained_pupil(stacked())
    lesions = analyse.lesion_study(stack.network, stack.images, stack.labels)
    with working_copy(stack.network) as layered:
        split_into_layers(layered)
        assert torch.equal(layered(stack.images), stack.network(stack.images))
        assert [block.word for block in layered.arch.stages[1]] == ["CNA", "CNA", "CNA", "P"]
    assert lesions.whole < 10
    assert len(lesions.names) == 12
    gone = [i for i in range(12) if not np.isnan(lesions.removed[i])]
    assert gone == [0, 1, 2, 5, 6, 9, 10]  # the others change width or size
    assert min(lesions.removed[i] for i in gone) > 40


def test_the_more_blocks_are_gone_the_worse_it_gets(residual: Pupil) -> None:
    lesions = analyse.lesion_study(residual.network, residual.images, residual.labels)
    counts, errors = zip(*lesions.dropped, strict=True)
    assert (counts[0], counts[-1]) == (1, 12)
    assert errors[-1] > 75
    assert errors[0] < errors[-1] / 2
    assert all(-1 <= tau <= 1 for tau, _ in lesions.shuffled)
    assert lesions.n == 364


def test_the_sum_of_branches_is_the_later_map_where_nothing_stands_on_the_path(residual: Pupil) -> None:
    spans = analyse.identity_errors(residual.network, residual.images[:16], residual.labels[:16])
    assert [span.name for span in spans] == [
        "stages.0.0 to stages.0.3",
        "stages.1.1 to stages.1.3",
        "stages.2.1 to stages.2.3",
    ]
    for span in spans:
        assert len(span.errors) == len(span.words)
        assert max(span.errors) < 1e-12
        assert span.gradient_error < 1e-12


def test_an_activation_on_the_path_breaks_the_sum_forward_and_backward(activated: Pupil) -> None:
    for span in analyse.identity_errors(activated.network, activated.images[:16], activated.labels[:16]):
        assert min(span.errors) > 0.05
        assert span.gradient_error > 0.05


@pytest.mark.parametrize(
    ("order", "holds"), [("a", False), ("b", False), ("c", True), ("d", True), ("e", True)]
)
def test_the_identity_holds_in_the_orders_that_leave_the_path_alone(order: str, holds: bool) -> None:
    torch.manual_seed(1)
    network = build(change.with_channels(change.with_order(zoo.arch("cifar_resnet20"), order), 1)).eval()
    spans = analyse.identity_errors(network, torch.randn(4, 1, 16, 16), torch.arange(4))
    assert len(spans) == 3
    assert all((max(span.errors) < 1e-12) == holds for span in spans)
    assert all((span.gradient_error < 1e-12) == holds for span in spans)


def test_all_paths_together_are_the_gradient() -> None:
    torch.manual_seed(0)
    network = build(one_stage(preactivation, blocks=3, width=4)).eval().double()
    images, labels = torch.randn(5, 1, 8, 8, dtype=torch.float64), torch.arange(5)
    chosen = [some for k in range(4) for some in combinations(range(3), k)]
    assert len(chosen) == 2**3
    passage = PathGradients(network, images, labels)
    total = torch.stack([passage.gradient(some) for some in chosen]).sum(0)
    first = network.stem(images).detach().requires_grad_()
    last = network.tail(network.stages[0](first))
    (whole,) = torch.autograd.grad(cross_entropy(network.forward_head(last), labels), first)
    torch.testing.assert_close(total, whole, atol=1e-12, rtol=1e-10)


def test_there_are_n_over_k_paths_and_those_that_carry_are_short(residual: Pupil) -> None:
    paths = analyse.path_lengths(residual.network, residual.images[:16], residual.labels[:16])
    assert paths.counts[:4] == (1, 12, 66, 220)
    assert sum(paths.counts) == 2**12
    assert sum(paths.shares) == pytest.approx(1)
    assert paths.typical == 6
    assert paths.effective < paths.typical
    weights = np.array(paths.counts) * np.array(paths.magnitudes)
    np.testing.assert_allclose(paths.shares, weights / weights.sum(), rtol=1e-9)


def test_gradients_arrive_in_residual_and_in_plain_networks(residual: Pupil, without: Pupil) -> None:
    for pupil in (residual, without):
        norms = analyse.gradient_norms(pupil.network, pupil.images[:64], pupil.labels[:64])
        assert len(norms.signals) == 12
        assert len(norms.weights) == len(norms.layers) == 25
        assert all(1e-6 < norm < 1e3 for norm in norms.signals)


def test_activations_on_the_main_path_are_those_of_the_papers() -> None:
    assert analyse.main_path(zoo.arch("resnet50")).stages == (3, 4, 6, 3)
    assert analyse.main_path(zoo.arch("resstage50")).stages == (1, 1, 1, 1)  # whatever the depth
    assert analyse.main_path(zoo.arch("resstage152")).total == 4
    orders = dict(analyse.main_path(zoo.arch("cifar_resnet110")).orders)
    assert (orders["a"], orders["c"]) == (54, 0)
    assert analyse.main_path(zoo.arch("cifar_plain20")).orders == ()


def test_plain_networks_have_no_shortcut_to_study(without: Pupil) -> None:
    images, labels = without.images[:4], without.labels[:4]
    with pytest.raises(ConfigError, match="no identity shortcut"):
        analyse.identity_errors(without.network, images, labels)
    with pytest.raises(ConfigError, match="without shortcut"):
        analyse.path_lengths(without.network, images, labels)
