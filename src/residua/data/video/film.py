"""Film: a few frames of a video as one picture, for people."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.video import frame_choice

HIGH = 120
"""Pixels of a frame's shorter side."""
_GAP = 2  # pixels between two frames


def evenly(length: int, count: int) -> list[int]:
    """Numbers of `count` frames from the first to the last of `length`."""
    return [round(share * (length - 1)) for share in frame_choice.spread(count)]


def tiled(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Four frames (4, H, W, C), the first above left, the last below right: one picture (h, w, 3).

    Small ones are enlarged by whole factors.
    """
    pictures = [Image.fromarray(f[:, :, 0] if f.shape[2] == 1 else f).convert("RGB") for f in frames]
    wide, high = pictures[0].size
    times = max(1, HIGH // min(wide, high))
    wide, high = wide * times, high * times
    whole = Image.new("RGB", (2 * wide + _GAP, 2 * high + _GAP), "white")
    for place, picture in enumerate(pictures):
        down, across = divmod(place, 2)
        large = picture.resize((wide, high), Image.Resampling.NEAREST)
        whole.paste(large, (across * (wide + _GAP), down * (high + _GAP)))
    return np.asarray(whole)
