"""The cache of decoded clips: bounded, repaired, and without effect on pixels."""

from pathlib import Path

import numpy as np
import pytest

import clip_data
from residua.data.images import Images
from residua.data.items import Files
from residua.data.video.clips import CLIP, ClipFrames
from residua.data.video.frame_cache import open_cache
from residua.spec.preprocess import Preprocess

PIXELS = Preprocess(24, 32, (0.5,) * 3, (0.5,) * 3)
FRAME_BYTES = 32 * 43 * 3
"""Of one frame whose shorter side is scaled to 32 pixels."""


@pytest.fixture
def clips(tmp_path: Path) -> Images:
    """Four clips of ten frames."""
    names = [f"{i}.mp4" for i in range(4)]
    for i, name in enumerate(names):
        clip_data.write(tmp_path / name, clip_data.numbered(10, seed=i))
    return Images("train", ("a", "b"), np.arange(4) % 2, files=Files.of(tmp_path, names), media_type=CLIP)


def last(count: int) -> list[int]:
    return [count - 1]


def test_a_file_that_changed_is_decoded_again(clips: Images, tmp_path: Path) -> None:
    cached = ClipFrames(clips, PIXELS, open_cache(tmp_path / "cache", 80 * FRAME_BYTES))
    before = cached.frames(0, last)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    clip_data.write(tmp_path / "0.mp4", clip_data.numbered(6, seed=9))
    assert not np.array_equal(cached.frames(0, last), before)
    assert np.array_equal(cached.frames(0, last), ClipFrames(clips, PIXELS).frames(0, last))


def test_a_cache_keeps_its_limit(clips: Images, tmp_path: Path) -> None:
    limit = 80 * FRAME_BYTES
    cached = ClipFrames(clips, PIXELS, open_cache(tmp_path / "cache", limit))
    plain = ClipFrames(clips, PIXELS)
    for i in range(4):
        assert np.array_equal(cached.frames(i, last), plain.frames(i, last))
    assert int((tmp_path / "cache" / "used").read_text()) <= limit


def test_a_clip_that_would_fill_the_cache_is_not_stored(clips: Images, tmp_path: Path) -> None:
    small = ClipFrames(clips, PIXELS, open_cache(tmp_path / "small", 10 * FRAME_BYTES))
    assert np.array_equal(small.frames(1, lambda _: [3]), ClipFrames(clips, PIXELS).frames(1, lambda _: [3]))
    assert not list((tmp_path / "small").glob("*.npy"))


def test_a_truncated_file_in_the_cache_is_replaced(clips: Images, tmp_path: Path) -> None:
    cached = ClipFrames(clips, PIXELS, open_cache(tmp_path / "cache", 1 << 30))
    frames = cached.frames(2, lambda _: [0, 9])
    (stored,) = (tmp_path / "cache").glob("*.npy")
    stored.write_bytes(stored.read_bytes()[:500])
    assert np.array_equal(cached.frames(2, lambda _: [0, 9]), frames)
