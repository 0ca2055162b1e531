"""Networks for images made ones for clips: which windows grow, what shortens a clip, and what is refused."""

from dataclasses import replace
from itertools import pairwise

import pytest

from residua.errors import ConfigError
from residua.jobs.models import arch_of
from residua.spec import describe
from residua.spec.arch import ways
from residua.spec.clip import Clip
from residua.spec.inflate import for_images, inflate, with_clip
from residua.spec.zoo import NAMES, arch

IMAGES = [
    name for name in NAMES if not arch(name).clip and not arch(name).is_flat and arch(name).depth() < 60
]


@pytest.mark.parametrize("name", IMAGES)
def test_inflated_and_flattened_every_network_is_itself(name: str) -> None:
    spec = arch(name)
    longer = inflate(spec, Clip(frames=16))
    assert for_images(longer) == spec
    convs = [conv for block in longer.blocks() for way in ways(block) for conv in way.convs]
    assert all((conv.time > 1) == (conv.kernel > 1) for conv in convs)
    assert {conv.pace for conv in convs} <= {1, 2}


@pytest.mark.parametrize("name", IMAGES)
def test_a_clip_gets_shorter_where_the_maps_do_but_for_the_stem_and_the_first_stage(name: str) -> None:
    rows = describe.table(inflate(arch(name), Clip(frames=16), halves=False))
    assert {row.frames for row in rows if row.part not in ("head", "sides")} == {16}
    rows = describe.table(inflate(arch(name), Clip(frames=16)))
    maps = [row for row in rows if row.part not in ("head", "sides")]
    for before, after in pairwise(maps[1:]):
        assert (after.frames < before.frames) == (after.size < before.size)


def test_resnet3d_is_resnet_behind_another_stem() -> None:
    image, clip = for_images(arch("resnet3d18")), arch("resnet18")
    assert (image.stages, image.stem.convs) == (clip.stages, clip.stem.convs)
    assert (image.stem.word, clip.stem.word) == ("CNA", "CNAP")


def test_frames_and_segments_are_changes_like_others() -> None:
    inflated = inflate(arch("resnet18"), Clip(frames=8))
    assert arch_of("resnet18", frames=8) == replace(inflated, name="resnet18:frames=8")
    assert arch_of("resnet3d18", frames=8, frame_stride=4).clip == Clip(8, 4)
    parts = arch_of("resnet50", segments=8, num_classes=5)
    assert (parts.clip, parts.stages) == (Clip(1, 1, 8), arch("resnet50").stages)
    assert not parts.has_time
    assert arch_of("resnet18", frames=8, segments=3).clip == Clip(8, 2, 3)
    assert with_clip(parts, Clip(frames=4)).has_time


def test_what_has_no_meaning_in_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="several frames"):
        inflate(arch("resnet3d18"), Clip())
    with pytest.raises(ConfigError, match=r"resmlp.*no windows"):
        arch_of("resmlp", frames=4)
    with pytest.raises(ConfigError, match=r"images.*frame stride"):
        arch_of("resnet18", frame_stride=2)
    with pytest.raises(ConfigError, match="several frames"):
        arch_of("resnet3d18", frames=1)


def test_one_frame_a_segment_costs_so_many_images() -> None:
    one, many = describe.cost(arch("resnet18")), describe.cost(arch_of("resnet18", segments=5))
    assert (many.params, many.macs, many.activations) == (one.params, 5 * one.macs, 5 * one.activations)
    spec = arch("resnet3d18")
    assert describe.cost(replace(spec, clip=Clip(16, 2, 3))).macs == 3 * describe.cost(spec).macs
