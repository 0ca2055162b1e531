"""Preprocess: how pixels become the input of a network; travels with weights, exports and server."""

import base64
import binascii
import math
import zlib
from dataclasses import dataclass
from typing import Literal

Colour = Literal["rgb", "grey", "bands"]
"""What the channels of an image are; bands are any number of others, which come as arrays, not as files."""

LARGEST = 1 << 24
"""Most bytes of a mean image: more is no picture, but a text made to fill memory."""


def packed(levels: bytes) -> str:
    """The bytes of a mean image, (C, S, S) whole grey levels, as a text for `Preprocess.mean_image`."""
    return base64.b64encode(zlib.compress(levels, 9)).decode()


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The one path from a decoded image to a network's input, the same in training, judging and serving.

    The shorter side is resized to `resize` pixels, a `size` x `size` square is cut from the centre, and each
    channel c becomes (value / 255 - mean[c]) / std[c]. With a mean image, its pixel at the same place stands
    in for mean[c]; squares and whole images of another size meet it resized, bilinearly.
    """

    size: int
    """Side of the square the network sees, in pixels."""
    resize: int
    """Shorter side before the crop, in pixels; at least `size`."""
    mean: tuple[float, ...]
    """Mean of each channel, on a scale from 0 to 1."""
    std: tuple[float, ...]
    """Standard deviation of each channel, on a scale from 0 to 1."""
    colour: Colour = "rgb"
    """What the channels are."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How pixels between pixels are found; always antialiased."""
    mean_image: str = ""
    """The mean of every pixel (He et al. 2015, 3.4), rounded to whole grey levels and `packed`; or empty."""

    def __post_init__(self) -> None:
        """ValueError when the parts disagree."""
        if not 0 < self.size <= self.resize:
            raise ValueError(
                f"crop {self.size} of an image resized to {self.resize}: give 0 < size <= resize"
            )
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"{self.colour} needs {self.channels} mean and std: got {self.mean} and {self.std}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std}: give positive numbers")
        count = len(self.levels)
        if count != self.channels * self.mean_side**2 or (self.mean_image and not count):
            raise ValueError(f"mean_image holds {count} bytes, no square of {self.channels} channels")

    @property
    def levels(self) -> bytes:
        """The mean image: (C, S, S) grey levels from 0 to 255, one byte each; none without one."""
        if not self.mean_image:
            return b""
        try:
            return zlib.decompressobj().decompress(base64.b64decode(self.mean_image), LARGEST)
        except (binascii.Error, zlib.error):
            raise ValueError(f"mean_image {self.mean_image[:20]!r}... is no packed image") from None

    @property
    def mean_side(self) -> int:
        """Side of the mean image, in pixels; 0 without one."""
        return math.isqrt(len(self.levels) // self.channels)

    @property
    def channels(self) -> int:
        """Number of channels: 3 for rgb, 1 for grey, as many as there are means for bands."""
        return {"rgb": 3, "grey": 1, "bands": len(self.mean)}[self.colour]


IMAGENET = Preprocess(224, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""torchvision's ResNet preset (`ImageClassification(crop_size=224)`)."""
