"""A whole split in memory, augmented by the batch: the pixels of `train_view` without a loop over images."""

from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.data.eval_view import eval_view
from residua.data.images import Images
from residua.data.transforms import NUMPY_PAD_MODES, crop_offsets, flip_mask
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

_CPU = torch.device("cpu")
_CHUNK = 64  # images that a thread decodes at a time
_decoded: "WeakKeyDictionary[Images, tuple[Preprocess, ResidentImages]]" = WeakKeyDictionary()
"""Splits that are evaluated, for as long as something holds them: every epoch evaluates the same."""


class ResidentImages:
    """The evaluation views of all images of a split, stored as (N, S, S, C) uint8 on one device."""

    def __init__(self, images: Images, preprocess: Preprocess, *, device: torch.device = _CPU) -> None:
        """Decode all images; an array that fits as it is, is used without a copy on the CPU.

        Args:
            images: The split.
            preprocess: Size S and colour of the views.
            device: Where the views are stored.

        Raises:
            DataError: An image cannot be decoded; the message names it.
        """
        self._pixels = torch.from_numpy(_eval_views(images, preprocess)).to(device)

    @classmethod
    def evaluated(cls, images: Images, preprocess: Preprocess) -> "ResidentImages":
        """The views of a split on the CPU, decoded once however often it is evaluated.

        Raises:
            DataError: An image cannot be decoded; the message names it.
        """
        known = _decoded.get(images)
        if known is None or known[0] != preprocess:
            known = _decoded[images] = preprocess, cls(images, preprocess)
        return known[1]

    @staticmethod
    def fits(images: Images, preprocess: Preprocess, limit_bytes: int) -> bool:
        """Whether the views of all images take at most `limit_bytes`."""
        return len(images) * preprocess.size**2 * preprocess.channels <= limit_bytes

    def eval_batch(self, indices: NDArray[np.int64]) -> Tensor:
        """The evaluation views at `indices`: (n, C, S, S) uint8, channels last in memory."""
        return self._select(indices).permute(0, 3, 1, 2)

    def train_batch(self, indices: NDArray[np.int64], augment: Augment, seed: int, epoch: int) -> Tensor:
        """The views that `train_view` makes of some images.

        Args:
            indices: Indices of the images (n,).
            augment: Crops and flips.
            seed: Seed of the run.
            epoch: Epoch from 0.

        Returns:
            (n, C, S, S) uint8 on the device, channels last in memory.

        Raises:
            ValueError: `augment` needs whole images: resized crops and policies.
        """
        if augment.whole_images:
            raise ValueError("resized crops and policies need whole images, not a set in memory")
        views = self._select(indices)
        if augment.kind == "pad_crop":
            views = _shift_crops(views, augment, *crop_offsets(augment, seed, epoch, indices))
        flipped = self._index(np.flatnonzero(flip_mask(augment, seed, epoch, indices)))
        views.index_copy_(0, flipped, views.index_select(0, flipped).flip(2))
        return views.permute(0, 3, 1, 2)

    def _select(self, indices: NDArray[np.int64]) -> Tensor:
        """A copy of the views at `indices`, (n, S, S, C)."""
        return self._pixels.index_select(0, self._index(indices))

    def _index(self, indices: NDArray[np.int64]) -> Tensor:
        return to_device(torch.tensor(indices, dtype=torch.int64), self._pixels.device)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to `device` without waiting for the copy."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def _shift_crops(views: Tensor, augment: Augment, top: NDArray[np.int64], left: NDArray[np.int64]) -> Tensor:
    """Pad `views` (n, S, S, C) and cut squares that begin at `top` and `left`."""
    count, size, _, channels = views.shape
    pad, side = augment.pad, size + 2 * augment.pad
    if augment.border == "zeros":
        padded = views.new_zeros(count, side, side, channels)
        padded[:, pad : pad + size, pad : pad + size] = views
    else:
        reflected = np.pad(np.arange(size), pad, NUMPY_PAD_MODES[augment.border])
        source = to_device(torch.from_numpy(reflected), views.device)
        padded = views.index_select(1, source).index_select(2, source)
    # Every run of `size` pixels is a row of this view. One crop is `size` rows, and copying whole rows is a
    # memcpy each: ten times the speed of indexing pixels.
    row_count = max(0, count * side * side - size + 1)
    runs = padded.as_strided((row_count, size * channels), (channels, 1))
    first = (np.arange(count) * side + top) * side + left
    rows = first[:, None] + np.arange(size) * side
    return runs.index_select(0, to_device(torch.from_numpy(rows.ravel()), views.device)).view_as(views)


def _eval_views(images: Images, preprocess: Preprocess) -> NDArray[np.uint8]:
    """The evaluation views of all images: (N, S, S, C)."""
    shape = (len(images), preprocess.size, preprocess.size, preprocess.channels)
    if images.pixels is not None and images.pixels.shape == shape and preprocess.resize == preprocess.size:
        return images.pixels
    views = np.empty(shape, np.uint8)

    def fill(start: int) -> None:
        for i in range(start, min(start + _CHUNK, len(images))):
            views[i] = eval_view(images.image(i, preprocess.colour), preprocess).transpose(1, 2, 0)

    with ThreadPoolExecutor() as pool:  # threads suffice: Pillow decodes and resizes without Python's lock
        for _ in pool.map(fill, range(0, len(images), _CHUNK)):
            pass
    return views
