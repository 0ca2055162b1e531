"""Files that fit by name, or nearly, and are of another network: refused, or said in one line."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
import torchvision

from residua.errors import CheckpointError
from residua.nn.network import build
from residua.spec.record import to_plain
from residua.spec.zoo import arch
from residua.weights import load, save_as
from residua.weights.store import publish

INSIGHTFACE = {
    "conv1.weight": (64, 3, 3, 3),
    "bn1.weight": (64,),
    "prelu.weight": (64,),
    "layer1.0.bn1.weight": (64,),
    "layer1.0.conv1.weight": (64, 64, 3, 3),
    "layer1.0.bn2.weight": (64,),
    "layer1.0.prelu.weight": (64,),
    "layer1.0.bn3.weight": (64,),
    "layer1.0.downsample.0.weight": (64, 64, 1, 1),
    "bn2.weight": (512,),
    "fc.weight": (512, 25088),
    "features.weight": (512,),
}
"""Names and shapes in insightface's arcface_torch, backbones/iresnet.py."""
INVERTIBLE = {
    "prior_mu": (10, 3072),
    "stack.0.bottleneck_block.0.weight_orig": (32, 3, 3, 3),
    "stack.0.bottleneck_block.0.weight_u": (1, 32, 32, 32),
    "stack.0.actnorm.bias": (3,),
}
"""Names in github.com/jhjacobsen/invertible-resnet, models/conv_iResNet.py."""


def empty(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}


def carried(name: str, folder: Path) -> Path:
    """A file of ours that says it is of the network called `name`."""
    network, path = build(arch(name)), folder / f"{name}.safetensors"
    publish(path, network.state_dict(), {"arch": to_plain(network.arch), "classes": []})
    return path


@pytest.mark.parametrize("source", ["auto", "iduta"])
def test_insightfaces_network_of_the_same_name_is_named(source: str) -> None:
    with pytest.raises(CheckpointError, match="insightface's IResNet for faces, another network"):
        load(build(arch("iresnet50")), empty(INSIGHTFACE), source=source)


@pytest.mark.parametrize("wrapped", ["", "model."])
def test_the_invertible_network_of_the_same_name_is_named(wrapped: str) -> None:
    state = {wrapped + name: value for name, value in empty(INVERTIBLE).items()}
    with pytest.raises(CheckpointError, match=r"the invertible i-ResNet .* its authors' code"):
        load(build(arch("iresnet18")), state)


def test_a_port_from_caffe_shows_its_biases_and_is_told_where_to_go() -> None:
    state = {**save_as(build(arch("resnet50")), "torchvision"), "conv1.bias": torch.zeros(64)}
    with pytest.raises(CheckpointError, match=r"conv1\.bias .* Caffe .* stride on the first 1x1.*`_v1`"):
        load(build(arch("resnet50")), state)


def two(*names: str) -> Iterable[tuple[str, str]]:
    return [names, names[::-1]]


@pytest.mark.parametrize(
    ("name", "other"), [*two("resnet50", "resnet50_v1"), *two("iresnet50", "iresnet50_released")]
)
def test_a_file_that_cannot_tell_is_loaded_and_the_other_network_named(name: str, other: str) -> None:
    report = load(build(arch(name)), save_as(build(arch(other)), "iduta"))
    assert f"loaded as {name}, though nothing in the file tells it from {other} (" in report
    assert "\n" not in report


def test_the_line_says_where_the_strides_are() -> None:
    report = load(build(arch("resnet50")), torchvision.models.resnet50().state_dict())
    assert "(CNA CNA CN)A around CN with strides 2 1 1 there, " in report
    assert "(CNA CNA CN)A around CN with strides 1 2 1 here" in report


def test_a_network_without_a_twin_has_nothing_to_add() -> None:
    report = load(build(arch("resnet18")), torchvision.models.resnet18().state_dict())
    assert report == "122 tensors from torchvision names"


@pytest.mark.parametrize(
    ("name", "other"), [*two("resnet50", "resnet50_v1"), ("resstage18", "resstage18_released")]
)
def test_a_file_of_ours_says_what_it_is_of_and_is_refused(name: str, other: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"the weights are of {other}, not {name}: .* there, .* here"):
        load(build(arch(name)), carried(other, tmp_path))
    assert load(build(arch(other)), carried(other, tmp_path)).endswith("from residua names")
