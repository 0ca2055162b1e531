"""Random views of images for training, and normalisation.

A *view* is a square (C, S, S) uint8. `eval_view.py` cuts the centre; `train_view` crops and flips at random,
keyed by (seed, epoch, index), so that a view does not depend on workers or on where a run was interrupted.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from residua.data.eval_view import eval_view, limit_aspect, pixel_array, resize_shorter
from residua.data.sampler import COLUMN, FLIP, POLICY, ROW, SCALE, TRIES, draw, draws, seed_for
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

_MAX_TRIES = 10  # as torchvision's RandomResizedCrop
_SIZE_STEP = 16  # pixels by which crops grow; our choice: each size is one more shape to compile and plan for

NUMPY_PAD_MODES: Mapping[str, Literal["constant", "reflect"]] = {"zeros": "constant", "reflect": "reflect"}
"""Name of a border -> mode of `numpy.pad`."""

_Key = tuple[int, int, int]
"""Seed, epoch and index: all random numbers of one view depend on them."""


def train_view(
    image: Image.Image, preprocess: Preprocess, augment: Augment, seed: int, epoch: int, index: int
) -> NDArray[np.uint8]:
    """A random view of an image, as in training.

    Args:
        image: An image in mode RGB or L.
        preprocess: Sizes and interpolation.
        augment: Kind of crop, flips and policy.
        seed: Seed of the run.
        epoch: Epoch from 0.
        index: Index of the image in its split.

    Returns:
        The view (C, S, S) uint8, S being `preprocess.size`.
    """
    key = (seed, epoch, index)
    if augment.kind == "resized_crop":
        view = _resized_crop(image, preprocess, augment, key)
    elif augment.kind == "scale_crop":
        view = _scale_crop(limit_aspect(image), preprocess, augment, key)
    else:
        view = eval_view(image, preprocess)
    indices = np.array([index])
    if augment.kind == "pad_crop":
        border = (augment.pad, augment.pad)
        padded = np.pad(view, ((0, 0), border, border), NUMPY_PAD_MODES[augment.border])
        top, left = (int(offset[0]) for offset in crop_offsets(augment, seed, epoch, indices))
        view = padded[:, top : top + preprocess.size, left : left + preprocess.size]
    view = _flip(view) if flip_mask(augment, seed, epoch, indices)[0] else view
    return view if augment.policy == "none" else _apply_policy(view, augment, key)


def train_clip_view(
    frames: NDArray[np.uint8], preprocess: Preprocess, augment: Augment, seed: int, epoch: int, index: int
) -> NDArray[np.uint8]:
    """`train_view` of all frames of a clip, with one crop and one flip for all of them.

    Args:
        frames: (T, H, W, C) uint8.
        preprocess: As for `train_view`.
        augment: As for `train_view`.
        seed: As for `train_view`.
        epoch: As for `train_view`.
        index: Index of the clip in its split.

    Returns:
        The views (T, C, S, S) uint8.
    """
    key = (seed, epoch, index)
    if augment.kind != "resized_crop" or augment.policy != "none":
        images = (Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame) for frame in frames)
        return np.stack([train_view(image, preprocess, augment, *key) for image in images])
    height, width = frames.shape[1:3]
    left, top, right, bottom = _crop_box((width, height), augment, key)
    views = _resize_square(frames[:, top:bottom, left:right], preprocess)
    return _flip(views) if flip_mask(augment, seed, epoch, np.array([index]))[0] else views


def max_shrink(
    size: tuple[int, int], preprocess: Preprocess, augment: Augment, seed: int, epoch: int, index: int
) -> int:
    """How many times smaller an image may be decoded, so that `train_view` never enlarges its crop.

    Args:
        size: Width and height of the image in pixels.
        preprocess: As for `train_view`.
        augment: As for `train_view`.
        seed: As for `train_view`.
        epoch: As for `train_view`.
        index: As for `train_view`.

    Returns:
        The factor; 0 or 1 for full size. Always 1 for views that equal torchvision's bit for bit.
    """
    if augment.kind != "resized_crop":
        return 1
    left, top, right, bottom = _crop_box(size, augment, (seed, epoch, index))
    return min(right - left, bottom - top) // preprocess.size


def crop_offsets(
    augment: Augment, seed: int, epoch: int, indices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the crops of padded images begin.

    Args:
        augment: Gives the padding on each side, `pad`.
        seed: Seed of the run.
        epoch: Epoch from 0.
        indices: Indices of the images (n,).

    Returns:
        Rows (n,) and columns (n,) int64, from 0 to twice `pad`.
    """
    count = 2 * augment.pad + 1
    row, column = (draws(seed, epoch, indices, stream) for stream in (ROW, COLUMN))
    return (row * count).astype(np.int64), (column * count).astype(np.int64)


def flip_mask(augment: Augment, seed: int, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images are flipped left to right.

    With `augment.alternate`, an image that is flipped in one epoch is not in the next.

    Args:
        augment: Gives the probability, `flip`.
        seed: Seed of the run.
        epoch: Epoch from 0.
        indices: Indices of the images (n,).

    Returns:
        A mask (n,) bool.
    """
    if augment.alternate:
        first = draws(seed, 0, indices, FLIP) < augment.flip
        return np.asarray(first ^ bool(epoch % 2))
    return np.asarray(draws(seed, epoch, indices, FLIP) < augment.flip)


def crop_size_at(augment: Augment, size: int, epoch: int, epochs: int) -> int:
    """Side of the crops in one epoch, for training that starts with small images.

    Args:
        augment: `grow` gives the share of `size` at the start, and the share of the epochs after which it is
            `size`.
        size: Side in pixels at the end.
        epoch: Epoch from 0.
        epochs: Number of epochs.

    Returns:
        Pixels; grows evenly in steps of 16 and never exceeds `size`.
    """
    start_share, full_at = augment.grow
    progress = min(1.0, epoch / (full_at * epochs)) if full_at else 1.0
    side = size * (start_share + (1 - start_share) * progress)
    if progress == 1.0:
        return size
    return max(min(size, _SIZE_STEP), min(size, int(side / _SIZE_STEP) * _SIZE_STEP))


def normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Normalise pixels: (value / 255 - mean) / std.

    Args:
        images: Images (N, C, H, W) or clips (N, C, T, H, W) uint8.
        preprocess: Mean and standard deviation of each channel, or a mean image.

    Returns:
        The same shape, device and strides, float32.
    """
    mean, std = _statistics(preprocess, images.shape[2:], images.device)
    return images.to(torch.float32).sub_(mean).div_(std)


def denormalise(inputs: Tensor, preprocess: Preprocess) -> Tensor:
    """The inverse of `normalise`: uint8 pixels of the same shape."""
    mean, std = _statistics(preprocess, inputs.shape[2:], inputs.device)
    return (inputs * std + mean).round().clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=8)  # a tensor made from a list on an accelerator makes the host wait
def _statistics(preprocess: Preprocess, size: torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation for images of `size` ([T,] H, W), on the scale of pixels (0 to 255)."""
    ones = [1] * len(size)
    with torch.inference_mode(mode=False):
        mean, std = (
            torch.tensor(values).mul(255).view(1, -1, *ones) for values in (preprocess.mean, preprocess.std)
        )
        if side := preprocess.mean_side:
            levels = torch.frombuffer(bytearray(preprocess.levels), dtype=torch.uint8)
            mean = interpolate(levels.view(1, -1, side, side).float(), size=size[-2:], mode="bilinear")
            mean = mean.view(1, -1, *ones[2:], *size[-2:])
        return mean.to(device), std.to(device)


def _crop_box(size: tuple[int, int], augment: Augment, key: _Key) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random area (Szegedy et al. 2014, section 6), or of the centre."""
    width, height = size
    for attempt in range(_MAX_TRIES):
        area, aspect, left, top = (draw(*key, TRIES + 4 * attempt + part) for part in range(4))
        pixels = width * height * (augment.area[0] + area * (augment.area[1] - augment.area[0]))
        low, high = math.log(augment.aspect[0]), math.log(augment.aspect[1])
        ratio = math.exp(low + aspect * (high - low))
        across, down = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < across <= width and 0 < down <= height:
            x, y = int(left * (width - across + 1)), int(top * (height - down + 1))
            return x, y, x + across, y + down
    across = max(1, min(width, round(height * augment.aspect[1])))
    down = max(1, min(height, round(width / augment.aspect[0])))
    x, y = (width - across) // 2, (height - down) // 2
    return x, y, x + across, y + down


def _resized_crop(
    image: Image.Image, preprocess: Preprocess, augment: Augment, key: _Key
) -> NDArray[np.uint8]:
    """A random area of `image`: (C, S, S)."""
    crop = pixel_array(image.crop(_crop_box(image.size, augment, key))).transpose(1, 2, 0)
    view: NDArray[np.uint8] = _resize_square(crop.reshape(1, *crop.shape), preprocess)[0]
    return view


def _resize_square(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    """(N, H, W, C) as (N, C, S, S), by torch, which takes half of Pillow's time for bytes."""
    size = (preprocess.size, preprocess.size)
    channels_last = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    resized = interpolate(channels_last, size, mode=preprocess.interpolation, antialias=True)
    views: NDArray[np.uint8] = resized.numpy()
    return views


def _flip(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`view` (..., C, H, W), stored as (..., H, W, C), flipped left to right; NumPy would copy byte by
    byte."""
    rows = torch.from_numpy(np.ascontiguousarray(np.moveaxis(view, -3, -1)))
    flipped: NDArray[np.uint8] = rows.flip(-2).numpy()
    return np.moveaxis(flipped, -1, -3)


def _scale_crop(image: Image.Image, preprocess: Preprocess, augment: Augment, key: _Key) -> NDArray[np.uint8]:
    """A random square of `image`, resized to a random scale (Simonyan and Zisserman 2014, section 3.1)."""
    low, high = augment.sides
    side = max(preprocess.size, low + int(draw(*key, SCALE) * (high - low + 1)))
    scaled = resize_shorter(image, replace(preprocess, resize=side))
    left = int(draw(*key, COLUMN) * (scaled.width - preprocess.size + 1))
    top = int(draw(*key, ROW) * (scaled.height - preprocess.size + 1))
    return pixel_array(scaled.crop((left, top, left + preprocess.size, top + preprocess.size)))


def _apply_policy(view: NDArray[np.uint8], augment: Augment, key: _Key) -> NDArray[np.uint8]:
    """Apply torchvision's RandAugment or TrivialAugment, seeded by the key of the view."""
    from torchvision.transforms import v2

    policy = (
        v2.RandAugment(augment.policy_count, augment.policy_size)
        if augment.policy == "rand"
        else v2.TrivialAugmentWide()
    )
    pixels = np.ascontiguousarray(view.transpose(1, 2, 0))
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    with torch.random.fork_rng(devices=[]):  # leaves the caller's generator unchanged
        torch.default_generator.manual_seed(seed_for(*key, POLICY))
        return pixel_array(policy(image))
