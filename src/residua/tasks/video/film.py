"""Film: frames of a clip side by side, for people."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.images import Images
from residua.spec.preprocess import Preprocess
from residua.tasks.video import moments
from residua.tasks.video.clips import Footage

HIGH = 72
"""Pixels of a frame's shorter side."""
_GAP = 2  # pixels between two frames


def film(images: Images, i: int, count: int = 4, *, short: int = HIGH) -> NDArray[np.uint8]:
    """`count` frames of clip `i`, evenly spread, from left to right: (H, W, 3).

    DataError as from `Footage.frames`.
    """
    size = images.pixels.shape[2] if images.pixels is not None else short
    whole = Preprocess(size, size, (0.0,) * 3, (1.0,) * 3)
    return joined(Footage(images, whole).frames(i, lambda length: evenly(length, count)), short=short)


def evenly(length: int, count: int) -> list[int]:
    """Numbers of `count` frames from the first to the last of `length`."""
    return [round(share * (length - 1)) for share in moments.spread(count)]


def joined(frames: NDArray[np.uint8], *, short: int = 0) -> NDArray[np.uint8]:
    """Frames (T, H, W, C) in a row on white: (H, W, 3), small ones enlarged until they are `short` high."""
    row = []
    for frame in frames:
        image = Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame).convert("RGB")
        if times := short // min(image.size):
            image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
        row += [np.asarray(image), np.full((image.height, _GAP, 3), 255, np.uint8)]
    return np.concatenate(row[:-1], axis=1)
