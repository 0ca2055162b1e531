"""Clip: the frames of a video that a network reads, and which of them it reads together."""

from dataclasses import dataclass

from residua.errors import ConfigError

MAX_FRAMES = 1 << 12
"""Most frames of an input, and largest step from one to the next."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of one input (N, C, T, H, W), where T is `total`; stored with the weights.

    A video is divided into `segments` equal parts. The network reads `frames` frames of each together,
    `stride` apart; the logits of the segments are averaged. With one frame and several segments, an image
    network reads every segment (temporal segment networks, Wang et al. 2016).
    """

    frames: int = 16
    """Frames of one segment."""
    stride: int = 2
    """Frames of the video from one to the next; 0 spreads them evenly over the segment."""
    segments: int = 1
    """Segments of the video, whose logits are averaged; 1 is off."""

    def __post_init__(self) -> None:
        if min(self.frames, self.segments) < 1 or self.total > MAX_FRAMES:
            raise ConfigError(f"{self}: give frames and segments above 0, {MAX_FRAMES} in all at most")
        if not 0 <= self.stride <= MAX_FRAMES:
            raise ConfigError(f"{self}: give a stride of 0 to {MAX_FRAMES}")

    @property
    def total(self) -> int:
        """Frames of all segments."""
        return self.frames * self.segments

    @property
    def description(self) -> str:
        """`16 frames together, one of every 2`, for tables and plans."""
        apart = f", one of every {self.stride}" if self.stride > 1 else ""
        even = ", spread evenly" if self.stride == 0 else apart
        together = f"{self.frames} frames together{even}" if self.frames > 1 else "one frame"
        return f"{together} of each of {self.segments} segments" if self.segments > 1 else together

    @property
    def span(self) -> int:
        """Frames of the video that one segment needs; 1 where the stride spreads them."""
        return (self.frames - 1) * self.stride + 1
