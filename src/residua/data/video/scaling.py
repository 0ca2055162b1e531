"""Decoded frames as pixels of one size, scaled by libswscale and turned upright."""

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from residua.data.video.messages import FrameFormat, UnreadableClip

MAX_PIXELS = 25_000_000
"""Largest frame that is decoded, as for images."""
MAX_ASPECT = 20
"""Largest ratio of the longer to the shorter side. Our choice: a frame one pixel high would be scaled to
gigabytes."""

_INTERPOLATIONS = {"bilinear": Interpolation.BILINEAR, "bicubic": Interpolation.BICUBIC}
# Planes, not packed RGB: for planes swscale has vector code that keeps a colour for every pixel. Packed, it
# shares one colour between two pixels, or takes three times as long where a side is odd.
_LAYOUTS = {"rgb": ("gbrp", 3), "grey": ("gray", 1)}


class Scaler:
    """Scales the frames of one stream to one size, whatever size each of them has."""

    def __init__(self, context: VideoCodecContext, frame_format: FrameFormat) -> None:
        self.declared_size = (context.width, context.height)
        self.width, self.height = _scaled_size(*self.declared_size, frame_format.short_side)
        self.layout, self.channels = _LAYOUTS[frame_format.colour]
        self.interpolation = _INTERPOLATIONS[frame_format.interpolation]
        # One reformatter for all frames. A frame's own would be created, with threads, for it alone: twice
        # the time.
        self.reformatter = VideoReformatter()

    @property
    def frame_bytes(self) -> int:
        """Bytes of one scaled frame."""
        return self.width * self.height * self.channels

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Scale a frame and turn it upright.

        Args:
            frame: A decoded frame of any size.

        Returns:
            Pixels (H, W, C) uint8; H and W are swapped for clips that are turned by 90 or 270 degrees.

        Raises:
            UnreadableClip: The frame is too large or too long.
        """
        check_size(frame.width, frame.height)
        scaled = self.reformatter.reformat(
            frame, self.width, self.height, self.layout, interpolation=self.interpolation, threads=1
        )
        pixels = scaled.to_ndarray().reshape(self.height, self.width, self.channels)
        upright: NDArray[np.uint8] = np.rot90(pixels, frame.rotation // 90)
        return upright


def check_size(width: int, height: int) -> None:
    """Raise UnreadableClip unless frames of `width` x `height` pixels may be decoded."""
    if width * height > MAX_PIXELS:
        raise UnreadableClip(f"claims frames of {width} x {height} pixels: give at most {MAX_PIXELS:,}")
    if max(width, height) > MAX_ASPECT * max(1, min(width, height)):
        raise UnreadableClip(
            f"has frames of {width} x {height} pixels: give sides of at most 1 to {MAX_ASPECT}"
        )


def _scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    if not short_side:
        return width, height
    scale = short_side / max(1, min(width, height))
    return max(short_side, round(width * scale)), max(short_side, round(height * scale))
