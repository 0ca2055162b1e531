"""Scenes, a split of images with the boxes marked in each, and what a source of them holds."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.boxes import Boxes
from residua.data.images import Images
from residua.data.listing import quote_names
from residua.errors import DataError
from residua.spec.preprocess import Colour


@dataclass(frozen=True, eq=False, slots=True)
class Scenes:
    """N images, and the boxes of each."""

    images: Images
    """The images; their labels mean nothing here and are 0."""
    boxes: tuple[Boxes, ...]
    """What is marked in each."""
    sizes: NDArray[np.int64]
    """Width and height of each image in pixels, as its annotation tells: (N, 2)."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a box's label is a place in it."""
        return self.images.classes

    @property
    def name(self) -> str:
        """What the split is called."""
        return self.images.name

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def title(self, i: int) -> str:
        """How image `i` is called: its path below the set's folder."""
        return self.images.title(i)

    def image(self, i: int, colour: Colour) -> Image.Image:
        """Image `i`, upright. DataError names what cannot be decoded."""
        return self.images.image(i, colour)

    def identity(self) -> bytes:
        """A digest of the names of the images and of every box."""
        found = hashlib.sha256(self.images.identity())
        for boxes in self.boxes:
            for part in (boxes.corners, boxes.labels, boxes.aside, boxes.areas):
                found.update(part.tobytes())
            found.update(b";")
        return found.digest()

    def subset(self, indices: NDArray[np.int64]) -> "Scenes":
        """The images at `indices`, in that order, with their boxes."""
        boxes = tuple(self.boxes[i] for i in indices.tolist())
        return Scenes(self.images.subset(indices), boxes, self.sizes[indices])

    def counts(self) -> NDArray[np.int64]:
        """Boxes of each class, those set aside left out: (classes,)."""
        labels = [boxes.labels[~boxes.aside] for boxes in self.boxes]
        return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=len(self.classes))


@dataclass(frozen=True, slots=True)
class BoxFault:
    """A box that cannot be used."""

    image: str
    """Title of its image."""
    box: str
    """Which one: its class, and its place in the file."""
    reason: str
    """What is wrong with it."""

    @property
    def key(self) -> str:
        """How it is called in lists: `JPEGImages/7.jpg: RBC, object 4`."""
        return f"{self.image}: {self.box}"


@dataclass(frozen=True, eq=False, slots=True)
class BoxListing:
    """What a source of boxes holds before any image is opened; boxes with faults are left out already."""

    source: str
    """The source, as it was given."""
    train: Scenes
    """Images to learn from; all where the source has one list alone."""
    test: Scenes | None
    """Images to judge by."""
    how: str
    """Where the split is from, in a phrase."""
    faults: tuple[BoxFault, ...]
    """Boxes that cannot be used."""
    metric: str
    """Which protocol the set is judged by: `coco`, `voc2007` or `voc`."""

    @property
    def splits(self) -> tuple[Scenes, ...]:
        """One or two."""
        return (self.train,) if self.test is None else (self.train, self.test)


@dataclass(frozen=True, eq=False, slots=True)
class BoxDataset:
    """The two splits of a source, ready to be used."""

    train: Scenes
    """Images to learn from."""
    test: Scenes
    """Images that are never learned from."""
    note: str
    """One line that says what was found."""
    metric: str
    """As in `BoxListing`."""


def build_box_dataset(marked: BoxListing, *, without: Collection[str] = (), skip: bool) -> BoxDataset:
    """The splits of `marked`. Images titled `without` are left out; with `skip`, so are boxes with faults.

    DataError for boxes with faults unless `skip`, for a source without images to judge by, or where nothing
    is left to learn from.
    """
    if marked.faults and not skip:
        raise DataError(
            f"{len(marked.faults)} of its boxes cannot be used, e.g. {marked.faults[0].key}: "
            f"{marked.faults[0].reason}; `residua data check {marked.source}` lists them: repair or remove "
            "them, or say data.bad=skip"
        )
    if marked.test is None:
        raise DataError(f"{marked.source} has images to learn from alone: give it a list to judge by, too")
    gone = frozenset(without)
    train, test = (_without(scenes, gone) for scenes in (marked.train, marked.test))
    learn, judge = int(train.counts().sum()), int(test.counts().sum())
    if not (learn and judge):
        raise DataError(
            f"{marked.source} has {learn} boxes to learn and {judge} to judge by: give some of each"
        )
    boxes = learn + judge
    classes = f"{len(train.classes)} classes ({quote_names(train.classes, most=3)})"
    note = [
        f"{boxes:,} boxes of {classes}",
        f"{len(train)} train + {len(test)} {test.name} images",
        marked.how,
    ]
    if gone:
        example = min(gone)
        note.append(f"{len(gone)} images or boxes left out, e.g. {example}")
    return BoxDataset(train, test, "; ".join(note), marked.metric)


def _without(scenes: Scenes, gone: frozenset[str]) -> Scenes:
    if not gone:
        return scenes
    kept = [i for i in range(len(scenes)) if scenes.title(i) not in gone]
    return scenes.subset(np.array(kept, np.int64))


def match_box_classes(scenes: Scenes, classes: tuple[str, ...]) -> Scenes:
    """`scenes` with labels that are places in `classes`, by name. DataError when a box has another class."""
    place = {name: label for label, name in enumerate(classes)}
    held = np.flatnonzero(scenes.counts())
    unknown = [scenes.classes[label] for label in held.tolist() if scenes.classes[label] not in place]
    if unknown:
        raise DataError(f"the network finds no {quote_names(unknown)}: it knows {quote_names(classes)}")
    numbers = np.array([place.get(name, -1) for name in scenes.classes], np.int64)
    boxes = tuple(replace(each, labels=numbers[each.labels]) for each in scenes.boxes)
    return Scenes(replace(scenes.images, classes=classes), boxes, scenes.sizes)
