"""Parameters, multiply-adds and maps of every name, against numbers counted elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torchvision.models.video.resnet import BasicBlock, BasicStem, Bottleneck, Conv3DSimple, VideoResNet

from few import one_of_each_family
from module_cost import module_cost
from residua.nn.network import build
from residua.spec import describe, walk
from residua.spec.zoo import NAMES, arch

GOLDEN: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("counts.json").read_text())
"""`maps` are the shapes (C, H, W) after the stem and after each stage."""
TORCHVISION = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
STRIDE_MOVED = ("resnet50_v1", "resnet101_v1", "resnet152_v1")
DEEPER = {
    "resnet": (200,),
    "preresnet": (101, 152, 200),
    "cifar_resnet": (1001,),
    "cifar_preresnet": (110, 1001),
    "resstage": (101, 152, 200),
    "iresnet": (101, 152, 200, 302, 404, 1001),
    "resgroup": (101, 152),
    "resgroupfix": (101, 152),
    "iresgroup": (101, 152),
    "iresgroupfix": (101, 152),
    "cifar_iresnet": (164, 1001, 2000, 3002),
}
"""Depths of families whose other depths have golden rows: counted twice here, by words and by modules."""
IMPROVED = {"iresnet": 38_535_168, "iresgroup": 154_140_672}
"""What the first 1x1 costs more at twice the side (cross checks of the reference counts)."""
VIDEO = {"resnet3d18": (BasicBlock, (2, 2, 2, 2)), "resnet3d50": (Bottleneck, (3, 4, 6, 3))}
"""Networks for clips, and what torchvision's `VideoResNet` is made of for them; 18 layers are its r3d_18."""
REORDERED = {
    f"{family}3d{depth}": f"resnet3d{depth}" for family in ("resstage", "iresnet") for depth in (18, 50)
}
"""Networks for clips with the shapes of others: norms, activations and pools have no multiply-adds."""
GROUPED = ("resgroup3d50", "iresgroup3d50")
BY_HAND = {"smallconvnet": (814_122, 39_160_320), "resmlp": (1_076_234, 1_067_520)}
"""Networks without an outside source: the sums stand in the test below."""


def numbers(name: str) -> tuple[int, int]:
    total = describe.cost(arch(name))
    return total.params, total.macs


def peer(name: str) -> torch.nn.Module:
    """The torchvision network called `name`; for `_v1` the stride moves to the first 1x1 of each stage."""
    with torch.device("meta"):
        net = getattr(torchvision.models, name.removesuffix("_v1"))()
    if name.endswith("_v1"):
        for stage in (net.layer2, net.layer3, net.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    return net


def test_every_name_has_a_golden_row_or_a_peer_or_a_sum() -> None:
    deeper = {f"{family}{depth}" for family, depths in DEEPER.items() for depth in depths}
    released = {f"{name}_released" for name in deeper} & set(NAMES)
    covered = {
        *GOLDEN,
        *TORCHVISION,
        *STRIDE_MOVED,
        *BY_HAND,
        *VIDEO,
        *REORDERED,
        *GROUPED,
        *deeper,
        *released,
    }
    assert covered == set(NAMES)
    assert len(BY_HAND) <= 2


@pytest.mark.parametrize("name", GOLDEN)
def test_parameters_multiply_adds_and_maps_are_the_golden_ones(name: str) -> None:
    row, spec = GOLDEN[name], arch(name)
    assert numbers(name) == (row["params"], row["macs"])
    sizes = [line.size for line in describe.table(spec) if line.part not in ("head", "sides")]
    maps = [[width, size, size] for width, size in zip(spec.widths(), sizes, strict=True)]
    assert maps == row["maps"]
    if spec.family != "alexnet":  # its windows do not reach the border, so its maps are smaller yet
        assert [spec.preprocess.size // stride for stride in spec.strides()] == sizes


@pytest.mark.usefixtures("light_norms")
@pytest.mark.parametrize("name", [*TORCHVISION, *STRIDE_MOVED])
def test_parameters_and_multiply_adds_are_those_of_torchvision(name: str) -> None:
    theirs = module_cost(peer(name), channels=3, size=224)
    assert describe.cost(arch(name)) == theirs


@pytest.mark.usefixtures("light_norms")
@pytest.mark.parametrize("name", VIDEO)
def test_clips_cost_what_they_cost_torchvision(name: str) -> None:
    block, blocks = VIDEO[name]
    with torch.device("meta"):
        theirs = VideoResNet(block, [Conv3DSimple] * 4, list(blocks), BasicStem)
    assert describe.cost(arch(name)) == module_cost(theirs, channels=3, size=112, frames=16)


def test_r3d_18_costs_what_torchvision_says_it_does() -> None:
    meta = torchvision.models.video.R3D_18_Weights.KINETICS400_V1.meta
    params, macs = numbers("resnet3d18")
    assert (params, round(macs / 1e9, 3)) == (meta["num_params"], meta["_ops"])


@pytest.mark.parametrize("name", REORDERED)
def test_other_orders_cost_clips_the_same(name: str) -> None:
    assert numbers(name) == numbers(REORDERED[name])


@pytest.mark.parametrize("name", GROUPED)
def test_grouped_blocks_cost_clips_what_their_sum_says(name: str) -> None:
    """Blocks of 4w, 4w in groups of 32, and 2w channels (Duta et al. 2020, 2.3), windows of 27 numbers."""
    reads, frames, side = 64, 16, 56
    params, macs = 3 * 147 * 64 + 2 * 64, 3 * 147 * 64 * frames * side**2
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(blocks):
            first, rest = reads * 4 * width, 4 * width * 32 * 27 + 4 * width * 2 * width
            rest += reads * 2 * width if block == 0 else 0
            macs += first * frames * side**2
            if stage and not block:
                frames, side = frames // 2, side // 2
            macs += rest * frames * side**2
            params += first + rest + 2 * (4 + 4 + 2 + 2 * (block == 0)) * width
            reads = 2 * width
    assert numbers(name) == (params + reads * 400 + 400, macs + reads * 400)


def test_the_small_network_costs_what_its_sum_says() -> None:
    convs = [(3, 32, 32), (32, 32, 32), (32, 64, 16), (64, 64, 16), (64, 128, 8), (128, 128, 8)]
    linear = [(128 * 4 * 4, 256), (256, 10)]
    params = sum(9 * i * o + o for i, o, _ in convs) + sum(i * o + o for i, o in linear)
    macs = sum(9 * i * o * side**2 for i, o, side in convs) + sum(i * o for i, o in linear)
    assert numbers("smallconvnet") == (params, macs) == BY_HAND["smallconvnet"]


def test_the_flat_network_costs_what_its_sum_says() -> None:
    layers = [(64, 256), *[(256, 256)] * 16]
    params = sum(i * o + 2 * o for i, o in layers) + 256 * 10 + 10
    macs = sum(i * o for i, o in layers) + 256 * 10
    assert numbers("resmlp") == (params, macs) == BY_HAND["resmlp"]


@pytest.mark.parametrize("depth", [101, 152, 200])
def test_resstage_and_iresnet_have_the_parameters_of_resnet(depth: int) -> None:
    params, macs = numbers(f"resnet{depth}")
    assert numbers(f"resstage{depth}") == (params, macs)
    assert numbers(f"iresnet{depth}") == (params, macs + IMPROVED["iresnet"])


@pytest.mark.parametrize("kind", ["", "fix"])
@pytest.mark.parametrize("depth", [50, 101, 152])
def test_iresgroup_costs_its_first_convolution_more(kind: str, depth: int) -> None:
    params, macs = numbers(f"resgroup{kind}{depth}")
    assert numbers(f"iresgroup{kind}{depth}") == (params, macs + IMPROVED["iresgroup"])


@pytest.mark.usefixtures("light_norms")
@pytest.mark.parametrize("name", one_of_each_family(name for name in NAMES if arch(name).depth() < 320))
def test_what_the_words_cost_is_what_the_modules_cost(name: str) -> None:
    spec = arch(name)
    with torch.device("meta"):
        network = build(spec)
    size = spec.preprocess.size + (0 if spec.is_flat else 7)
    frames = spec.clip.total if spec.clip else 0
    counted = module_cost(network, channels=spec.channels, size=size, frames=frames)
    computed = describe.cost(spec, size=size)
    sides = [layer for layer in walk.layers(spec, size=size) if layer.path == "side"]
    assert counted.params == computed.params
    assert counted.macs + sum(layer.macs for layer in sides) == computed.macs  # they do not run in eval mode
    assert counted.activations + sum(la.outputs for la in sides if la.letter in "CL") == computed.activations
