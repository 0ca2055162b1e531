"""Clips as values: what may be written, what is refused and why, and what older files still say."""

import json
import re
from dataclasses import replace

import pytest

from residua.errors import ConfigError
from residua.spec import describe
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv, Fork, Pool
from residua.spec.clip import Clip
from residua.spec.record import from_json, to_json, to_plain
from residua.spec.zoo import arch
from small import arch as tiny


def test_a_clip_counts_its_frames_and_says_what_they_are() -> None:
    clip = Clip(frames=8, stride=4, segments=3)
    assert (clip.total, clip.span) == (24, 29)
    assert re.search("8 frames .* 4 .* 3 segments", clip.description)
    assert re.search("16 frames .*evenly", Clip(frames=16, stride=0).description)
    assert re.search("one frame .* 8 segments", Clip(frames=1, stride=1, segments=8).description)


@pytest.mark.parametrize("fields", [{"frames": 0}, {"segments": 0}, {"stride": -1}])
def test_a_clip_without_frames_is_refused(fields: dict[str, int]) -> None:
    ((name, value),) = fields.items()
    with pytest.raises(ConfigError, match=f"{name}={value}"):
        Clip(**fields)


def test_windows_in_time_need_frames_and_frames_need_windows() -> None:
    spec = arch("resnet3d18")
    for clip in (None, Clip(frames=1, stride=1, segments=4)):
        with pytest.raises(ConfigError, match=r"windows.*2 frames"):
            replace(spec, clip=clip)
    with pytest.raises(ConfigError, match=r"16 frames.*no window"):
        replace(arch("resnet18"), clip=Clip())


def test_windows_that_cannot_be_padded_or_stepped_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"4 frames .*odd"):
        Conv(8, time=4)
    with pytest.raises(ConfigError, match="from 1 to"):
        Conv(8, pace=0)
    with pytest.raises(ConfigError, match="from 1 to"):
        Pool(time=0)
    with pytest.raises(ConfigError, match=r"strides 2 \(2 in time\).* pool 2"):
        Block("(CNA CN)A", (Conv(8, 3, 2, pace=2), Conv(8)), "PCN")
    with pytest.raises(ConfigError, match="differently in each branch"):
        Fork((Block("C", (Conv(4, pace=2),)), Block("C", (Conv(4),))))


@pytest.mark.parametrize("frames", range(1, 9))
@pytest.mark.parametrize("window", [Conv(1, time=3, pace=2), Pool(time=2, pace=2), Pool(time=3, pace=2)])
def test_lengths_count_the_places_of_a_window(window: Conv | Pool, frames: int) -> None:
    margin = window.margin if isinstance(window, Pool) else window.time // 2
    last = frames + 2 * margin - window.time
    assert window.length(frames) == len(range(0, last + 1, window.pace))


def test_a_shortcut_that_keeps_the_frames_of_a_shorter_residual_is_refused() -> None:
    block = Block("(CNA CN)A", (Conv(4, 3, 2, pace=2), Conv(4)), "CN")
    assert block.pace() == 2
    assert block.bridge(4) == ("CN", (Conv(4, 1, 2, pace=2),))
    only_time = Block("(CNA CN)A", (Conv(4, time=3, pace=2), Conv(4)), "CN")
    assert only_time.bridge(4)[1] == (Conv(4, 1, pace=2),)
    pool = replace(only_time, shortcut="PCN", pool=Pool(time=3, pace=2, stride=1))
    assert pool.bridge(4) == ("P", ())


def test_too_few_frames_are_said() -> None:
    stem = Block("CNA P", (Conv(4, time=3),), pool=Pool(2, 2, 0, time=4, pace=4))
    spec = replace(tiny(), stem=stem, clip=Clip(frames=2))
    with pytest.raises(ConfigError, match=r"to nothing.*more frames"):
        describe.cost(spec)


def test_files_from_before_clips_are_read() -> None:
    plain = to_plain(arch("iresnet18"))

    def older(value: object) -> object:
        if isinstance(value, dict):
            return {key: older(item) for key, item in value.items() if key not in ("time", "pace", "clip")}
        return [older(item) for item in value] if isinstance(value, list) else value

    assert from_json(Arch, json.dumps(older(plain))) == arch("iresnet18")
    assert from_json(Arch, to_json(arch("iresnet3d18"))) == arch("iresnet3d18")


def test_tables_say_frames() -> None:
    rows = describe.table(arch("resnet3d18"))
    assert [describe.extent(row.size, row.frames) for row in rows[:-1]] == [
        "16×56×56",
        "16×56×56",
        "8×28×28",
        "4×14×14",
        "2×7×7",
    ]
    assert rows[1].layers == "[3×3×3, 64; 3×3×3, 64] × 2"
    assert describe.plain_numbers(arch("resnet3d18"))["frames"] == 16
    assert describe.plain_numbers(arch("resnet18"))["frames"] == 1
