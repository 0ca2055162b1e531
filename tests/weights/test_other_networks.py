"""Files that fit by name, or nearly, and are of another network: they are refused, or the note names it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision

from residua.errors import CheckpointError
from residua.nn.network import build
from residua.spec import zoo
from residua.spec.arch import ways
from residua.spec.change import deepen, with_channels, with_classes
from residua.spec.describe import first_difference
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


def saved(name: str, folder: Path) -> Path:
    """A file of ours with the arch of the network called `name`."""
    network, path = build(arch(name)), folder / f"{name}.safetensors"
    publish(path, network.state_dict(), {"arch": to_plain(network.arch), "classes": []})
    return path


@pytest.mark.parametrize("source", ["auto", "iduta"])
def test_the_error_names_insightfaces_network_of_the_same_name(source: str) -> None:
    with pytest.raises(CheckpointError, match="insightface's IResNet"):
        load(build(arch("iresnet50")), empty(INSIGHTFACE), source=source)


@pytest.mark.parametrize("wrapped", ["", "model."])
def test_the_error_names_the_invertible_network_of_the_same_name(wrapped: str) -> None:
    state = {wrapped + name: value for name, value in empty(INVERTIBLE).items()}
    with pytest.raises(CheckpointError, match=r"the invertible i-ResNet .* its authors' code"):
        load(build(arch("iresnet18")), state)


def test_the_error_tells_a_port_from_caffe_by_its_biases() -> None:
    state = {**save_as(build(arch("resnet50")), "torchvision"), "conv1.bias": torch.zeros(64)}
    with pytest.raises(CheckpointError, match=r"conv1\.bias .* Caffe .* stride on the first 1x1.*`_v1`"):
        load(build(arch("resnet50")), state)


PAIRS = [("resnet50", "resnet50_v1"), ("resnet50_v1", "resnet50"), ("iresnet50", "iresnet50_released")]


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_a_foreign_file_that_fits_two_networks_loads_and_the_note_names_the_other(
    name: str, other: str
) -> None:
    report = load(build(arch(name)), save_as(build(arch(other)), "iduta"))
    assert f"fits {other} as well" in report
    assert "\n" not in report


def same_names_and_shapes(name: str) -> tuple[str, ...]:
    """What foreign files show of the network called `name`: convolutions and norms in order, no strides."""
    spec = arch(name)
    parts = [f"{spec.family} {spec.tail} {spec.head.word}"]
    for block in (way for each in (spec.stem, *spec.blocks()) for way in ways(each)):
        letters = "".join(letter for letter in block.word if letter in "CN")
        convs = " ".join(f"{conv.out}x{conv.time}x{conv.kernel}/{conv.groups}" for conv in block.convs)
        shortcut = "".join(letter for letter in block.shortcut if letter in "PCN")
        parts.append(f"{letters} {convs} {shortcut} {block.always}")
    return tuple(parts)


def test_look_alikes_are_all_networks_with_equal_tensors() -> None:
    by_shapes: dict[tuple[str, ...], list[str]] = {}
    for name in zoo.NAMES:
        by_shapes.setdefault(same_names_and_shapes(name), []).append(name)
    for names in by_shapes.values():
        for name in names:
            assert zoo.look_alikes(name) == [other for other in names if other != name]


@pytest.mark.parametrize("name", ["resnet50", "resnet50_v1", "iresnet18", "preresnet18", "alexnet"])
def test_a_network_does_not_differ_from_itself_with_other_classes_and_channels(name: str) -> None:
    changed = with_channels(with_classes(arch(name), 7), 1)
    assert first_difference(arch(name), changed) == ""


@pytest.mark.parametrize(
    ("there", "here", "difference"),
    [
        (
            "resnet50_v1",
            "resnet50",
            r"\(CNA CNA CN\)A .* 2 1 1 there, \(CNA CNA CN\)A .* 1 2 1 here",
        ),
        ("cifar_plain20", "cifar_resnet20", r"CNA CNA .* 1 1 there, \(CNA CN\)A .*Z"),
        ("resnet3d18", "resnet18", "clips there, images here"),
    ],
)
def test_the_first_difference_is_named(there: str, here: str, difference: str) -> None:
    assert re.search(difference, first_difference(arch(there), arch(here)))


def test_another_tail_or_number_of_blocks_is_a_difference() -> None:
    spec = arch("cifar_resnet20")
    assert "tail 'NA'" in first_difference(replace(spec, tail="NA"), spec)
    assert "20 layers" in first_difference(spec, deepen(spec, (3, 3, 4)))


def test_a_network_without_a_look_alike_adds_nothing() -> None:
    report = load(build(arch("resnet18")), torchvision.models.resnet18().state_dict())
    assert report == "122 tensors from torchvision names"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("resstage18", "resstage18_released"),
        *(pytest.param(*pair, marks=pytest.mark.battery) for pair in PAIRS),
    ],
)
def test_a_file_of_ours_is_refused_by_another_network(name: str, other: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"{other}, not {name}: .* there, .* here"):
        load(build(arch(name)), saved(other, tmp_path))
    assert load(build(arch(other)), saved(other, tmp_path)).endswith("from residua names")
