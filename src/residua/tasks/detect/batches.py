"""Batches of views with their boxes, the same from memory and from any number of worker processes."""

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
from residua.data.loader import Place, Places, each, loaded, room
from residua.data.sampler import share
from residua.data.scenes import Scenes
from residua.spec.augment import Augment
from residua.spec.detector import Detector
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from residua.tasks.detect.views import View, train_view, whole_view

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class SceneBatch:
    """n views of images, and what is marked in each."""

    images: Tensor
    """Pixels (n, C, H, W) uint8, channels last in memory; zeros beyond `sizes`."""
    sizes: NDArray[np.int64]
    """Rows and columns that each view fills, from the upper left corner: (n, 2)."""
    boxes: tuple[Boxes, ...]
    """What is marked in each view, in its pixels; arrays, for every tensor of a worker is an open file."""
    windows: NDArray[np.float64]
    """What each view shows of its image, left, top, right and bottom in pixels: (n, 4)."""
    indices: NDArray[np.int64]
    """Places of the images in their set: (n,)."""
    epoch: int
    """Passes over the set before this one; 0 in judging."""

    @property
    def labels(self) -> Tensor:
        """Boxes of each view: (n,) int64."""
        return torch.tensor([len(each) for each in self.boxes])

    def portions(self, count: int) -> "list[SceneBatch]":
        """The batch in `count` parts of nearly equal size; itself when `count` is 1."""
        if count == 1:
            return [self]
        ends = [round(len(self.sizes) * part / count) for part in range(count + 1)]
        return [self._part(slice(*pair)) for pair in pairwise(ends) if pair[0] < pair[1]]

    def _part(self, cut: slice) -> "SceneBatch":
        return SceneBatch(
            self.images[cut],
            self.sizes[cut],
            self.boxes[cut],
            self.windows[cut],
            self.indices[cut],
            self.epoch,
        )


def training(
    scenes: Scenes, recipe: Recipe, *, first: int, steps: int, workers: int, rank: int = 0, world: int = 1
) -> Iterator[SceneBatch]:
    """This process's share of the global steps `first` to `steps` - 1, augmented, on the CPU.

    Depends on the seed, the batch and the step alone. Boxes set aside are not in it. DataError names a file
    that cannot be decoded; WorkerDiedError tells of a process that died or hung.
    """
    assert recipe.detector is not None

    def place(step: int) -> Place:
        batch = recipe.budget.batch_size
        return share(recipe.seed, step, count=len(scenes), batch=batch, rank=rank, world=world)

    places = Places(place, range(first, steps))
    held = held_bytes(scenes) <= recipe.data.resident_bytes
    views = _SceneReader(scenes, recipe.detector, recipe.arch.preprocess, recipe.augment, recipe.seed)
    if held:
        views.hold()
    yield from loaded(views, places, workers=0 if held else workers, device=_CPU, title=scenes.title)


def judging(
    scenes: Scenes,
    detector: Detector,
    preprocess: Preprocess,
    *,
    batch: int,
    workers: int,
    rank: int = 0,
    world: int = 1,
) -> Iterator[SceneBatch]:
    """Every image once, in order; of several processes each takes every `world`-th batch. Errors as above."""

    def place(number: int) -> Place:
        return 0, np.arange(number * batch, min((number + 1) * batch, len(scenes)))

    places = Places(place, range(rank, -(-len(scenes) // batch), world))
    views = _SceneReader(scenes, detector, preprocess, None, 0)
    yield from loaded(views, places, workers=workers, device=_CPU, title=scenes.title)


def held_bytes(scenes: Scenes) -> int:
    """What the decoded images of `scenes` take in memory."""
    return int(3 * scenes.sizes.prod(1).sum())


def stacked(views: Sequence[View], indices: NDArray[np.int64], epoch: int, *, learning: bool) -> SceneBatch:
    """`views` of the images at `indices` as one batch; while `learning`, without boxes that are set aside."""
    sizes = np.array([view.pixels.shape[:2] for view in views])
    images = room((len(views), *sizes.max(0).tolist(), views[0].pixels.shape[2])).zero_()
    for row, view in zip(images.numpy(), views, strict=True):
        row[: view.pixels.shape[0], : view.pixels.shape[1]] = view.pixels
    boxes = [view.boxes.chosen(~view.boxes.aside) if learning else view.boxes for view in views]
    return SceneBatch(
        images.permute(0, 3, 1, 2),
        sizes,
        tuple(boxes),
        np.array([view.window for view in views]),
        indices,
        epoch,
    )


class _SceneReader(TorchDataset[SceneBatch]):
    """Batches by their place; without `augment`, of whole images."""

    def __init__(
        self, scenes: Scenes, detector: Detector, preprocess: Preprocess, augment: Augment | None, seed: int
    ) -> None:
        self.scenes, self.detector, self.preprocess = scenes, detector, preprocess
        self.augment, self.seed = augment, seed
        self.held: list[Image.Image] = []

    def hold(self) -> None:
        """Decode every image now and keep it. DataError names one that cannot be decoded."""
        with ThreadPoolExecutor() as pool:  # threads suffice: Pillow decodes without Python's lock
            self.held = list(pool.map(self._decoded, range(len(self.scenes))))

    def __getitem__(self, place: Place) -> SceneBatch:
        epoch, indices = place
        views = [self._view(epoch, index) for index in each(indices)]
        return stacked(views, indices, epoch, learning=self.augment is not None)

    def _view(self, epoch: int, index: int) -> View:
        image = self.held[index] if self.held else self._decoded(index)
        boxes = self.scenes.boxes[index]
        if self.augment is None:
            return whole_view(image, boxes, self.detector, self.preprocess)
        where = (self.seed, epoch, index)
        return train_view(image, boxes, self.detector, self.preprocess, self.augment, where)

    def _decoded(self, index: int) -> Image.Image:
        return self.scenes.image(index, self.preprocess.colour)
