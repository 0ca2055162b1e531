"""Scenes, one split of images with labelled boxes; BoxListing and BoxDataset, both splits of a source."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.boxes import Boxes
from residua.data.fingerprints import Fingerprints
from residua.data.images import Images
from residua.data.listing import quote_names
from residua.errors import DataError
from residua.spec.amount import plural, quantity
from residua.spec.preprocess import Colour


@dataclass(frozen=True, eq=False, slots=True)
class Scenes:
    """N images and the boxes of each."""

    images: Images
    """The images; their labels are 0 and not used."""
    boxes: tuple[Boxes, ...]
    """The boxes of each image."""
    sizes: NDArray[np.int64]
    """Width and height of each image in pixels, as annotated: (N, 2)."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the label of a box is an index into them."""
        return self.images.classes

    @property
    def name(self) -> str:
        """Name of the split."""
        return self.images.name

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def title(self, i: int) -> str:
        """Path of image `i` below the folder of the data set."""
        return self.images.title(i)

    def image(self, i: int, colour: Colour) -> Image.Image:
        """Image `i`, upright. DataError names what cannot be decoded."""
        return self.images.image(i, colour)

    def identity(self) -> bytes:
        """A digest of the image names and of every box."""
        digest = hashlib.sha256(self.images.identity())
        for boxes in self.boxes:
            for part in (boxes.corners, boxes.labels, boxes.ignored, boxes.areas):
                digest.update(part.tobytes())
            digest.update(b";")
        return digest.digest()

    def fingerprints(self) -> Fingerprints:
        """Name and fingerprint of every image; annotations are in `identity`."""
        return self.images.fingerprints()

    def subset(self, indices: NDArray[np.int64]) -> "Scenes":
        """The images at `indices`, in that order, with their boxes."""
        boxes = tuple(self.boxes[i] for i in indices.tolist())
        return Scenes(self.images.subset(indices), boxes, self.sizes[indices])

    def counts(self) -> NDArray[np.int64]:
        """Boxes of each class without ignored ones: (classes,)."""
        labels = [boxes.labels[~boxes.ignored] for boxes in self.boxes]
        return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=len(self.classes))


@dataclass(frozen=True, slots=True)
class BoxFault:
    """A box that cannot be used."""

    image: str
    """Title of its image."""
    box: str
    """Its class, and its number in the file."""
    reason: str
    """Why it cannot be used."""

    @property
    def key(self) -> str:
        """Its name in lists: `JPEGImages/7.jpg: RBC, object 4`."""
        return f"{self.image}: {self.box}"


@dataclass(frozen=True, eq=False, slots=True)
class BoxListing:
    """The images and usable boxes of a source, before any image is opened."""

    source: str
    """The source as the user wrote it."""
    train: Scenes
    """The training part; all images of a source with one list."""
    test: Scenes | None
    """The validation or test part; None for a source with one list."""
    split_note: str
    """Where the split comes from, in a phrase."""
    faults: tuple[BoxFault, ...]
    """Boxes that cannot be used."""
    metric: str
    """Evaluation protocol of the data set: `coco`, `voc2007` or `voc`."""

    @property
    def splits(self) -> tuple[Scenes, ...]:
        """One or two splits."""
        return (self.train,) if self.test is None else (self.train, self.test)


@dataclass(frozen=True, eq=False, slots=True)
class BoxDataset:
    """The training and the test part of a source of boxes."""

    train: Scenes
    """Training images."""
    test: Scenes
    """Validation or test images."""
    note: str
    """One line for the user: counts and split."""
    metric: str
    """As in `BoxListing`."""


def build_box_dataset(listing: BoxListing, *, without: Collection[str] = (), skip: bool) -> BoxDataset:
    """The training and test part of `listing`, ready to use.

    Args:
        listing: what the source holds.
        without: titles of images to leave out.
        skip: leave out boxes with faults; otherwise they are an error.

    Raises:
        DataError: for boxes with faults unless `skip`, a source without a test part, or a part without boxes.
    """
    if listing.faults and not skip:
        first = listing.faults[0]
        raise DataError(
            f"{len(listing.faults)} of its boxes cannot be used, e.g. {first.key}: {first.reason}; "
            f"`residua data check {listing.source}` lists them: repair or remove them, or set data.bad=skip"
        )
    if listing.test is None:
        raise DataError(f"{listing.source} has only training images: add a list of validation images")
    excluded = frozenset(without)
    train, test = (_without(scenes, excluded) for scenes in (listing.train, listing.test))
    train_boxes, test_boxes = int(train.counts().sum()), int(test.counts().sum())
    if not (train_boxes and test_boxes):
        raise DataError(
            f"{listing.source} has {quantity(train_boxes, 'training box')} and "
            f"{quantity(test_boxes, f'{test.name} box')}: "
            "both are needed"
        )
    classes = f"{quantity(len(train.classes), 'class')} ({quote_names(train.classes, most=3)})"
    notes = [
        f"{quantity(train_boxes + test_boxes, 'box')} of {classes}",
        f"{len(train)} train + {len(test)} {test.name} {plural(len(test), 'image')}",
        listing.split_note,
    ]
    if excluded:
        notes.append(f"{len(excluded)} images or boxes left out, e.g. {min(excluded)}")
    return BoxDataset(train, test, "; ".join(notes), listing.metric)


def _without(scenes: Scenes, excluded: frozenset[str]) -> Scenes:
    if not excluded:
        return scenes
    rest = [i for i in range(len(scenes)) if scenes.title(i) not in excluded]
    return scenes.subset(np.array(rest, np.int64))


def match_box_classes(scenes: Scenes, classes: tuple[str, ...]) -> Scenes:
    """Renumber the labels of `scenes` as indices into `classes`, by class name.

    Raises:
        DataError: for a box of a class that `classes` lacks.
    """
    index = {name: label for label, name in enumerate(classes)}
    used = np.flatnonzero(scenes.counts())
    unknown = [scenes.classes[label] for label in used.tolist() if scenes.classes[label] not in index]
    if unknown:
        raise DataError(
            f"the network does not detect {quote_names(unknown)}: it knows {quote_names(classes)}"
        )
    numbers = np.array([index.get(name, -1) for name in scenes.classes], np.int64)
    boxes = tuple(replace(each, labels=numbers[each.labels]) for each in scenes.boxes)
    return Scenes(replace(scenes.images, classes=classes), boxes, scenes.sizes)
