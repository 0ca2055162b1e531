"""Pre-activation networks of others: their weights, their logits, and the openings that differ from ours."""

import re

import preactivation
import pytest
import timm
import torch
from test_parity import logits, shake
from torch import nn

from residua.errors import CheckpointError
from residua.jobs.models import create_model
from residua.nn.network import Network, build
from residua.spec.change import deepen
from residua.spec.zoo import arch
from residua.weights import load, save_as


def carries(theirs: nn.Module, ours: Network, source: str, size: int) -> float:
    """The largest difference of logits once `theirs` were read by `ours`, whose names read back the same."""
    shake(theirs)
    state = theirs.state_dict()
    expected = logits(theirs, size)
    assert expected.std() > 1e-3
    for names in (source, "auto"):
        assert f"from {source} names" in load(ours, state, source=names)
    back = save_as(ours, source)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)
    return float((logits(ours, size) - expected).abs().max())


@pytest.mark.parametrize("depth", [18, 50, 101])
def test_timms_resnetv2_is_read_with_its_opening(depth: int) -> None:
    theirs = timm.create_model(f"resnetv2_{depth}")
    ours = create_model(f"preresnet{depth}", opening="timm")
    assert carries(theirs, ours, "timm", 64) < 1e-5


@pytest.mark.parametrize("source", ["timm", "auto"])
def test_our_opening_refuses_timms_weights_and_says_what_to_do(source: str) -> None:
    state = timm.create_model("resnetv2_18").state_dict()
    with pytest.raises(CheckpointError, match=r'no name for stem\.norm1.*give opening="timm"'):
        load(build(arch("preresnet18")), state, source=source)


def test_a_head_of_other_classes_is_re_made_through_timms_1x1_convolution() -> None:
    state = timm.create_model("resnetv2_18", num_classes=7).state_dict()
    assert state["head.fc.weight"].shape == (7, 512, 1, 1)
    ours = create_model("preresnet18", opening="timm")
    assert re.search("timm .*head .*7 -> 1000$", load(ours, state))


@pytest.mark.parametrize(
    ("name", "bottleneck"), [("cifar_preresnet110", False), ("cifar_preresnet164", True)]
)
def test_bearpaws_preresnet_is_read_by_the_words_that_compute_it(name: str, bottleneck: bool) -> None:
    words = preactivation.bearpaw(arch(name))
    words = preactivation.bottlenecks_stride_on_3x3(words) if bottleneck else words
    theirs = preactivation.Bearpaw(len(words.stages[0]), bottleneck=bottleneck)
    assert carries(theirs, build(words), "bearpaw", 32) < 1e-5


def test_our_order_refuses_bearpaws_weights_and_says_why() -> None:
    state = preactivation.Bearpaw(2, bottleneck=True).state_dict()
    with pytest.raises(CheckpointError, match=r"stem\.norm1.*first norm"):
        load(build(deepen(arch("cifar_preresnet164"), (2, 2, 2))), state)
