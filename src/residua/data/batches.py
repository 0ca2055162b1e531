"""Batches of uint8 pixels, the same whether they come from memory or from any number of worker processes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from residua.data.batch_augmentation import BatchAugmentation, touch
from residua.data.images import Images
from residua.data.loader import Place, Places, each, loaded, room
from residua.data.resident import Resident, moved
from residua.data.sampler import orders, share, steps_per_epoch
from residua.data.transforms import shrinkage, size_at, test_view, train_view
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """n images and what is known of them."""

    images: Tensor
    """Pixels (n, C, S, S) uint8, on the device that was asked for, channels last in memory."""
    labels: Tensor
    """Classes (n,) int64, on the same device."""
    indices: NDArray[np.int64]
    """Places of the images in their set: (n,)."""
    epoch: int
    """Passes over the set before this one; 0 in testing."""
    touch: BatchAugmentation | None = None
    """What is done to the images once they are normalised, in training."""

    def portions(self, count: int) -> "list[Batch]":
        """The batch in `count` parts of nearly equal size; itself when `count` is 1."""
        if count == 1:
            return [self]
        ends = [round(len(self.labels) * part / count) for part in range(count + 1)]
        cuts = [slice(*pair) for pair in pairwise(ends) if pair[0] < pair[1]]
        return [
            Batch(
                self.images[cut],
                self.labels[cut],
                self.indices[cut],
                self.epoch,
                self.touch and self.touch.part(cut),
            )
            for cut in cuts
        ]


def training(
    images: Images,
    preprocess: Preprocess,
    augment: Augment,
    *,
    seed: int,
    batch: int,
    first: int,
    steps: int,
    workers: int,
    resident_bytes: int,
    rank: int = 0,
    world: int = 1,
    equally: bool = False,
    device: torch.device,
) -> Iterator[Batch]:
    """This process's share of the global steps `first` to `steps` - 1, augmented, on `device`.

    Depends on the seed, `batch` and the step alone, so a run resumes anywhere at no cost. With `equally`, all
    classes come equally often. DataError names a file that cannot be decoded; WorkerDiedError tells of a process
    that died or hung.
    """
    order_of = orders(images.labels, equally=equally)

    def place(step: int) -> Place:
        return share(seed, step, count=len(images), batch=batch, rank=rank, world=world, order_of=order_of)

    places = Places(place, range(first, steps))
    if not augment.whole_images and Resident.fits(images, preprocess, resident_bytes):
        resident = Resident(images, preprocess, device=device)
        found = (resident.augmented(indices, augment, seed, epoch) for epoch, indices in places)
    else:
        epochs = -(-steps // steps_per_epoch(len(images), batch))
        views = _ImageReader(images, preprocess, augment, seed, epochs)
        read = loaded(views, places, workers=workers, device=device, title=images.title)
        found = (pixels.to(device, non_blocking=True) for pixels in read)
    for step, ((epoch, indices), pixels) in enumerate(zip(places, found, strict=True), first):
        size = pixels.shape[-1]
        how = touch(augment, preprocess, seed=seed, step=step, epoch=epoch, indices=indices, size=size)
        yield _batch(images, pixels, indices, epoch, how)


def testing(
    images: Images,
    preprocess: Preprocess,
    *,
    batch: int,
    workers: int,
    resident_bytes: int,
    rank: int = 0,  # noqa: PT028 (no test, in spite of its name)
    world: int = 1,  # noqa: PT028 (the same)
) -> Iterator[Batch]:
    """Every image once, in order, on the CPU; the last batch may be smaller. Errors as in `training`.

    Of several processes, each takes every `world`-th of these batches, the same that one would make.
    """

    def place(number: int) -> Place:
        return 0, np.arange(number * batch, min((number + 1) * batch, len(images)))

    places = Places(place, range(rank, -(-len(images) // batch), world))
    if Resident.fits(images, preprocess, resident_bytes):
        resident = Resident(images, preprocess)
        for epoch, indices in places:
            yield _batch(images, resident.batch(indices), indices, epoch)
        return
    views = _ImageReader(images, preprocess, None, 0, 1)
    read = loaded(views, places, workers=workers, device=_CPU, title=images.title)
    for (epoch, indices), pixels in zip(places, read, strict=True):
        yield _batch(images, pixels, indices, epoch)


@dataclass(frozen=True)
class _ImageReader(TorchDataset[Tensor]):
    """Batches by their place; without `augment`, of test views."""

    images: Images
    preprocess: Preprocess
    augment: Augment | None
    seed: int
    epochs: int

    def __getitem__(self, place: Place) -> Tensor:
        epoch, indices = place
        size = self._size(epoch)
        self.images.expect(indices)
        views = room((len(indices), size, size, self.preprocess.channels))
        for view, index in zip(views.numpy(), each(indices), strict=True):
            view[:] = self._view(epoch, index).transpose(1, 2, 0)
        return views.permute(0, 3, 1, 2)

    def _size(self, epoch: int) -> int:
        full = self.preprocess.size
        return size_at(self.augment, full, epoch, self.epochs) if self.augment else full

    def _view(self, epoch: int, index: int) -> NDArray[np.uint8]:
        if self.augment is None:
            return test_view(self.images.image(index, self.preprocess.colour), self.preprocess)
        seen = replace(self.preprocess, size=self._size(epoch))
        view = (seen, self.augment, self.seed, epoch, index)
        image = self.images.image(index, self.preprocess.colour, lambda size: shrinkage(size, *view))
        return train_view(image, *view)


def _batch(
    images: Images,
    pixels: Tensor,
    indices: NDArray[np.int64],
    epoch: int,
    how: BatchAugmentation | None = None,
) -> Batch:
    labels = moved(torch.from_numpy(images.labels[indices]), pixels.device)
    return Batch(pixels, labels, indices, epoch, how and how.on(pixels.device))
