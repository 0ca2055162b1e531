"""Clips for the tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("av", reason="clips need PyAV: pip install 'residua[video]'")

import clip_data


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes folders of clips: `folder(train={"left": 3, "right": 2}, val={...})`, or `folder(left=3)`."""

    def make(frames: int = 12, **splits: dict[str, int] | int) -> Path:
        flat = {k: v for k, v in splits.items() if isinstance(v, int)}
        splits_ = {"": flat} if flat else splits
        for split, classes in splits_.items():
            assert isinstance(classes, dict)
            for label, (name, count) in enumerate(classes.items()):
                for i in range(count):
                    place = tmp_path / "clips" / split / name / f"{name}{i}.mp4"
                    clip_data.write(place, clip_data.numbered(frames, seed=10 * label + i))
        return tmp_path / "clips"

    return make
