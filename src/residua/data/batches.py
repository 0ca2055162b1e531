"""Batches of uint8 images, the same whether they come from memory or from any number of worker processes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from residua.data.batch_augmentation import BatchAugmentation, draw_batch_augmentation
from residua.data.eval_view import eval_view
from residua.data.images import Images
from residua.data.loader import BatchKey, BatchSampler, allocate_batch, load_batches, track_indices
from residua.data.resident import ResidentImages, to_device
from residua.data.sampler import orders, share, steps_per_epoch
from residua.data.transforms import crop_size_at, max_shrink, train_view
from residua.spec.augment import Augment
from residua.spec.preprocess import Preprocess

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """n examples, their labels and where they come from."""

    images: Tensor
    """Pixels (n, C, S, S) uint8, channels last in memory, on the device that was requested."""
    labels: Tensor
    """Classes (n,) int64, on the same device."""
    indices: NDArray[np.int64]
    """Index of each example in its split: (n,)."""
    epoch: int
    """Epoch from 0; 0 in evaluation."""
    augmentation: BatchAugmentation | None = None
    """What is done to the normalised images in training; None for nothing."""

    def chunk(self, count: int) -> "list[Batch]":
        """Split the batch into `count` parts of nearly equal size; empty parts are left out."""
        if count == 1:
            return [self]
        ends = [round(len(self.labels) * part / count) for part in range(count + 1)]
        slices = [slice(*pair) for pair in pairwise(ends) if pair[0] < pair[1]]
        return [
            Batch(
                self.images[part],
                self.labels[part],
                self.indices[part],
                self.epoch,
                self.augmentation and self.augmentation.select(part),
            )
            for part in slices
        ]


def training_batches(
    images: Images,
    preprocess: Preprocess,
    augment: Augment,
    *,
    seed: int,
    batch_size: int,
    first: int,
    steps: int,
    workers: int,
    resident_bytes: int,
    rank: int = 0,
    world: int = 1,
    balance_classes: bool = False,
    drop_last: bool = True,
    device: torch.device,
) -> Iterator[Batch]:
    """Augmented batches of one process.

    A batch depends on the seed, `batch_size`, `drop_last` and its step alone, so a run can resume at any
    step.

    Args:
        images: The training split.
        preprocess: Size S and colour of the views.
        augment: Crops, flips, and what is done to whole batches.
        seed: Seed of the run.
        batch_size: Images of all processes together.
        first: First global step.
        steps: Global step to stop before.
        workers: Worker processes that decode files; 0 decodes in this process.
        resident_bytes: Memory for a whole split on `device`; used unless `augment` needs whole images.
        rank: Number of this process, from 0.
        world: Number of processes.
        balance_classes: All classes come equally often.
        drop_last: Leave out the last, incomplete batch of an epoch; else it is filled, see `share`.
        device: Where the batches are put.

    Yields:
        One batch for each step from `first` to `steps` - 1.

    Raises:
        DataError: A file cannot be decoded; the message names it.
        WorkerDiedError: A worker died or hangs.
    """
    order_of = orders(images.labels, balance_classes=balance_classes)

    count = len(images)

    def key_of(step: int) -> BatchKey:
        return share(
            seed,
            step,
            count=count,
            batch_size=batch_size,
            rank=rank,
            world=world,
            drop_last=drop_last,
            order_of=order_of,
        )

    keys = BatchSampler(key_of, range(first, steps))
    epochs = -(-steps // steps_per_epoch(count, batch_size, drop_last=drop_last))
    dataset = _ImageBatches(images, preprocess, augment, seed, epochs)
    views = _training_views(dataset, keys, workers=workers, resident_bytes=resident_bytes, device=device)
    for step, ((epoch, indices), pixels) in enumerate(zip(keys, views, strict=True), first):
        augmentation = draw_batch_augmentation(
            augment, preprocess, seed=seed, step=step, epoch=epoch, indices=indices, size=pixels.shape[-1]
        )
        yield _batch(images, pixels, indices, epoch, augmentation)


def _training_views(
    dataset: "_ImageBatches", keys: BatchSampler, *, workers: int, resident_bytes: int, device: torch.device
) -> Iterator[Tensor]:
    """The views of each batch, (n, C, S, S) on `device`, from memory if possible."""
    images, preprocess, augment = dataset.images, dataset.preprocess, dataset.augment
    assert augment is not None
    if not augment.whole_images and ResidentImages.fits(images, preprocess, resident_bytes):
        resident = ResidentImages(images, preprocess, device=device)
        for epoch, indices in keys:
            yield resident.train_batch(indices, augment, dataset.seed, epoch)
        return
    for pixels in load_batches(dataset, keys, workers=workers, device=device, title=images.title):
        yield pixels.to(device, non_blocking=True)


def evaluation_batches(
    images: Images,
    preprocess: Preprocess,
    *,
    batch_size: int,
    workers: int,
    resident_bytes: int,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """Every image once, in order, without augmentation.

    Args:
        images: The split.
        preprocess: Size and colour of the views.
        batch_size: Images in a batch; the last batch may be smaller.
        workers: Worker processes that decode files; 0 decodes in this process.
        resident_bytes: Memory for decoded images; a split that fits is decoded at once, by threads.
        rank: Number of this process, from 0.
        world: Number of processes; each takes every `world`-th batch.

    Yields:
        Batches on the CPU.

    Raises:
        DataError: A file cannot be decoded; the message names it.
        WorkerDiedError: A worker died or hangs.
    """

    def key_of(number: int) -> BatchKey:
        return 0, np.arange(number * batch_size, min((number + 1) * batch_size, len(images)))

    keys = BatchSampler(key_of, range(rank, -(-len(images) // batch_size), world))
    if ResidentImages.fits(images, preprocess, resident_bytes):
        resident = ResidentImages.evaluated(images, preprocess)
        for epoch, indices in keys:
            yield _batch(images, resident.eval_batch(indices), indices, epoch)
        return
    dataset = _ImageBatches(images, preprocess, None, 0, 1)
    loaded = load_batches(dataset, keys, workers=workers, device=_CPU, title=images.title)
    for (epoch, indices), pixels in zip(keys, loaded, strict=True):
        yield _batch(images, pixels, indices, epoch)


@dataclass(frozen=True)
class _ImageBatches(TorchDataset[Tensor]):
    """Batches of views by their key; evaluation views without `augment`."""

    images: Images
    preprocess: Preprocess
    augment: Augment | None
    seed: int
    epochs: int

    def __getitem__(self, key: BatchKey) -> Tensor:
        epoch, indices = key
        size = self._size(epoch)
        self.images.prefetch(indices)
        views = allocate_batch((len(indices), size, size, self.preprocess.channels))
        for view, index in zip(views.numpy(), track_indices(indices), strict=True):
            view[:] = self._view(epoch, index).transpose(1, 2, 0)
        return views.permute(0, 3, 1, 2)

    def _size(self, epoch: int) -> int:
        full = self.preprocess.size
        return crop_size_at(self.augment, full, epoch, self.epochs) if self.augment else full

    def _view(self, epoch: int, index: int) -> NDArray[np.uint8]:
        """(C, S, S)."""
        if self.augment is None:
            return eval_view(self.images.image(index, self.preprocess.colour), self.preprocess)
        preprocess = replace(self.preprocess, size=self._size(epoch))
        arguments = (preprocess, self.augment, self.seed, epoch, index)
        image = self.images.image(index, preprocess.colour, lambda size: max_shrink(size, *arguments))
        return train_view(image, *arguments)


def _batch(
    images: Images,
    pixels: Tensor,
    indices: NDArray[np.int64],
    epoch: int,
    augmentation: BatchAugmentation | None = None,
) -> Batch:
    labels = to_device(torch.from_numpy(images.labels[indices]), pixels.device)
    return Batch(pixels, labels, indices, epoch, augmentation and augmentation.to(pixels.device))
