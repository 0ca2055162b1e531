"""Weights of images in networks for clips: a still clip says what the image says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

import residua
from few import few_of
from residua.errors import CheckpointError
from residua.jobs.models import create_model
from residua.nn.network import Network, build
from residua.spec import change
from residua.spec.arch import Arch
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.zoo import arch
from residua.weights import load
from residua.weights.adapt import inflate_weight


def short(name: str) -> Arch:
    """At most two blocks in a stage, and a small head."""
    spec = arch(name)
    head = replace(spec.head, widths=(16,) * len(spec.head.widths), grid=1)
    blocks = tuple(min(2, len(stage)) for stage in spec.stages)
    return replace(change.deepen(spec, blocks) if spec.residual_blocks() else spec, head=head)


def shaken(network: Network) -> Network:
    """With norms that are no identity, as after training; in double precision."""
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.running_mean.normal_(std=0.3)
        norm.running_var.uniform_(0.5, 1.5)
    return network.double().eval()


def unfilled(spec: Arch) -> Network:
    """In double precision, all its numbers yet to be loaded."""
    with torch.device("meta"):
        network = build(spec).double().eval()
    for value in network.to_empty(device="cpu").state_dict().values():
        value.fill_(torch.nan if value.is_floating_point() else 0)
    return network


def still(spec: Arch, frames: int) -> tuple[Tensor, Tensor]:
    """An image as small as the words allow, and the clip in which it does not move."""
    size = 64 if spec.family == "alexnet" else 32
    image = torch.randn(2, spec.channels, size, size, dtype=torch.float64)
    return image, image[:, :, None].expand(-1, -1, frames, -1, -1)


FAMILIES = {
    "plain18": True,
    "resnet18": True,
    "resnet18_a": True,
    "resnet50_v1": True,
    "preresnet18": True,
    "resstage50": True,
    "iresnet18": True,
    "iresnet50_released": True,
    "resgroup50": True,
    "iresgroup50": True,
    "cifar_resnet20": True,
    "alexnet_2012": True,
    "vgg16_bn": False,
    "googlenet": True,
    "googlenet_2014": True,
    "smallconvnet": True,
}
"""Names, and whether their clips get shorter; VGG's are halved too often for a test."""
FEW = ("resnet18_a", "preresnet18", "iresnet18", "alexnet_2012", "googlenet", "smallconvnet")
"""Together they have every letter and every shortcut of the others."""


@pytest.mark.parametrize("name", few_of(FAMILIES, FEW))
def test_a_still_clip_gives_the_logits_of_its_image(name: str) -> None:
    spec, frames = short(name), 5 if FAMILIES[name] else 2
    image, clip = still(spec, frames)
    flat = shaken(build(spec))
    longer = unfilled(inflate(spec, Clip(frames=frames), halves=FAMILIES[name]))
    report = load(longer, flat.state_dict())
    assert re.search(r"windows inflated .*\(centre\)", report)
    with torch.no_grad():
        torch.testing.assert_close(longer(clip), flat(image), rtol=1e-9, atol=1e-9)
        moving = clip.clone()
        moving[:, :, 0] += 1.0
        assert (longer(moving) - flat(image)).abs().max() > 1e-6  # what it sees does matter


@pytest.mark.parametrize("shortcut", ["gate", "scale0.5,0.5"])
def test_gates_and_constants_are_inflated_too(shortcut: str) -> None:
    spec = change.with_shortcut(short("cifar_resnet20"), shortcut)
    image, clip = still(spec, 4)
    flat, longer = shaken(build(spec)), build(inflate(spec, Clip(frames=4))).double().eval()
    load(longer, flat.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(longer(clip), flat(image), rtol=1e-9, atol=1e-9)


def test_the_rule_of_i3d_holds_inside_a_clip_but_not_at_its_borders() -> None:
    weight = torch.randn(4, 3, 3, 3)
    repeated = inflate_weight(weight, 3, how="repeat")
    torch.testing.assert_close(repeated.sum(2), weight)
    assert torch.equal(repeated[:, :, 0], repeated[:, :, 2])
    image = torch.randn(1, 3, 8, 8)
    clip = image[:, :, None].expand(-1, -1, 5, -1, -1)
    flat = nn.functional.conv2d(image, weight, padding=1)
    out = nn.functional.conv3d(clip, repeated, padding=1)
    torch.testing.assert_close(out[:, :, 1:-1], flat[:, :, None].expand(-1, -1, 3, -1, -1))
    torch.testing.assert_close(out[:, :, 0], flat * 2 / 3)
    centre = nn.functional.conv3d(clip, inflate_weight(weight, 3), padding=1)
    torch.testing.assert_close(centre, flat[:, :, None].expand(-1, -1, 5, -1, -1))


def test_others_weights_are_inflated_and_their_classes_and_channels_changed() -> None:
    state = torchvision.models.resnet18(num_classes=9).state_dict()
    network = create_model("resnet18", frames=4, num_classes=9, in_chans=1)
    report = load(network, state, inflation="repeat")
    for words in ("122 tensors from torchvision", "17 windows inflated", "(repeat)", "adapted: 3 -> 1"):
        assert words in report
    first = network.stem.conv1.weight
    torch.testing.assert_close(first.sum(2), state["conv1.weight"].sum(1, keepdim=True))


def test_a_saved_network_for_images_is_read_as_one_for_clips_and_not_back(tmp_path: Path) -> None:
    image = create_model("cifar_resnet20")
    residua.save(image, tmp_path / "image")
    clip = create_model("cifar_resnet20", str(tmp_path / "image"), frames=4)
    assert clip.stem.conv1.weight.shape == (16, 3, 3, 3, 3)
    parts = create_model("cifar_resnet20", str(tmp_path / "image"), segments=4)
    assert torch.equal(parts.stem.conv1.weight, image.stem.conv1.weight)
    residua.save(clip, tmp_path / "clip")
    with pytest.raises(CheckpointError, match=r"cifar_resnet20.*reads clips there"):
        load(create_model("cifar_resnet20"), tmp_path / "clip")
    with pytest.raises(CheckpointError, match="cifar_resnet20, not cifar_resnet32"):
        create_model("cifar_resnet32", str(tmp_path / "image"), frames=4)


def test_an_inflated_network_has_the_look_alikes_it_had() -> None:
    state = build(arch("iresnet18")).state_dict()
    assert "fits iresnet18_released as well" in load(create_model("iresnet18", frames=4), state)
    assert "as well" not in load(create_model("resnet3d18"), build(arch("resnet3d18")).state_dict())
