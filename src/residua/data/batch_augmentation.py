"""Augmentation of whole, normalised batches on their device: colour shifts, erased boxes, mixup and cutmix.

`draw_batch_augmentation` draws the random numbers on the CPU, `augment_batch` applies them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.data.resident import to_device
from residua.data.sampler import COLOUR, CUTOUT, ERASE, ERASE_TRIES, MIX, draws
from residua.errors import ConfigError
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

PRINCIPAL_DEVIATIONS = (0.2175, 0.0188, 0.0045)
"""Standard deviations of ImageNet's colours along their principal axes, on a scale from 0 to 1, for the
colour shift of Krizhevsky et al. 2012, section 4.1. Values of fb.resnet.torch (datasets/imagenet.lua)."""
PRINCIPAL_AXES = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
"""The axes as columns, in the order red, green, blue; same source."""
ERASED_AREA, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)
"""Area as a share of the image, and height over width, of an erased box (torchvision's RandomErasing)."""
MAX_TRIES = 10
"""Boxes that are tried before an image stays whole (torchvision's RandomErasing)."""

_Ints = NDArray[np.int64]
_Key = tuple[int, int, _Ints]
"""Seed, epoch and indices (n,)."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How each image of a batch is mixed with the one before it (the first with the last)."""

    own_weight: float
    """Weight of the image's own label, from 0 to 1: lambda of mixup (Zhang et al. 2018) and cutmix (Yun et
    al. 2019)."""
    box: tuple[int, int, int, int] | None
    """Left, top, right and bottom of the pixels that come from the other image (cutmix); None blends all
    (mixup)."""


@dataclass(frozen=True, eq=False, slots=True)
class BatchAugmentation:
    """What is done to one batch of n normalised images; its tensors are on the device of the batch."""

    shift: Tensor | None = None
    """Added to all pixels of an image: (n, C) float, in units of the normalised input."""
    boxes: Tensor | None = None
    """Top, left, bottom and right of boxes that are set to the mean colour: (k, n, 4) int64; empty boxes do
    nothing."""
    mix: Mix | None = None
    """Mixup or cutmix, after the rest."""

    def select(self, images: slice) -> "BatchAugmentation":
        """The augmentation of some of the images."""
        shift = None if self.shift is None else self.shift[images]
        return BatchAugmentation(shift, None if self.boxes is None else self.boxes[:, images], self.mix)

    def to(self, device: torch.device) -> "BatchAugmentation":
        """Copy the tensors to `device` without waiting for the copies."""
        shift = None if self.shift is None else to_device(self.shift, device)
        return BatchAugmentation(
            shift, None if self.boxes is None else to_device(self.boxes, device), self.mix
        )


def draw_batch_augmentation(
    augment: Augment, preprocess: Preprocess, *, seed: int, step: int, epoch: int, indices: _Ints, size: int
) -> BatchAugmentation | None:
    """Draw the augmentation of one batch.

    Colours and boxes depend on (seed, epoch, index), mixup and cutmix on (seed, step).

    Args:
        augment: Which augmentations, and how strong.
        preprocess: Colour and normalisation of the images.
        seed: Seed of the run.
        step: Global step from 0.
        epoch: Epoch from 0.
        indices: Indices of the images (n,).
        size: Side of the images in pixels.

    Returns:
        The augmentation, on the CPU; None for nothing.

    Raises:
        ConfigError: `augment.colour` is set for grey images.
    """
    key = (seed, epoch, indices)
    boxes = []
    if augment.erase:
        boxes.append(_erase_boxes(augment.erase, size, key))
    if augment.cutout:
        boxes.append(_cutout_boxes(augment.cutout, size, key))
    shift = _colour_shift(augment.colour, preprocess, key) if augment.colour else None
    mix = _draw_mix(augment, size, seed, step) if augment.mixup or augment.cutmix else None
    if shift is None and not boxes and mix is None:
        return None
    return BatchAugmentation(
        None if shift is None else torch.from_numpy(shift),
        torch.from_numpy(np.stack(boxes)) if boxes else None,
        mix,
    )


def augment_batch(images: Tensor, augmentation: BatchAugmentation | None) -> Tensor:
    """Apply an augmentation; all frames of a clip get the same.

    Args:
        images: Normalised images (n, C, S, S) or clips (n, C, T, S, S) float; overwritten.
        augmentation: What to do; None for nothing.

    Returns:
        The augmented images; they share memory with `images`.
    """
    if augmentation is None:
        return images
    shift, boxes, mix = augmentation.shift, augmentation.boxes, augmentation.mix
    if shift is not None:
        images = images.add_(shift.view(*shift.shape, *[1] * (images.ndim - 2)))
    if boxes is not None:
        mask = _box_mask(boxes, images.shape[-1])
        images = images.masked_fill_(mask.view(-1, *[1] * (images.ndim - 3), *mask.shape[1:]), 0.0)
    if mix is None:
        return images
    others = images.roll(1, 0)
    if mix.box is None:
        return images.mul_(mix.own_weight).add_(others, alpha=1 - mix.own_weight)
    left, top, right, bottom = mix.box
    images[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return images


def _box_mask(boxes: Tensor, size: int) -> Tensor:
    """(k, n, 4) boxes -> (n, S, S) bool: the pixels in any of an image's boxes."""
    places = torch.arange(size, device=boxes.device)
    top, left, bottom, right = (boxes[..., side, None] for side in range(4))
    rows, columns = (places >= top) & (places < bottom), (places >= left) & (places < right)
    return (rows[..., :, None] & columns[..., None, :]).any(0)


def _colour_shift(deviation: float, preprocess: Preprocess, key: _Key) -> NDArray[np.float32]:
    """(n, 3): the axes times their deviations times normal draws (Krizhevsky et al. 2012, section 4.1)."""
    if preprocess.colour != "rgb":
        raise ConfigError(f"augment.colour is {deviation}: grey images have no colours to shift, give 0")
    along = np.stack([_normal(key, COLOUR + 2 * axis) for axis in range(3)], 1)
    shift = along * deviation * np.array(PRINCIPAL_DEVIATIONS) @ np.array(PRINCIPAL_AXES).T
    scaled: NDArray[np.float32] = (shift / np.array(preprocess.std)).astype(np.float32)
    return scaled


def _normal(key: _Key, stream: int) -> NDArray[np.float64]:
    """(n,) draws of the standard normal distribution (Box and Muller 1958)."""
    radius = np.sqrt(-2 * np.log(1 - draws(*key, stream)))
    values: NDArray[np.float64] = radius * np.cos(2 * np.pi * draws(*key, stream + 1))
    return values


def _erase_boxes(probability: float, size: int, key: _Key) -> _Ints:
    """(n, 4) boxes, some of them empty: the rule of torchvision's RandomErasing."""
    boxes = np.zeros((len(key[2]), 4), np.int64)
    pending = draws(*key, ERASE) < probability
    low, high = np.log(ERASED_ASPECT)
    for attempt in range(MAX_TRIES):
        area, aspect, top, left = (draws(*key, ERASE_TRIES + 4 * attempt + part) for part in range(4))
        pixels = size**2 * (ERASED_AREA[0] + area * (ERASED_AREA[1] - ERASED_AREA[0]))
        ratio = np.exp(low + aspect * (high - low))
        height, width = (np.rint(np.sqrt(pixels * r)).astype(np.int64) for r in (ratio, 1 / ratio))
        fits = pending & (height < size) & (width < size)
        y, x = ((u * (size - side + 1)).astype(np.int64) for u, side in ((top, height), (left, width)))
        boxes[fits] = np.stack([y, x, y + height, x + width], 1)[fits]
        pending &= ~fits
    return boxes


def _cutout_boxes(side: int, size: int, key: _Key) -> _Ints:
    """(n, 4) squares around random centres, clipped at the border (DeVries and Taylor 2017, section 3.1)."""
    y, x = ((draws(*key, CUTOUT + part) * size).astype(np.int64) - side // 2 for part in range(2))
    return np.clip(np.stack([y, x, y + side, x + side], 1), 0, size)


def _draw_mix(augment: Augment, size: int, seed: int, step: int) -> Mix | None:
    """Mixup or cutmix of one step, by the formulas of torchvision's MixUp and CutMix."""
    from scipy.special import betaincinv

    applies, which, quantile, x, y = (
        float(draws(seed, step, np.zeros(1, np.int64), MIX + part)[0]) for part in range(5)
    )
    if applies >= augment.mix_share:
        return None
    is_mixup = which < 0.5 if augment.mixup and augment.cutmix else augment.mixup > 0
    alpha = augment.mixup if is_mixup else augment.cutmix
    own_weight = float(betaincinv(alpha, alpha, quantile))  # a draw from Beta(alpha, alpha) by its inverse
    if is_mixup:
        return Mix(own_weight, None)
    half = int(0.5 * math.sqrt(1 - own_weight) * size)
    left, top = max(0, int(x * size) - half), max(0, int(y * size) - half)
    right, bottom = min(size, int(x * size) + half), min(size, int(y * size) + half)
    return Mix(1 - (right - left) * (bottom - top) / size**2, (left, top, right, bottom))
