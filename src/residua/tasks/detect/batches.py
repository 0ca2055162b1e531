"""Batches of images with boxes, equal for any number of loader workers and processes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from residua.data.boxes import Boxes
from residua.data.loader import BatchKey, BatchSampler, allocate_batch, load_batches, track_indices
from residua.data.sampler import share
from residua.data.scenes import Scenes
from residua.spec.augment import Augment
from residua.spec.detector import Detector
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from residua.tasks.detect.transforms import BoxView, eval_box_view, train_box_view

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class BoxBatch:
    """A batch of n transformed images with their boxes."""

    images: Tensor
    """Pixels (n, C, H, W) uint8, channels last in memory; zeros beyond `sizes`."""
    sizes: NDArray[np.int64]
    """Height and width of each image without its padding at the right and at the bottom: (n, 2)."""
    boxes: tuple[Boxes, ...]
    """Objects of each image, in its pixels. Arrays, because every tensor from a worker is an open file."""
    windows: NDArray[np.float64]
    """The region of the original image that each shows, x1 y1 x2 y2 in pixels: (n, 4)."""
    indices: NDArray[np.int64]
    """Index of each image in its split: (n,)."""
    epoch: int
    """Epochs before this one; 0 in evaluation."""

    @property
    def labels(self) -> Tensor:
        """Number of boxes of each image: (n,) int64."""
        return torch.tensor([len(boxes) for boxes in self.boxes])

    def chunk(self, count: int) -> "list[BoxBatch]":
        """The batch in `count` parts of nearly equal size; empty parts are left out."""
        if count == 1:
            return [self]
        ends = [round(len(self.sizes) * part / count) for part in range(count + 1)]
        return [self._slice(slice(*pair)) for pair in pairwise(ends) if pair[0] < pair[1]]

    def _slice(self, part: slice) -> "BoxBatch":
        return BoxBatch(
            self.images[part],
            self.sizes[part],
            self.boxes[part],
            self.windows[part],
            self.indices[part],
            self.epoch,
        )


def training_batches(
    scenes: Scenes, recipe: Recipe, *, first: int, steps: int, workers: int, rank: int = 0, world: int = 1
) -> Iterator[BoxBatch]:
    """Augmented batches for the steps `first` to `steps` - 1, on the CPU.

    They depend on the seed, the batch size and the step only. Ignored boxes (`difficult`, `iscrowd`) are left
    out. Images stay decoded in memory where all of them fit into `data.resident_bytes`.

    Args:
        scenes: the training split.
        recipe: has a detector.
        first: number of the first step.
        steps: number of the step after the last.
        workers: loader workers; none are started for images in memory.
        rank: number of this process.
        world: number of processes; each gets its share of every global batch.

    Returns:
        An iterator over the batches.

    Raises:
        DataError: an image cannot be decoded; the message names it.
        WorkerDiedError: a loader worker died or hangs.
    """
    assert recipe.detector is not None

    def batch_key(step: int) -> BatchKey:
        return share(
            recipe.seed,
            step,
            count=len(scenes),
            batch_size=recipe.budget.batch_size,
            rank=rank,
            world=world,
            drop_last=recipe.budget.drop_last,
        )

    sampler = BatchSampler(batch_key, range(first, steps))
    is_resident = decoded_bytes(scenes) <= recipe.data.resident_bytes
    dataset = _BoxDataset(scenes, recipe.detector, recipe.arch.preprocess, recipe.augment, recipe.seed)
    if is_resident:
        dataset.decode_all()
        workers = 0
    yield from load_batches(dataset, sampler, workers=workers, device=_CPU, title=scenes.title)


def evaluation_batches(
    scenes: Scenes,
    detector: Detector,
    preprocess: Preprocess,
    *,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world: int = 1,
) -> Iterator[BoxBatch]:
    """Every image once, in order, without augmentation, on the CPU.

    Args:
        scenes: the split.
        detector: gives the size of the images.
        preprocess: gives their colours.
        batch_size: images in a batch; the last batch may have fewer.
        workers: loader workers.
        rank: number of this process.
        world: number of processes; each gets every `world`-th batch.

    Returns:
        An iterator over the batches.

    Raises:
        DataError: an image cannot be decoded; the message names it.
        WorkerDiedError: a loader worker died or hangs.
    """

    def batch_key(number: int) -> BatchKey:
        return 0, np.arange(number * batch_size, min((number + 1) * batch_size, len(scenes)))

    sampler = BatchSampler(batch_key, range(rank, -(-len(scenes) // batch_size), world))
    dataset = _BoxDataset(scenes, detector, preprocess, None, 0)
    yield from load_batches(dataset, sampler, workers=workers, device=_CPU, title=scenes.title)


def decoded_bytes(scenes: Scenes) -> int:
    """Memory that the decoded images of `scenes` take, in bytes, as RGB."""
    return int(3 * scenes.sizes.prod(1).sum())


def collate_views(
    views: Sequence[BoxView], indices: NDArray[np.int64], epoch: int, *, training: bool
) -> BoxBatch:
    """Stack views to a batch, padded at the right and at the bottom to the size of the largest.

    Args:
        views: n transformed images.
        indices: index of each in its split, (n,).
        epoch: epochs before this one.
        training: leave ignored boxes out.

    Returns:
        The batch; its images are channels last in memory.
    """
    sizes = np.array([view.pixels.shape[:2] for view in views])
    images = allocate_batch((len(views), *sizes.max(0).tolist(), views[0].pixels.shape[2])).zero_()
    for row, view in zip(images.numpy(), views, strict=True):
        row[: view.pixels.shape[0], : view.pixels.shape[1]] = view.pixels
    boxes = [view.boxes.select(~view.boxes.ignored) if training else view.boxes for view in views]
    return BoxBatch(
        images.permute(0, 3, 1, 2),
        sizes,
        tuple(boxes),
        np.array([view.window for view in views]),
        indices,
        epoch,
    )


class _BoxDataset(TorchDataset[BoxBatch]):
    """Batches by their key (epoch, indices); `augment` None means evaluation."""

    def __init__(
        self, scenes: Scenes, detector: Detector, preprocess: Preprocess, augment: Augment | None, seed: int
    ) -> None:
        self.scenes, self.detector, self.preprocess = scenes, detector, preprocess
        self.augment, self.seed = augment, seed
        self.images: list[Image.Image] = []

    def decode_all(self) -> None:
        """Decode every image now and keep it in memory. DataError names one that cannot be decoded."""
        with ThreadPoolExecutor() as pool:  # threads suffice: Pillow decodes without Python's lock
            self.images = list(pool.map(self._decode, range(len(self.scenes))))

    def __getitem__(self, batch_key: BatchKey) -> BoxBatch:
        epoch, indices = batch_key
        views = [self._view(epoch, index) for index in track_indices(indices)]
        return collate_views(views, indices, epoch, training=self.augment is not None)

    def _view(self, epoch: int, index: int) -> BoxView:
        image = self.images[index] if self.images else self._decode(index)
        boxes = self.scenes.boxes[index]
        if self.augment is None:
            return eval_box_view(image, boxes, self.detector, self.preprocess)
        where = (self.seed, epoch, index)
        return train_box_view(image, boxes, self.detector, self.preprocess, self.augment, where)

    def _decode(self, index: int) -> Image.Image:
        return self.scenes.image(index, self.preprocess.colour)
