"""Views: how images are shown to a network in an evaluation, once or several times."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from residua.data.batches import Batch, evaluation_batches
from residua.data.eval_view import resized_view
from residua.data.images import Images
from residua.errors import ConfigError
from residua.measure.evaluate import ALONE, Processes, evaluate
from residua.measure.evaluation import Evaluation, check_finite
from residua.nn.network import Network
from residua.spec.preprocess import Preprocess

VIEWS: Mapping[str, str] = {
    "center": "one centre crop",
    "flip": "the centre crop and its mirror image",
    "10crop": "four corners and the centre of the central square, and their mirror images",
    "320": "one centre crop of 320 where the network was drawn for 224, from the shorter side 320",
    "multiscale": "the whole image at shorter sides 224, 256, 384, 480 and 640, the head applied everywhere",
}
"""Name -> what the network sees of each image. Probabilities are averaged over views, with equal weights."""
CLIP, VIDEO = "clip", "video"
"""The two protocols of videos, which are always reported together."""
TIMES, PLACES = 10, 3
"""Of `video`: clips over its length, and squares along the longer side of each frame."""
CLIP_VIEWS: Mapping[str, str] = {
    CLIP: "one clip from the middle of each video, its centre",
    VIDEO: f"{TIMES} clips from beginning to end x {PLACES} squares along the longer side of each frame",
}
"""The same for videos; `tasks.video.protocol` implements them."""
VIEW_TEXTS: Mapping[str, str] = {**VIEWS, **CLIP_VIEWS}
"""All of them."""
REFERENCE_SIZE = 224
"""Side, in pixels, that the papers' sizes are meant for; other networks get them in proportion."""
RESIZED_VIEWS = ("320", "multiscale")
"""Views of another size than the network's own."""
SCALES = (224, 256, 384, 480, 640)
"""Shorter sides of the multi-scale test, in pixels (He et al. 2015, 3.4)."""
LARGE = 320
"""Side of the larger crop, in pixels (He et al. 2016, ImageNet results)."""
PAD = 8
"""Where nothing is left to crop, a border of the side divided by this (32 px: 4; He et al. 2015, 4.2)."""
MAX_BATCH = 250
"""Most views computed at once."""
PIXELS = 2_000_000
"""Most pixels computed at once: 39 views of 224 x 224; more take more memory, and on a CPU more time."""
PORTION = 64
"""Whole images decoded at once."""

IndexedViews = tuple[NDArray[np.int64], Tensor]
"""Indices of n images in their split, and a view of each: (n, C, H, W) uint8."""


class ImagePredictor(Protocol):
    """What an evaluation needs of a predictor for images or clips."""

    @property
    def network(self) -> Network:
        """The network, in eval mode on its device."""

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, C, H, W) uint8 -> logits (n, classes) float32, on the device of the network."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A way to read images as squares, and the views that are cut from each square."""

    square: Preprocess
    """How the square is cut from the image."""
    views: Callable[[Tensor], list[Tensor]]
    """From squares (n, C, S, S) to views, each (n, C, s, s)."""


@dataclass(frozen=True, slots=True)
class SingleView:
    """The protocol `center`: one centre crop of each image, with the loss computed from the logits."""

    size: int = 0
    """Images in a batch; 0 takes as many as `max_batch_size` allows."""
    workers: int = 0
    """Loader workers."""
    resident_bytes: int = 0
    """Splits up to this size are decoded into memory once."""

    def batch_size(self, predictor: ImagePredictor) -> int:
        """Images in a batch."""
        side = predictor.network.preprocess.size
        return self.size or max_batch_size(side, side)

    def batches(self, predictor: ImagePredictor, split: Images, *, rank: int, size: int) -> Iterator[Batch]:
        """Centre crops of every image."""
        return evaluation_batches(
            split,
            predictor.network.preprocess,
            batch_size=self.batch_size(predictor),
            workers=self.workers,
            resident_bytes=self.resident_bytes,
            rank=rank,
            world=size,
        )

    def outputs(self, predictor: ImagePredictor, batches: Iterator[Batch]) -> list[tuple[Tensor, Tensor]]:
        """Logits (n, classes) and labels (n,) of each batch."""
        return batch_logits(predictor, batches)

    def evaluation(self, split: Images, outputs: list[tuple[Tensor, Tensor]]) -> Evaluation:
        """The evaluation of all logits."""
        logits, labels = map(torch.cat, zip(*outputs, strict=True))
        return Evaluation.from_logits(logits, labels, split)


@dataclass(frozen=True, slots=True)
class SeveralViews:
    """A protocol that averages the probabilities of several views, or shows images in another size."""

    name: str
    """A name in `VIEWS`."""
    portion: int = PORTION
    """Images that a process takes at a time."""
    size: int = 0
    """Views in a batch; 0 takes as many as `max_batch_size` allows."""
    workers: int = 0
    """Loader workers."""

    def batch_size(self, predictor: ImagePredictor) -> int:
        """Images that a process takes at a time."""
        return self.portion

    def batches(self, predictor: ImagePredictor, split: Images, *, rank: int, size: int) -> Iterator[Images]:
        """Portions of the split.

        Raises:
            ConfigError: The views have sizes that a network without convolutions cannot read.
        """
        arch = predictor.network.arch
        if arch.is_flat and self.name in RESIZED_VIEWS:
            raise ConfigError(
                f"{arch.name} reads one size, {self.name} needs others: give --views center or flip"
            )
        for start in range(rank * self.portion, len(split), size * self.portion):
            yield split.subset(np.arange(start, min(start + self.portion, len(split))))

    def outputs(self, predictor: ImagePredictor, batches: Iterator[Images]) -> list[NDArray[np.float32]]:
        """Mean probabilities (n, classes) over the views of each image, one array a portion."""
        return [self._mean(predictor, images) for images in batches]

    def evaluation(self, split: Images, outputs: list[NDArray[np.float32]]) -> Evaluation:
        """The evaluation of all probabilities."""
        return replace(Evaluation.from_probabilities(np.concatenate(outputs), split), protocol=self.name)

    def _mean(self, predictor: ImagePredictor, images: Images) -> NDArray[np.float32]:
        preprocess = predictor.network.preprocess
        views = views_of(preprocess, images, self.name, batch_size=self.size, workers=self.workers)
        return mean_probabilities(predictor, views, (len(images), predictor.network.arch.classes))


def evaluate_view(
    predictor: ImagePredictor,
    split: Images,
    name: str,
    *,
    world: Processes = ALONE,
    portion: int = PORTION,
    batch_size: int = 0,
    workers: int = 0,
) -> Evaluation:
    """Evaluate a predictor under one of `VIEWS`; see `measure.evaluate.evaluate`.

    Args:
        predictor: A network with its preprocessing.
        split: The labelled images.
        name: A name in `VIEWS`.
        world: The processes that share the work.
        portion: Images that a process takes at a time, where each has several views.
        batch_size: Views computed at once; 0 takes as many as `max_batch_size` allows.
        workers: Processes that load data; 0 loads in this process.

    Returns:
        The evaluation, the same on all processes.

    Raises:
        ConfigError: The view has a size that the network cannot read.
        NonFiniteError: The network computes NaN or infinity.
        DataError: An image cannot be decoded.
    """
    if name == "center":
        return evaluate(predictor, split, SingleView(batch_size, workers), world=world)
    return evaluate(predictor, split, SeveralViews(name, portion, batch_size, workers), world=world)


def max_batch_size(height: int, width: int) -> int:
    """Most views of that size, in pixels, that are computed at once."""
    return max(1, min(MAX_BATCH, PIXELS // (height * width)))


def batch_logits(predictor: ImagePredictor, batches: Iterator[Batch]) -> list[tuple[Tensor, Tensor]]:
    """Logits (n, classes) float32 and labels (n,) of each batch, on the CPU."""
    outputs = [(predictor.logits(batch.images), batch.labels) for batch in batches]
    return [(logits.cpu(), labels) for logits, labels in outputs]  # only here the CPU waits for the device


def mean_probabilities(
    predictor: ImagePredictor, views: Iterator[IndexedViews], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Probabilities averaged over the views of each example.

    Args:
        predictor: Computes the logits.
        views: Each example at least once.
        shape: (examples, classes).

    Returns:
        (examples, classes); rows sum to 1.

    Raises:
        NonFiniteError: A logit is NaN or infinite.
    """
    total, counts = np.zeros(shape), np.zeros(shape[0], np.int64)
    for indices, pixels in views:
        np.add.at(total, indices, view_probabilities(predictor, pixels))
        np.add.at(counts, indices, 1)
    return (total / counts[:, None]).astype(np.float32)


def view_probabilities(predictor: ImagePredictor, pixels: Tensor) -> NDArray[np.float64]:
    """(n, C, ..., H, W) uint8 -> probabilities (n, classes). NonFiniteError for NaN or infinity."""
    logits = predictor.logits(pixels).cpu()
    check_finite(logits)
    probabilities: NDArray[np.float64] = torch.softmax(logits.double(), 1).numpy()
    return probabilities


def views_of(
    preprocess: Preprocess, images: Images, view: str, *, batch_size: int = 0, workers: int = 0
) -> Iterator[IndexedViews]:
    """Every view of every image, a batch of one kind at a time; `view` is not `center`.

    Args:
        preprocess: Size, resizing and colour that the network expects.
        images: The N images.
        view: A name in `VIEWS` other than `center`.
        batch_size: Views of one kind at a time; 0 takes as many as `max_batch_size` allows.
        workers: Processes that load data; `multiscale` uses threads.

    Yields:
        Indices (n,) int64 in `images`, and one view of each: (n, C, H, W) uint8 on the CPU.

    Raises:
        DataError: An image cannot be decoded.
    """
    if view == "multiscale":
        yield from _whole_images(images, preprocess, scaled(preprocess.size, SCALES), batch_size)
        return
    crop = _CROPS[view](preprocess)
    size = batch_size or max_batch_size(crop.square.size, crop.square.size)
    for batch in evaluation_batches(images, crop.square, batch_size=size, workers=workers, resident_bytes=0):
        for pixels in crop.views(batch.images):
            yield batch.indices, pixels


def scaled(size: int, sides: tuple[int, ...]) -> tuple[int, ...]:
    """`sides`, meant for networks of 224 pixels, in proportion for a network of `size`."""
    return tuple(round(size * side / REFERENCE_SIZE) for side in sides)


def ten_crops(squares: Tensor, size: int) -> list[Tensor]:
    """Ten (n, C, size, size): the corners and the centre of (n, C, S, S), then their mirror images."""
    last = squares.shape[-1] - size
    middle = round(last / 2)
    corners = [(0, 0), (0, last), (last, 0), (last, last), (middle, middle)]
    five = [squares[:, :, top : top + size, left : left + size] for top, left in corners]
    return five + [crop.flip(3) for crop in five]


def _flip(preprocess: Preprocess) -> Crop:
    return Crop(preprocess, lambda squares: [squares, squares.flip(3)])


def _ten(preprocess: Preprocess) -> Crop:
    size = preprocess.size
    border = size // PAD if preprocess.resize == size else 0
    square = replace(preprocess, size=preprocess.resize)
    return Crop(square, lambda squares: ten_crops(pad(squares, (border,) * 4), size))


def _large(preprocess: Preprocess) -> Crop:
    (side,) = scaled(preprocess.size, (LARGE,))
    return Crop(replace(preprocess, size=side, resize=side), lambda squares: [squares])


_CROPS: Mapping[str, Callable[[Preprocess], Crop]] = {"flip": _flip, "10crop": _ten, "320": _large}


def _whole_images(
    images: Images, preprocess: Preprocess, sides: tuple[int, ...], batch_size: int
) -> Iterator[IndexedViews]:
    """Every image whole at every shorter side; those of one shape together, whatever their order."""

    def read(index: int) -> list[NDArray[np.uint8]]:
        image = images.image(index, preprocess.colour)
        return [resized_view(image, preprocess, side) for side in sides]

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), PORTION):
            indices = range(start, min(start + PORTION, len(images)))
            for views in zip(*pool.map(read, indices), strict=True):
                yield from _group_by_shape(np.array(indices), views, batch_size)


def _group_by_shape(
    indices: NDArray[np.int64], views: tuple[NDArray[np.uint8], ...], batch_size: int
) -> Iterator[IndexedViews]:
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, view in enumerate(views):
        shapes.setdefault(view.shape, []).append(place)
    for shape, places in shapes.items():
        count = batch_size or max_batch_size(*shape[-2:])
        for first in range(0, len(places), count):
            chunk = places[first : first + count]
            yield indices[chunk], torch.from_numpy(np.stack([views[place] for place in chunk]))
