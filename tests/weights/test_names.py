"""Every name and every source: all names there and back, or one sentence that says why not."""

import pytest
import torch
import torchvision

from few import one_of_each_family
from residua.errors import CheckpointError
from residua.jobs.models import create_model
from residua.nn.network import build
from residua.spec.zoo import NAMES, arch
from residua.weights import load, save_as
from residua.weights.dialect import translate
from residua.weights.tables import DIALECTS

TORCHVISION = {
    "plain",
    "resnet",
    "resnext",
    "wide_resnet",
    "resgroup",
    "cifar_plain",
    "cifar_resnet",
    "alexnet",
    "vgg",
    "googlenet",
    "resnet3d",
    "resgroup3d",
}
"""Families whose names torchvision has, or would have."""
OWN = ("alexnet_2012", "googlenet_2014")
"""Of these families, the networks that torchvision does not have."""
SPELLED = [name for name in NAMES if arch(name).depth() < 1000]
"""Deeper ones have the words of these, and would take a minute."""


@pytest.mark.parametrize("name", one_of_each_family(SPELLED))
def test_names_go_there_and_back_or_are_refused_with_advice(name: str) -> None:
    with torch.device("meta"):
        network = build(arch(name))
    own = network.state_dict()
    for source, make in DIALECTS.items():
        table = make(network)
        spoken = len(table.known(own)) == len(own)
        if source in ("residua", "torchvision"):
            assert spoken == (source == "residua" or (arch(name).family in TORCHVISION and name not in OWN))
        if spoken:
            assert list(translate(save_as(network, source), table, own, to="ours")) == list(own)
        else:
            with pytest.raises(CheckpointError, match=rf"{source} .*no name for \S+"):
                save_as(network, source)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "googlenet"])
def test_the_names_of_a_baseline_are_torchvisions(name: str) -> None:
    words = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, **words).state_dict()
        ours = save_as(build(arch(name)), "torchvision")
    assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "googlenet"])
@pytest.mark.parametrize("source", ["timm", "cifar"])
def test_a_baseline_is_refused_by_sources_that_name_it_otherwise(name: str, source: str) -> None:
    with torch.device("meta"):
        network = build(arch(name))
    with pytest.raises(CheckpointError, match="no name for"):
        save_as(network, source)


def test_bands_are_read_from_colour() -> None:
    state = torchvision.models.resnet18().state_dict()
    report = load(create_model("resnet18", in_chans=5), state)
    for words in ("122 tensors from torchvision", "convolution adapted: 3 -> 5"):
        assert words in report


def test_other_openings_say_that_timm_has_its_own() -> None:
    for opening in ("fair", "mxnet"):
        with pytest.raises(CheckpointError, match='give opening="timm"'):
            save_as(create_model("preresnet18", opening=opening), "timm")
    assert "head.fc.weight" in save_as(create_model("preresnet18", opening="timm"), "timm")
