"""Images and labels of the ladder: a part of CIFAR-10, half of it with flipped labels, and those cleaned.

Each is written as a folder of the official binary files, so that every run of the ladder is an ordinary run.
All choices are drawn with `SEED`; the same images always give the same files.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.images import ImageDataset, Images
from residua.files import write_file
from residua.measure.confident import confidence
from residua.reproduce.ladder import FLIPPED_SHARE, Variant

SEED = 0
"""Of the half and of the flipped labels; our choice."""
FILES = 5
"""Training files of the official form."""
SURE = 0.9
"""Probability from which on a suggested label replaces one that confident learning rejects; below, the image
is dropped. `residua data clean` has the same limit."""
LEAST_ACCURACY = 0.5
"""Share of the labels that the predictions have to agree with; below, a network's own errors look like wrong
labels, and all labels stay, as in `residua data clean`."""
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Half:
    """The half of the training images whose labels are partly wrong."""

    images: Images
    """The images with their flipped labels."""
    right: Labels
    """(N,) the labels before."""
    fold: NDArray[np.bool_]
    """(N,) whether an image is in the second of the two folds."""

    @property
    def is_flipped(self) -> NDArray[np.bool_]:
        """(N,) whether a label is wrong on purpose."""
        return np.asarray(self.images.labels != self.right)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What the cleaning did."""

    images: int
    """Images before."""
    flipped: int
    """Labels that were wrong on purpose."""
    corrected: int
    """Labels that were replaced."""
    corrected_right: int
    """Of those, labels that are right now."""
    dropped: int
    """Images left out."""
    dropped_wrong: int
    """Of those, images whose label was wrong."""


def part_of(dataset: ImageDataset, counts: tuple[int, int] | None) -> tuple[Images, Images]:
    """So many training and test images, drawn by chance; None takes all."""
    train, test = dataset.train, dataset.test
    if counts is None:
        return train, test
    chance = np.random.default_rng(SEED)
    some = [
        images.subset(np.sort(chance.permutation(len(images))[:count]))
        for images, count in zip((train, test), counts, strict=True)
    ]
    return some[0], some[1]


def flipped_half(train: Images) -> Half:
    """Half of `train`, with `FLIPPED_SHARE` of its labels moved to another class."""
    chance = np.random.default_rng(SEED + 1)
    half = train.subset(np.sort(chance.permutation(len(train))[: len(train) // 2]))
    count, classes = len(half), len(half.classes)
    wrong = chance.permutation(count)[: round(FLIPPED_SHARE * count)]
    labels = half.labels.copy()
    labels[wrong] = (labels[wrong] + chance.integers(1, classes, len(wrong))) % classes
    fold = np.zeros(count, bool)
    fold[chance.permutation(count)[: count // 2]] = True
    return Half(replace(half, labels=labels), half.labels, fold)


def clean_half(half: Half, probabilities: NDArray[np.float32]) -> tuple[Images, Cleaning]:
    """Correct or drop the labels that confident learning rejects.

    Args:
        half: The images.
        probabilities: (N, K), each row by the network that was not trained on the image.

    Returns:
        The images that are left, with their labels, and what was done.
    """
    labels = half.images.labels.copy()
    suggested = probabilities.argmax(1)
    is_issue = confidence(probabilities, labels).is_label_issue
    is_issue &= (suggested == labels).mean() >= LEAST_ACCURACY
    is_corrected = is_issue & (probabilities.max(1) >= SURE)
    is_dropped = is_issue & ~is_corrected
    labels[is_corrected] = suggested[is_corrected]
    cleaning = Cleaning(
        len(labels),
        int(half.is_flipped.sum()),
        int(is_corrected.sum()),
        int((labels == half.right)[is_corrected].sum()),
        int(is_dropped.sum()),
        int(half.is_flipped[is_dropped].sum()),
    )
    return replace(half.images, labels=labels).subset(np.flatnonzero(~is_dropped)), cleaning


def write_cifar(folder: Path, train: Images, test: Images, *, anew: bool = False) -> None:
    """Write images as CIFAR-10's official binary files into `folder`, unless they are there already.

    Args:
        folder: Made where it is missing.
        train: Training images.
        test: Test images.
        anew: Whether files that are there are replaced.
    """
    names = "\n".join(train.classes) + "\n"
    last = folder / "batches.meta.txt"  # written last: a folder with it is whole
    if last.is_file() and not anew:
        return
    last.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    size = math.ceil(len(train) / FILES)
    for number in range(FILES):
        part = train.subset(np.arange(number * size, min(len(train), (number + 1) * size)))
        write_file(folder / f"data_batch_{number + 1}.bin", _records(part))
    write_file(folder / "test_batch.bin", _records(test))
    write_file(last, names)


def _records(images: Images) -> bytes:
    """A label byte and three planes of each image."""
    assert images.pixels is not None, "CIFAR-10 is held in memory"
    planes = images.pixels.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([images.labels.astype(np.uint8)[:, None], planes], axis=1).tobytes()


def variant_images(
    variant: Variant, train: Images, test: Images, *, cleaned: Callable[[], Images]
) -> tuple[Images, Images]:
    """Training and test images of a variant.

    Args:
        variant: Which.
        train: All training images.
        test: All test images.
        cleaned: Makes the cleaned half; called for that variant alone.
    """
    if variant == "all":
        return train, test
    if variant == "cleaned":
        return cleaned(), test
    half = flipped_half(train)
    if variant == "flipped":
        return half.images, test
    first, second = (
        half.images.subset(np.flatnonzero(half.fold == is_second)) for is_second in (False, True)
    )
    return (first, second) if variant == "fold-1" else (second, first)
