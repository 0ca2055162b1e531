"""Views: an image as the square of pixels a network sees, with keyed chance in training."""

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

from residua.data.sampler import COLUMN, FLIP, POLICY, ROW, SCALE, TRIES, draw, draws, key
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

_MOST_TRIES = 10  # as torchvision's RandomResizedCrop
_LONGEST = 100  # times the shorter side; our choice: a line of 1 x 20000 would be resized to 1.3 gigapixels

_STEP = 16  # pixels by which crops grow: few sizes are few shapes to plan for; our choice

BORDERS: Mapping[str, Literal["constant", "reflect"]] = {"zeros": "constant", "reflect": "reflect"}
"""Our names of borders, and numpy's."""

_Key = tuple[int, int, int]
"""Seed, epoch and index: what every draw of one view depends on."""


def test_view(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """The centre of `image` as (C, S, S) uint8, S being `preprocess.size`.

    Bit for bit what torchvision's `Resize(preprocess.resize)` and `CenterCrop(preprocess.size)` cut from it,
    unless it is more than 100 times longer than wide: then only its middle is resized.
    """
    image = _resized(_shortened(image), preprocess)
    # round() takes halves to the even neighbour, as torchvision does
    left = round((image.width - preprocess.size) / 2.0)
    top = round((image.height - preprocess.size) / 2.0)
    return _array(image.crop((left, top, left + preprocess.size, top + preprocess.size)))


def scaled_view(image: Image.Image, preprocess: Preprocess, short: int) -> NDArray[np.uint8]:
    """The whole of `image` with its shorter side at `short` pixels: (C, H, W) uint8.

    Bit for bit torchvision's `Resize(short)`, unless it is more than 100 times longer than wide: then its
    middle.
    """
    return _array(_resized(_shortened(image), replace(preprocess, size=short, resize=short)))


def train_view(
    image: Image.Image, preprocess: Preprocess, augment: Augment, seed: int, epoch: int, index: int
) -> NDArray[np.uint8]:
    """What epoch `epoch` sees of image `index`: (C, S, S) uint8, S being `preprocess.size`."""
    where = (seed, epoch, index)
    if augment.kind == "resized_crop":
        view = _resized_crop(image, preprocess, augment, where)
    elif augment.kind == "scale_crop":
        view = _scale_crop(_shortened(image), preprocess, augment, where)
    else:
        view = test_view(image, preprocess)
    this = np.array([index])
    if augment.kind == "pad_crop":
        border = (augment.pad, augment.pad)
        padded = np.pad(view, ((0, 0), border, border), BORDERS[augment.border])
        top, left = (int(shift[0]) for shift in shifts(augment, seed, epoch, this))
        view = padded[:, top : top + preprocess.size, left : left + preprocess.size]
    view = _mirrored(view) if flips(augment, seed, epoch, this)[0] else view
    return view if augment.policy == "none" else _changed(view, augment, where)


def train_views(
    frames: NDArray[np.uint8], preprocess: Preprocess, augment: Augment, seed: int, epoch: int, index: int
) -> NDArray[np.uint8]:
    """What `train_view` makes of all `frames` (T, H, W, C), with one crop and one mirror: (T, C, S, S)."""
    where = (seed, epoch, index)
    if augment.kind != "resized_crop" or augment.policy != "none":
        images = (Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame) for frame in frames)
        return np.stack([train_view(image, preprocess, augment, *where) for image in images])
    height, width = frames.shape[1:3]
    left, top, right, bottom = _crop_box((width, height), augment, where)
    views = _shrunk(frames[:, top:bottom, left:right], preprocess)
    return _mirrored(views) if flips(augment, seed, epoch, np.array([index]))[0] else views


def shrinkage(
    size: tuple[int, int], preprocess: Preprocess, augment: Augment, seed: int, epoch: int, index: int
) -> int:
    """How many times smaller `train_view` may have an image of `size`, and still shrink what it cuts out."""
    if augment.kind != "resized_crop":
        return 1  # these views equal torchvision's bit for bit
    left, top, right, bottom = _crop_box(size, augment, (seed, epoch, index))
    return min(right - left, bottom - top) // preprocess.size


def shifts(
    augment: Augment, seed: int, epoch: int, indices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each image's crop begins in its padded self: rows (n,) and columns (n,), 0 to twice `pad`."""
    places = 2 * augment.pad + 1
    row, column = (draws(seed, epoch, indices, stream) for stream in (ROW, COLUMN))
    return (row * places).astype(np.int64), (column * places).astype(np.int64)


def flips(augment: Augment, seed: int, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the images are mirrored: (n,)."""
    if augment.alternate:
        first = draws(seed, 0, indices, FLIP) < augment.flip
        return np.asarray(first ^ bool(epoch % 2))
    return np.asarray(draws(seed, epoch, indices, FLIP) < augment.flip)


def size_at(augment: Augment, size: int, epoch: int, epochs: int) -> int:
    """Side of the crops in epoch `epoch` of `epochs`, in pixels, when it is `size` in the end.

    It grows evenly, by whole steps of 16 pixels, and never exceeds `size`.
    """
    share, full = augment.grow
    done = min(1.0, epoch / (full * epochs)) if full else 1.0
    wished = size * (share + (1 - share) * done)
    return size if done == 1.0 else max(min(size, _STEP), min(size, int(wished / _STEP) * _STEP))


def normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Images (N, C, H, W) or clips (N, C, T, H, W) uint8 as (value / 255 - mean) / std in float32.

    Device and strides stay. The mean is that of each pixel where `preprocess` has a mean image.
    """
    mean, std = _statistics(preprocess, images.shape[2:], images.device)
    return images.to(torch.float32).sub_(mean).div_(std)


def as_pixels(inputs: Tensor, preprocess: Preprocess) -> Tensor:
    """The uint8 pixels that `normalise` makes `inputs` of."""
    mean, std = _statistics(preprocess, inputs.shape[2:], inputs.device)
    return (inputs * std + mean).round().clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=8)  # a tensor made from a list on an accelerator makes the host wait
def _statistics(preprocess: Preprocess, size: torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is subtracted from maps of `size` ([T,] H, W), and the divisor, both on the scale of pixels."""
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


def _shortened(image: Image.Image) -> Image.Image:
    longest = _LONGEST * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = (min(side, longest) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _resized(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    short = min(image.size)
    if short == preprocess.resize:
        return image
    # int(), not round(): the longer side is cut off as torchvision does
    width, height = (
        preprocess.resize if side == short else int(preprocess.resize * side / short) for side in image.size
    )
    return image.resize((width, height), _filter(preprocess))


def _filter(preprocess: Preprocess) -> Image.Resampling:
    return {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[
        preprocess.interpolation
    ]


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels as (C, H, W), in the memory of (H, W, C)."""
    pixels = np.array(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _crop_box(size: tuple[int, int], augment: Augment, key: _Key) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random area (Szegedy et al. 2014, section 6), or of the centre."""
    width, height = size
    for attempt in range(_MOST_TRIES):
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
    image: Image.Image, preprocess: Preprocess, augment: Augment, where: _Key
) -> NDArray[np.uint8]:
    """A random area of `image`: (C, S, S)."""
    cut = _array(image.crop(_crop_box(image.size, augment, where))).transpose(1, 2, 0)
    found: NDArray[np.uint8] = _shrunk(cut.reshape(1, *cut.shape), preprocess)[0]
    return found


def _shrunk(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    """(N, H, W, C) as (N, C, S, S), by torch, which takes half of Pillow's time for bytes."""
    size = (preprocess.size, preprocess.size)
    channels_last = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    resized = interpolate(channels_last, size, mode=preprocess.interpolation, antialias=True)
    found: NDArray[np.uint8] = resized.numpy()
    return found


def _mirrored(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`view`, (..., C, H, W) in the memory of (..., H, W, C), left for right; numpy would copy by bytes."""
    rows = torch.from_numpy(np.ascontiguousarray(np.moveaxis(view, -3, -1)))
    found: NDArray[np.uint8] = rows.flip(-2).numpy()
    return np.moveaxis(found, -1, -3)


def _scale_crop(
    image: Image.Image, preprocess: Preprocess, augment: Augment, where: _Key
) -> NDArray[np.uint8]:
    """A random square of `image`, resized to a random scale (Simonyan and Zisserman 2014, 3.1)."""
    low, high = augment.sides
    side = max(preprocess.size, low + int(draw(*where, SCALE) * (high - low + 1)))
    scaled = _resized(image, replace(preprocess, resize=side))
    left = int(draw(*where, COLUMN) * (scaled.width - preprocess.size + 1))
    top = int(draw(*where, ROW) * (scaled.height - preprocess.size + 1))
    return _array(scaled.crop((left, top, left + preprocess.size, top + preprocess.size)))


def _changed(view: NDArray[np.uint8], augment: Augment, where: _Key) -> NDArray[np.uint8]:
    """`view` after torchvision's policy, whose generator is seeded by the view's place."""
    from torchvision.transforms import v2

    policy = (
        v2.RandAugment(augment.policy_count, augment.policy_size)
        if augment.policy == "rand"
        else v2.TrivialAugmentWide()
    )
    pixels = np.ascontiguousarray(view.transpose(1, 2, 0))
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    with torch.random.fork_rng(devices=[]):  # the caller's generator is left as it was
        torch.default_generator.manual_seed(key(*where, POLICY))
        return _array(policy(image))
