"""A whole set in memory, augmented by the batch: the pixels of `train_view`, without a loop over images."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.data.images import Images
from residua.data.transforms import BORDERS, flips, shifts, test_view
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

_CPU = torch.device("cpu")
_PORTION = 64  # images that a thread decodes at a time


class Resident:
    """The test views of all images, held as (N, S, S, C) uint8, and batches of them."""

    def __init__(self, images: Images, preprocess: Preprocess, *, device: torch.device = _CPU) -> None:
        """Take over the array of `images` when it fits as it is, else decode every image.

        DataError names an image that cannot be decoded.
        """
        self._pixels = torch.from_numpy(_pixels(images, preprocess)).to(device)

    @staticmethod
    def fits(images: Images, preprocess: Preprocess, limit_bytes: int) -> bool:
        """Whether the views of all images take at most `limit_bytes`."""
        return len(images) * preprocess.size**2 * preprocess.channels <= limit_bytes

    def batch(self, indices: NDArray[np.int64]) -> Tensor:
        """The test views at `indices`: (n, C, S, S) uint8, channels last in memory."""
        return self._chosen(indices).permute(0, 3, 1, 2)

    def augmented(self, indices: NDArray[np.int64], augment: Augment, seed: int, epoch: int) -> Tensor:
        """What `train_view` makes of the images at `indices`: (n, C, S, S) uint8, channels last in memory.

        ValueError for what needs the whole image: crops that are resized, and policies.
        """
        if augment.whole_images:
            raise ValueError("a set in memory has no whole images: resized crops are for decoded files")
        views = self._chosen(indices)
        if augment.kind == "pad_crop":
            views = _shifted(views, augment, *shifts(augment, seed, epoch, indices))
        mirrored = self._index(np.flatnonzero(flips(augment, seed, epoch, indices)))
        views.index_copy_(0, mirrored, views.index_select(0, mirrored).flip(2))
        return views.permute(0, 3, 1, 2)

    def _chosen(self, indices: NDArray[np.int64]) -> Tensor:
        return self._pixels.index_select(0, self._index(indices))

    def _index(self, indices: NDArray[np.int64]) -> Tensor:
        return moved(torch.tensor(indices, dtype=torch.int64), self._pixels.device)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, of the CPU, on `device`; nobody waits for the copy."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def _shifted(views: Tensor, augment: Augment, top: NDArray[np.int64], left: NDArray[np.int64]) -> Tensor:
    """Crops of the padded `views`, (n, S, S, C), that begin at `top` and `left`."""
    count, size, _, channels = views.shape
    pad, side = augment.pad, size + 2 * augment.pad
    if augment.border == "zeros":
        padded = views.new_zeros(count, side, side, channels)
        padded[:, pad : pad + size, pad : pad + size] = views
    else:
        places_of = moved(
            torch.from_numpy(np.pad(np.arange(size), pad, BORDERS[augment.border])), views.device
        )
        padded = views.index_select(1, places_of).index_select(2, places_of)
    # Every run of `size` pixels is a row of this view. One crop is `size` rows, and copying whole rows is a
    # memcpy each: ten times the speed of indexing pixels.
    places = max(0, count * side * side - size + 1)
    runs = padded.as_strided((places, size * channels), (channels, 1))
    first = (np.arange(count) * side + top) * side + left
    rows = first[:, None] + np.arange(size) * side
    return runs.index_select(0, moved(torch.from_numpy(rows.ravel()), views.device)).view_as(views)


def _pixels(images: Images, preprocess: Preprocess) -> NDArray[np.uint8]:
    shape = (len(images), preprocess.size, preprocess.size, preprocess.channels)
    if images.pixels is not None and images.pixels.shape == shape and preprocess.resize == preprocess.size:
        return images.pixels
    views = np.empty(shape, np.uint8)

    def fill(start: int) -> None:
        for i in range(start, min(start + _PORTION, len(images))):
            views[i] = test_view(images.image(i, preprocess.colour), preprocess).transpose(1, 2, 0)

    with ThreadPoolExecutor() as pool:  # threads suffice: Pillow decodes and resizes without Python's lock
        for _ in pool.map(fill, range(0, len(images), _PORTION)):
            pass
    return views
