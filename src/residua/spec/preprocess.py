"""Preprocess: how pixels become the input of a network; stored with weights and exports."""

import base64
import binascii
import math
import zlib
from dataclasses import dataclass
from typing import Literal

from residua.errors import ConfigError
from residua.spec.record import HUGE

Colour = Literal["rgb", "grey", "bands"]
"""Meaning of the channels; `bands` are any number of others, which come as arrays, not as image files."""

LARGEST = 1 << 24
"""Largest mean image in bytes: more is a text made to fill memory."""
MAX_SIDE = 1 << 14
"""Largest side of an image, in pixels."""
MAX_CHANNELS = 1 << 12
"""Most channels of an image."""


def packed(levels: bytes) -> str:
    """Text for `Preprocess.mean_image` from `levels`, the (C, S, S) bytes of a mean image."""
    return base64.b64encode(zlib.compress(levels, 9)).decode()


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The path from a decoded image to the input of a network: the same in training, evaluation and serving.

    The shorter side is resized to `resize` pixels, a `size` x `size` square is cut from the centre, and each
    channel c becomes (value / 255 - mean[c]) / std[c]. With a mean image, mean[c] is its pixel at the
    same place; for images of another size it is resized bilinearly.
    """

    size: int
    """Side of the square that the network reads. Unit: pixels."""
    resize: int
    """Shorter side before the crop; at least `size`. Unit: pixels."""
    mean: tuple[float, ...]
    """Mean of each channel, on a scale from 0 to 1."""
    std: tuple[float, ...]
    """Standard deviation of each channel, on a scale from 0 to 1."""
    colour: Colour = "rgb"
    """Meaning of the channels."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Interpolation of the resize; always antialiased."""
    mean_image: str = ""
    """Mean of every pixel (He et al. 2015, 3.4), in whole grey levels and packed; empty for none."""

    def __post_init__(self) -> None:
        if not 0 < self.size <= self.resize <= MAX_SIDE:
            allowed = f"1 to {MAX_SIDE} pixels, the crop no larger"
            raise ConfigError(f"crop {self.size} of an image resized to {self.resize}: give {allowed}")
        if not 0 < len(self.mean) <= MAX_CHANNELS:
            raise ConfigError(f"{len(self.mean)} channels: give 1 to {MAX_CHANNELS}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ConfigError(
                f"{self.colour} needs {self.channels} mean and std: got {self.mean} and {self.std}"
            )
        if not 1 / HUGE <= min(self.std) <= max(self.std) <= HUGE:
            raise ConfigError(f"std {self.std}: give numbers above 0, at most {HUGE:g}")
        if max(map(abs, self.mean)) > HUGE:
            raise ConfigError(f"mean {self.mean}: give numbers of at most {HUGE:g}")
        count = len(self.levels)
        if count != self.channels * self.mean_side**2 or (self.mean_image and not count):
            raise ConfigError(f"mean_image holds {count} bytes, no square of {self.channels} channels")

    @property
    def levels(self) -> bytes:
        """The mean image: (C, S, S) grey levels, one byte each; empty without one."""
        if not self.mean_image:
            return b""
        try:
            return zlib.decompressobj().decompress(base64.b64decode(self.mean_image), LARGEST)
        except (binascii.Error, zlib.error):
            raise ConfigError(f"mean_image {self.mean_image[:20]!r}... is no packed image") from None

    @property
    def mean_side(self) -> int:
        """Side of the mean image, in pixels; 0 without one."""
        return math.isqrt(len(self.levels) // self.channels)

    @property
    def channels(self) -> int:
        """Number of channels: 3 for rgb, 1 for grey, as many as there are means for bands."""
        return {"rgb": 3, "grey": 1, "bands": len(self.mean)}[self.colour]


def resize_in_proportion(preprocess: Preprocess, size: int) -> int:
    """Shorter side before the crop, in pixels, so that a crop of `size` pixels shows as much as before."""
    return max(size, size * preprocess.resize // preprocess.size)


IMAGENET = Preprocess(224, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""torchvision's ResNet preset (`ImageClassification(crop_size=224)`)."""
