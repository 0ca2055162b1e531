"""What happens to a normalised batch on its device: shifted colours, erased boxes, mixed pairs."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.data.resident import moved
from residua.data.sampler import COLOUR, CUTOUT, ERASE, ERASE_TRIES, MIX, draws
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

PRINCIPAL_DEVIATIONS = (0.2175, 0.0188, 0.0045)
"""How far ImageNet's colours spread along each of their principal axes, on a scale from 0 to 1: the values of
fb.resnet.torch (datasets/imagenet.lua), for the colour shift of Krizhevsky et al. 2012, section 4.1."""
PRINCIPAL_AXES = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
"""The axes as columns, in the order red, green, blue; same source."""
ERASED_AREA, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)
"""Share of the image and height over width of an erased box (torchvision's RandomErasing)."""
MOST_TRIES = 10
"""Boxes that are tried before an image stays whole (the same)."""

_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mix:
    """How each image of a batch is mixed with the one before it (the first with the last)."""

    share: float
    """Weight of the image's own label, from 0 to 1."""
    box: tuple[int, int, int, int] | None
    """Left, top, right and bottom of the pixels that come from the other; None blends all of them."""


@dataclass(frozen=True, eq=False, slots=True)
class BatchAugmentation:
    """What is done to one batch of n images; tensors are on its device."""

    shift: Tensor | None = None
    """What is added to every pixel of an image: (n, C) float, in units of the normalised input."""
    boxes: Tensor | None = None
    """Top, left, bottom, right of what becomes the mean colour: (k, n, 4) int64; empty boxes do nothing."""
    mix: Mix | None = None
    """How the images are mixed, after the rest."""

    def part(self, places: slice) -> "BatchAugmentation":
        """The same for some of the images."""
        shift = None if self.shift is None else self.shift[places]
        return BatchAugmentation(shift, None if self.boxes is None else self.boxes[:, places], self.mix)

    def on(self, device: torch.device) -> "BatchAugmentation":
        """The same on another device; nobody waits for the copies."""
        shift = None if self.shift is None else moved(self.shift, device)
        return BatchAugmentation(shift, None if self.boxes is None else moved(self.boxes, device), self.mix)


def touch(
    augment: Augment, preprocess: Preprocess, *, seed: int, step: int, epoch: int, indices: _Ints, size: int
) -> BatchAugmentation | None:
    """What `augment` does to the images at `indices`, `size` pixels wide, at global step `step`; on the CPU.

    Colours and boxes are keyed by (seed, epoch, index), the mix by (seed, step). None when nothing is done.
    ValueError when colours are to shift in grey images.
    """
    boxes = []
    if augment.erase:
        boxes.append(_erased(augment.erase, size, (seed, epoch, indices)))
    if augment.cutout:
        boxes.append(_cut(augment.cutout, size, (seed, epoch, indices)))
    shift = _shift(augment.colour, preprocess, (seed, epoch, indices)) if augment.colour else None
    mixed = _mix(augment, size, seed, step) if augment.mixup or augment.cutmix else None
    if shift is None and not boxes and mixed is None:
        return None
    return BatchAugmentation(
        None if shift is None else torch.from_numpy(shift),
        torch.from_numpy(np.stack(boxes)) if boxes else None,
        mixed,
    )


def touched(images: Tensor, how: BatchAugmentation | None) -> Tensor:
    """Images (n, C, S, S) or clips (n, C, T, S, S), normalised and nobody else's, after `how`.

    All frames of a clip get the same.
    """
    if how is None:
        return images
    if how.shift is not None:
        images = images.add_(how.shift.view(*how.shift.shape, *[1] * (images.ndim - 2)))
    if how.boxes is not None:
        inside = _inside(how.boxes, images.shape[-1])
        images = images.masked_fill_(inside.view(-1, *[1] * (images.ndim - 3), *inside.shape[1:]), 0.0)
    if how.mix is None:
        return images
    other = images.roll(1, 0)
    if how.mix.box is None:
        return images.mul_(how.mix.share).add_(other, alpha=1 - how.mix.share)
    left, top, right, bottom = how.mix.box
    images[..., top:bottom, left:right] = other[..., top:bottom, left:right]
    return images


def _inside(boxes: Tensor, size: int) -> Tensor:
    """(k, n, 4) boxes -> (n, S, S) bool: the pixels in any of an image's boxes."""
    places = torch.arange(size, device=boxes.device)
    top, left, bottom, right = (boxes[..., side, None] for side in range(4))
    rows, columns = (places >= top) & (places < bottom), (places >= left) & (places < right)
    return (rows[..., :, None] & columns[..., None, :]).any(0)


_Key = tuple[int, int, _Ints]


def _shift(deviation: float, preprocess: Preprocess, key: _Key) -> NDArray[np.float32]:
    """(n, 3): the axes times their deviations times normal draws (Krizhevsky et al. 2012, section 4.1)."""
    if preprocess.colour != "rgb":
        raise ValueError(f"augment.colour is {deviation}: grey images have no colours to shift, give 0")
    along = np.stack([_normal(key, COLOUR + 2 * axis) for axis in range(3)], 1)
    shift = along * deviation * np.array(PRINCIPAL_DEVIATIONS) @ np.array(PRINCIPAL_AXES).T
    scaled: NDArray[np.float32] = (shift / np.array(preprocess.std)).astype(np.float32)
    return scaled


def _normal(key: _Key, stream: int) -> NDArray[np.float64]:
    """(n,) draws of the standard normal distribution (Box and Muller 1958)."""
    radius = np.sqrt(-2 * np.log(1 - draws(*key, stream)))
    found: NDArray[np.float64] = radius * np.cos(2 * np.pi * draws(*key, stream + 1))
    return found


def _erased(chance: float, size: int, key: _Key) -> _Ints:
    """(n, 4) boxes, some of them empty: the rule of torchvision's RandomErasing."""
    boxes = np.zeros((len(key[2]), 4), np.int64)
    waiting = draws(*key, ERASE) < chance
    low, high = np.log(ERASED_ASPECT)
    for attempt in range(MOST_TRIES):
        area, aspect, top, left = (draws(*key, ERASE_TRIES + 4 * attempt + part) for part in range(4))
        pixels = size**2 * (ERASED_AREA[0] + area * (ERASED_AREA[1] - ERASED_AREA[0]))
        ratio = np.exp(low + aspect * (high - low))
        height, width = (np.rint(np.sqrt(pixels * r)).astype(np.int64) for r in (ratio, 1 / ratio))
        fits = waiting & (height < size) & (width < size)
        y, x = ((u * (size - side + 1)).astype(np.int64) for u, side in ((top, height), (left, width)))
        boxes[fits] = np.stack([y, x, y + height, x + width], 1)[fits]
        waiting &= ~fits
    return boxes


def _cut(side: int, size: int, key: _Key) -> _Ints:
    """(n, 4) squares around random centres, cut off at the border (DeVries and Taylor 2017, section 3.1)."""
    y, x = ((draws(*key, CUTOUT + part) * size).astype(np.int64) - side // 2 for part in range(2))
    return np.clip(np.stack([y, x, y + side, x + side], 1), 0, size)


def _mix(augment: Augment, size: int, seed: int, step: int) -> Mix | None:
    """The mix of one step, by the formulas of torchvision's MixUp and CutMix."""
    from scipy.special import betaincinv

    taken, which, share, x, y = (
        float(draws(seed, step, np.zeros(1, np.int64), MIX + part)[0]) for part in range(5)
    )
    if taken >= augment.mix_share:
        return None
    blends = which < 0.5 if augment.mixup and augment.cutmix else augment.mixup > 0
    alpha = augment.mixup if blends else augment.cutmix
    own = float(betaincinv(alpha, alpha, share))  # the inverse of Beta's distribution at an even draw
    if blends:
        return Mix(own, None)
    half = int(0.5 * math.sqrt(1 - own) * size)
    left, top = max(0, int(x * size) - half), max(0, int(y * size) - half)
    right, bottom = min(size, int(x * size) + half), min(size, int(y * size) + half)
    return Mix(1 - (right - left) * (bottom - top) / size**2, (left, top, right, bottom))
