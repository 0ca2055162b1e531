"""Frames of one stream as pixels of one size: what libswscale makes of them, turned upright."""

from dataclasses import dataclass

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

MOST_PIXELS = 25_000_000
"""Largest frame that is decoded: as for images."""
LONGEST = 20
"""Times the shorter side that a frame may be long. Our choice: a line of pixels would be scaled to a wall."""

_KINDS = {"bilinear": Interpolation.BILINEAR, "bicubic": Interpolation.BICUBIC}
# Planes, not packed RGB: for these swscale has vector code, which keeps a colour for every pixel; packed, it
# shares one between two pixels, or takes three times as long where a side is odd.
_LAYOUTS = {"rgb": ("gbrp", 3), "grey": ("gray", 1)}


class SizeRefused(Exception):
    """A file that is no clip: what it is instead and what to do, to stand after its name."""


@dataclass(frozen=True, slots=True)
class ScaledFrames:
    """How frames are handed over."""

    short: int
    """Shorter side in pixels; 0 leaves the size."""
    colour: str
    """`rgb` or `grey`."""
    interpolation: str
    """`bilinear` or `bicubic`."""


class Scaler:
    """Makes every frame of a stream one size, whatever size it has."""

    def __init__(self, context: VideoCodecContext, scaled: ScaledFrames) -> None:
        """The size is that of `scaled`, for a frame as large as `context` says."""
        self.told = (context.width, context.height)
        self.width, self.height = _size(*self.told, scaled.short)
        self.layout, self.channels = _LAYOUTS[scaled.colour]
        self.interpolation = _KINDS[scaled.interpolation]
        # one for all frames: a frame's own would be made, with threads, for it alone, in twice the time
        self.reformatter = VideoReformatter()

    @property
    def bytes(self) -> int:
        """Of one frame."""
        return self.width * self.height * self.channels

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """`frame` scaled, then turned upright: (H, W, C)."""
        check_size(frame.width, frame.height)
        small = self.reformatter.reformat(
            frame, self.width, self.height, self.layout, interpolation=self.interpolation, threads=1
        )
        pixels = small.to_ndarray().reshape(self.height, self.width, self.channels)
        turned: NDArray[np.uint8] = np.rot90(pixels, frame.rotation // 90)
        return turned


def check_size(width: int, height: int) -> None:
    """Refused when frames of `width` x `height` pixels are not decoded."""
    if width * height > MOST_PIXELS:
        raise SizeRefused(f"claims frames of {width} x {height} pixels: give at most {MOST_PIXELS:,}")
    if max(width, height) > LONGEST * max(1, min(width, height)):
        raise SizeRefused(f"has frames of {width} x {height} pixels: give sides of at most 1 to {LONGEST}")


def _size(width: int, height: int, short: int) -> tuple[int, int]:
    """The size whose shorter side is `short`."""
    if not short:
        return width, height
    scale = short / max(1, min(width, height))
    return max(short, round(width * scale)), max(short, round(height * scale))
