"""Moving photographs: the clip tells its direction, no frame of it does."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residua.data.open import open_dataset
from residua.data.scan import scan
from residua.data.sources import moving
from residua.data.sources.moving import DIRECTIONS, FRAMES, SIDE, SPEED, moving_windows
from residua.errors import DataError


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_window_goes_as_the_class_says(name: str) -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    down, across = DIRECTIONS[name]
    for t, frame in enumerate(moving_windows(photograph, 60, 70, (down, across))):
        top, left = 60 + SPEED * down * t, 70 + SPEED * across * t
        assert np.array_equal(frame, photograph[top : top + SIDE, left : left + SIDE])


def test_a_photograph_has_no_edge() -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    twice = np.concatenate([photograph, photograph[::-1]])
    around = np.concatenate([twice, twice[:, ::-1]], 1)
    endless = np.tile(around, (3, 3, 1))
    for top, left in ((0, 0), (30, 45), (79, 99), (5, 80)):
        windows = moving_windows(photograph, top, left, (-1, 1))
        for t, frame in enumerate(windows):
            y, x = 80 + top - SPEED * t, left + SPEED * t
            assert np.array_equal(frame, endless[y : y + SIDE, x : x + SIDE])


def test_where_a_frame_lies_says_nothing_of_the_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph whose pixels tell where they are: each frame's place is even in every class."""
    height, width = 64, 64
    y, x = np.mgrid[:height, :width]
    photograph = np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)
    images = moving._generate_clips("train", [photograph], 4000, seed=0)
    frames = images.pixels.reshape(4000, FRAMES, SIDE, SIDE, 3)  # type: ignore[union-attr]
    assert np.bincount(images.labels).tolist() == [500] * 8
    for t in (0, FRAMES - 1):
        for axis in (0, 1):
            corner = frames[:, t, 0, 0, axis].astype(float)
            for label in range(8):
                mean = corner[images.labels == label].mean()
                assert abs(mean - 31.5) < 4 * 18.5 / 500**0.5, (t, axis, label)


def test_the_set_is_the_same_every_time_and_tested_on_other_pictures() -> None:
    one, two = (
        open_dataset("moving", val_fraction=0.2, holds="clips"),
        open_dataset("moving", val_fraction=0.2, holds="clips"),
    )
    assert one.train.identity() == two.train.identity()
    assert one.train.identity() != one.test.identity()
    assert (len(one.train.classes), one.size) == (8, SIDE)
    assert set(np.bincount(one.test.labels)) == {len(one.test) // 8}


def test_people_are_shown_four_frames_of_a_clip() -> None:
    clips = open_dataset("moving", val_fraction=0.2, holds="clips").test
    film = np.asarray(clips.image(3, "rgb"))
    frames = clips.pixels[3].reshape(FRAMES, SIDE, SIDE, 3)  # type: ignore[index]
    times = (film.shape[0] - 2) // 2 // SIDE  # enlarged by a whole factor, two pixels between two frames
    assert film.shape == (2 * times * SIDE + 2, 2 * times * SIDE + 2, 3)
    for place, t in enumerate((0, 2, 5, 7)):
        top, left = (k * (times * SIDE + 2) for k in divmod(place, 2))
        frame = film[top : top + times * SIDE : times, left : left + times * SIDE : times]
        assert np.array_equal(frame, frames[t])


def test_a_check_knows_the_frames_of_a_clip_that_is_held_in_memory() -> None:
    clips = open_dataset("moving", val_fraction=0.2, holds="clips").test
    facts = scan([clips.subset(np.arange(2))], workers=0).facts[0]
    assert (facts["width"], facts["height"], facts["frames"]) == (SIDE, SIDE, FRAMES)


def test_photographs_may_be_ones_own(tmp_path: Path) -> None:
    for i in range(6):
        Image.new("RGB", (90 + i, 70), (10 * i, 200, 30)).save(tmp_path / f"{i}.png")
    dataset = open_dataset(f"moving:{tmp_path}", val_fraction=0.2, holds="clips")
    assert "4 + 2 photographs" in dataset.note
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    for i in range(6):
        (tmp_path / f"{i}.png").unlink()
    with pytest.raises(DataError, match="give two"):
        open_dataset(f"moving:{tmp_path}", val_fraction=0.2, holds="clips")
