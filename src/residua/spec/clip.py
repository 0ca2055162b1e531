"""Clip: which frames of a video a network reads, and which of them it reads together."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of one input (N, C, T, H, W), T being `total`; travels with weights.

    The video is cut into `segments` equal stretches. From each come `frames` frames, `stride` apart, which
    the network reads together; the logits of the segments are averaged. One frame and several segments are
    an image network on every segment (temporal segment networks, Wang et al. 2016).
    """

    frames: int = 16
    """Frames of one segment."""
    stride: int = 2
    """Frames of the video from one of them to the next; 0 spreads them evenly over their stretch."""
    segments: int = 1
    """Stretches of the video, whose logits are averaged."""

    def __post_init__(self) -> None:
        """ValueError when there is nothing to take."""
        if min(self.frames, self.segments) < 1 or self.stride < 0:
            raise ValueError(f"{self}: give frames and segments above 0, and a stride from 0 on")

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
        """Frames of the video that one segment reaches over; 1 where the stride spreads them."""
        return (self.frames - 1) * self.stride + 1
