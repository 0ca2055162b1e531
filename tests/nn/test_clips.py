"""Networks that read clips: segments, letters in time, maps on the way, memory and formats."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from residua.errors import ConfigError
from residua.jobs.models import create_model
from residua.nn import clips, device
from residua.nn.blocks import spell
from residua.nn.letters_clip import CLIP_LETTERS
from residua.nn.network import Network, build
from residua.spec.arch import Arch
from residua.spec.block import Conv, Pool
from residua.spec.change import deepen
from residua.spec.clip import Clip
from residua.spec.memory import list_units
from residua.spec.zoo import arch
from residua.training import plan
from small import PLAN


def short(name: str, frames: int = 4) -> Arch:
    """One block a stage, and a short clip."""
    spec = arch(name)
    return replace(deepen(spec, (1,) * len(spec.stages)), clip=Clip(frames=frames))


def clip_of(spec: Arch, count: int = 2, size: int = 32) -> Tensor:
    return torch.randn(count, *spec.input_shape[:-2], size, size)


def test_one_frame_of_each_segment_is_the_mean_of_what_images_say() -> None:
    image = create_model("cifar_resnet20").eval()
    parts = create_model("cifar_resnet20", segments=3).eval()
    parts.load_state_dict(image.state_dict())
    x = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        logits = torch.stack([image(x[:, :, frame]) for frame in range(3)])
        torch.testing.assert_close(parts(x), logits.mean(0))
        assert parts.forward_features(x).shape == (6, 64, 8, 8)
        assert parts.forward_head(parts.forward_features(x), pre_logits=True).shape == (2, 64)


def test_several_frames_of_several_segments_are_the_mean_of_their_clips() -> None:
    spec = short("iresnet3d18")
    one, two = build(spec).eval(), build(replace(spec, clip=Clip(4, 2, 2))).eval()
    two.load_state_dict(one.state_dict())
    x = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(two(x), (one(x[:, :, :4]) + one(x[:, :, 4:])) / 2)


def test_a_longer_clip_is_read_whole() -> None:
    network = build(short("resnet3d18")).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 11, 32, 32)).shape == (1, 400)


def test_auxiliary_heads_average_their_segments_too() -> None:
    network = create_model("googlenet_2014", segments=2, num_classes=5).train()
    assert [each.shape for each in network(torch.randn(2, 3, 2, 96, 96))] == [(2, 5)] * 3


def test_wrong_tensors_are_refused_with_what_to_give() -> None:
    network = create_model("cifar_resnet20", segments=3)
    with pytest.raises(ConfigError, match=r"\(N, C, T.*\(2, 3, 32, 32\)"):
        network(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ConfigError, match=r"3 segments.*4 frames.*give 3 frames"):
        network(torch.zeros(2, 3, 4, 32, 32))
    with pytest.raises(ConfigError, match=r"2 segments.*5 frames.*give 8 frames"):
        build(replace(short("resnet3d18"), clip=Clip(4, 2, 2)))(torch.zeros(1, 3, 5, 32, 32))


def test_option_a_takes_every_other_frame_and_pixel() -> None:
    layer = spell("Z", 4, (Conv(6, 1, 2, pace=2),), letters=CLIP_LETTERS)
    x = torch.randn(2, 4, 5, 8, 8)
    out = layer(x)
    assert out.shape == (2, 6, 3, 4, 4)
    assert torch.equal(out[:, 1:5], x[:, :, ::2, ::2, ::2])
    assert not out[:, 0].any()
    assert not out[:, 5].any()
    after = spell("E", 4, (Conv(6, 1, 2, pace=2),), letters=CLIP_LETTERS)(x)
    assert torch.equal(after[:, :4], x[:, :, ::2, ::2, ::2])
    assert not after[:, 4:].any()


@pytest.mark.parametrize("letter", ["P", "V"])
@pytest.mark.parametrize(
    "pool", [Pool(time=3, pace=2), Pool(2, 2, 0, time=2, pace=2), Pool(3, 2, 1, ceil=True)]
)
def test_pools_give_the_frames_they_count(letter: str, pool: Pool) -> None:
    layer = spell(letter, 4, (), pool=pool, letters=CLIP_LETTERS)
    for frames in (3, 5, 8):
        out = layer(torch.randn(1, 4, frames, 9, 9))
        assert out.shape[2:] == (pool.length(frames), pool.side(9), pool.side(9))


def test_a_response_norm_looks_across_channels_in_every_frame() -> None:
    layer = spell("R", 6, (), letters=CLIP_LETTERS)
    x = torch.randn(2, 6, 3, 5, 5)
    torch.testing.assert_close(layer(x)[:, :, 1], layer(x[:, :, 1]))


def test_stochastic_depth_drops_whole_clips() -> None:
    network = create_model("resnet3d18", drop_path_rate=0.5)
    residual = network.stages[-1][-1].residual  # type: ignore[union-attr, index]
    drop = next(layer for layer in residual.children() if type(layer).__name__ == "StochasticDepth")
    rows = drop.train()(torch.ones(64, 2, 2, 2, 2)).flatten(1)
    assert {len(row.unique()) for row in rows} == {1}
    assert len(rows[:, 0].unique()) == 2


def test_norms_of_clips_know_processes_but_not_freezing() -> None:
    batch = create_model("resnet3d18")
    sync = create_model("resnet3d18", norm="sync").eval()
    sync.load_state_dict(batch.state_dict())
    x = torch.randn(1, 3, 4, 32, 32)
    assert torch.equal(sync(x), batch.eval()(x))
    with pytest.raises(ConfigError, match="'frozen'"):
        create_model("resnet3d18", norm="frozen")


@pytest.mark.parametrize(
    ("name", "norm"), [("resnet3d18", "batch"), ("resnet18", "sync"), ("resmlp:img_size=8", "batch")]
)
def test_zero_init_last_reaches_every_kind_of_batch_norm(name: str, norm: Any) -> None:
    network = create_model(name, norm=norm, zero_init_last=True)
    assert not network.blocks()[-1].residual[-1].weight.any()  # type: ignore[union-attr, index]


def test_features_are_maps_of_clips() -> None:
    features = create_model("iresnet3d18", features_only=True, out_indices=(0, 2, -1))
    maps = features(torch.randn(1, 3, 8, 32, 32))
    assert [each.shape for each in maps] == [(1, 64, 8, 16, 16), (1, 128, 4, 8, 8), (1, 512, 1, 2, 2)]
    assert (features.channels, features.reductions) == ((64, 128, 512), (2, 4, 16))


def gradients(network: Network, x: Tensor) -> list[Tensor]:
    torch.manual_seed(0)
    network.train()(x).square().sum().backward()
    return [p.grad for p in network.parameters() if p.grad is not None] + list(network.buffers())


@pytest.mark.parametrize("form", ["contiguous", "channels_last"])
def test_blocks_computed_twice_change_no_bit_of_clips(form: str) -> None:
    spec = short("iresnet3d18")
    network = build(spec).to(memory_format=clips.layout(form, 5))
    twice = copy.deepcopy(network)
    twice.set_grad_checkpointing()
    x = clip_of(spec).contiguous(memory_format=clips.layout(form, 5))
    for a, b in zip(gradients(network, x), gradients(twice, x), strict=True):
        assert torch.equal(a, b)


def test_segments_keep_what_as_many_images_keep() -> None:
    spec = arch("cifar_resnet20")
    parts = replace(spec, clip=Clip(1, 1, 4))
    assert list_units(parts, batch=3) == list_units(spec, batch=12)


def test_a_plan_puts_clips_into_the_format_of_clips() -> None:
    last = replace(PLAN, memory_format="channels_last")
    placed = device.place_network(build(short("resnet3d18")), last)
    weight = placed.stages[0][0].residual.conv1.weight  # type: ignore[union-attr, index]
    assert weight.is_contiguous(memory_format=torch.channels_last_3d)
    network = device.place_network(create_model("cifar_resnet20", segments=2), last)
    assert network.stem.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 2, 32, 32).contiguous(memory_format=clips.layout("channels_last", 5))
    assert clips.fold_segments(x, network.arch).data_ptr() == x.data_ptr()  # no copy
    assert clips.fold_segments(x, network.arch).is_contiguous(memory_format=torch.channels_last)


def test_a_plan_measures_clips() -> None:
    network = build(replace(short("resnet3d18"), preprocess=replace(arch("resnet3d18").preprocess, size=32)))
    ways: tuple[plan.Way, ...] = (("contiguous", "float32"), ("channels_last", "float32"))
    assert tuple(plan.measure(network, batch=1, ways=ways, limit=lambda _: 60.0).first) == ways
    assert plan.sample_size(build(arch("resnet3d18"))) == 1


def test_first_weights_are_he_normal() -> None:
    conv = create_model("resnet3d18").stages[3][1].residual.conv2  # type: ignore[union-attr, index]
    assert isinstance(conv, nn.Conv3d)
    assert conv.weight.std().item() == pytest.approx((2 / (512 * 27)) ** 0.5, rel=0.01)
