"""SourceListing, what a source holds before any file is opened, and the dataset that is built from it."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import MediaType, printable_path
from residua.data.images import ImageDataset, Images
from residua.data.items import Item, Members
from residua.data.split import VAL_FRACTION, val_mask
from residua.data.walk import FileKind
from residua.errors import DataError, UnreachableError
from residua.spec.amount import plural, quantity

_SAMPLED = 200  # headers that are read of a large archive or a large set of clips
_SKIPPED: dict[FileKind, str] = {
    "hidden": "hidden",
    "other": "of other kinds",
    "link": "linked",
    "loose": "images in no class",
}


@dataclass(frozen=True, slots=True)
class ListingOptions:
    """How a source is listed."""

    lenient: bool = False
    """Whether folders are listed that training would refuse, so that they can be inspected."""
    val_fraction: float = VAL_FRACTION
    """Share of every class that is held out, for a source that makes its own split."""


@dataclass(frozen=True, eq=False)
class SourceListing:
    """The images, or clips, of a source by their names alone."""

    source: str
    """The source as the user wrote it."""
    train: Images
    """The training part; all images of a source without a split."""
    test: Images | None
    """The validation or test part, with its own class list; None for a source without a split."""
    split_note: str
    """Where the split comes from, in a phrase; of a source without a split, what is split by hash."""
    all_name: str = "all"
    """The name of all images together, for a source without a split."""
    name_prefix: str = ""
    """What every image name starts with and its hash leaves out, so that a moved folder keeps its split."""
    skipped: tuple[tuple[FileKind, str], ...] = ()
    """Kind and path of every file that belongs to no class."""
    notes: tuple[str, ...] = ()
    """What the user should know, a phrase each."""

    @property
    def splits(self) -> tuple[Images, ...]:
        """One or two splits."""
        return (self.train,) if self.test is None else (self.train, self.test)


def build_dataset(
    listing: SourceListing, *, val_fraction: float, without: Collection[str] = ()
) -> ImageDataset:
    """Split `listing` and read the image headers.

    Args:
        listing: what the source holds.
        val_fraction: share of every class that is held out where the source has no split.
        without: titles of images to leave out. They are removed after the split, so that all others stay in
            their part.

    Raises:
        DataError: for files that cannot be read, or classes that cannot be used.
    """
    train, test, split_note = split_listing(listing, val_fraction=val_fraction)
    excluded = frozenset(without)
    train, test = _without(train, excluded), _without(test, excluded)
    size = int(np.median(np.concatenate([_read_shorter_sides(train), _read_shorter_sides(test)])))
    counts = (
        f"{len(train.classes)} {plural(len(train.classes), 'class')}, "
        f"{len(train)} train + {len(test)} {test.name} {plural(len(test), train.media_type.noun)}"
    )
    left_out = (
        f"{quantity(len(excluded), 'unreadable file')} left out, e.g. {min(excluded)}" if excluded else ""
    )
    notes = (*listing.notes, *class_order_notes(train.classes), *skipped_summary(listing.skipped))
    note = "; ".join(filter(None, (counts, split_note, left_out, *notes)))
    grey = train.pixels is not None and train.pixels.shape[-1] == 1
    has_split = listing.test is not None
    return ImageDataset(listing.source, train, test, grey=grey, size=size, note=note, has_split=has_split)


def split_listing(listing: SourceListing, *, val_fraction: float) -> tuple[Images, Images, str]:
    """Divide `listing` into training and validation images with equal classes; no image is opened.

    A source without a split is divided by the hash of each image name.

    Args:
        listing: what the source holds.
        val_fraction: share of every class that is held out where the source has no split.

    Returns:
        The training images, the validation or test images, and a phrase that says where the split comes from.

    Raises:
        DataError: for fewer than two classes, class names that differ only in form, or a class of the second
            part that training lacks.
    """
    train, classes = listing.train, listing.train.classes
    if len(classes) < 2:
        raise DataError(f"{printable_path(listing.source)} has {len(classes)} class: give 2 or more")
    for one, other in class_name_collisions(classes):
        raise DataError(
            f"classes {one!a} and {other!a} differ only in case, spaces or Unicode form: merge them"
        )
    if listing.test is not None:
        owner = f"{train.name} of {printable_path(listing.source)}"
        return train, match_classes(listing.test, classes, owner=owner), listing.split_note
    names = [_portable_name(train, i)[len(listing.name_prefix) :] for i in range(len(train))]
    mask = val_mask(train.labels, name_hashes(names), val_fraction=val_fraction, classes=classes)
    val = replace(train.subset(np.flatnonzero(mask)), name="val")
    note = f"split{listing.split_note} by hash, {val_fraction:.0%} held out"
    return train.subset(np.flatnonzero(~mask)), val, note


def evaluation_split(listing: SourceListing) -> Images:
    """The test part of `listing`, or all images where it has none.

    Raises:
        DataError: for files that cannot be read.
    """
    images = listing.test or replace(listing.train, name=listing.all_name)
    _read_shorter_sides(images)
    return images


def match_classes(images: Images, classes: Sequence[str], *, owner: str) -> Images:
    """Renumber the labels of `images` as indices into `classes`, by class name.

    Args:
        images: the images, with any order of classes.
        classes: the class names in the wanted order.
        owner: whose classes they are, for the message.

    Raises:
        DataError: for a class of `images` that `classes` lacks.
    """
    index = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in images.classes if name not in index]
    if unknown:
        raise DataError(
            f"{images.name} has class {quote_names(unknown)}, which {owner} lacks: "
            f"it has {quote_names(classes)}"
        )
    labels = np.array([index[name] for name in images.classes], np.int64)[images.labels]
    return replace(images, classes=tuple(classes), labels=labels)


def name_hashes(names: Sequence[str]) -> NDArray[np.uint64]:
    """A hash of each name, (N,), equal on every machine; it decides which images are held out."""
    digests = [hashlib.blake2b(os.fsencode(name), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def class_order_notes(classes: Sequence[str]) -> tuple[str, ...]:
    """A note where string order differs from counting order: `class 10` before `class 2`."""
    counting = sorted(classes, key=_counting_key)
    if list(classes) == counting or sorted(classes) != list(classes):
        return ()
    return (f"classes in string order ({', '.join(map(repr, classes[:3]))}, ...), matched by name",)


def skipped_summary(skipped: Sequence[tuple[FileKind, str]]) -> list[str]:
    """One phrase with the number of skipped files of each kind; empty for none."""
    counts = Counter(kind for kind, _ in skipped)
    parts = [f"{counts[kind]} {words}" for kind, words in _SKIPPED.items() if counts[kind]]
    return [f"skipped files: {', '.join(parts)}"] if parts else []


def quote_names(names: Sequence[str], *, most: int = 10) -> str:
    """The first `most` names, quoted, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def class_name_collisions(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of class names that differ only in case, surrounding spaces or Unicode form."""
    first: dict[str, str] = {}
    pairs = []
    for name in classes:
        key = unicodedata.normalize("NFC", name).strip().casefold()
        if key in first:
            pairs.append((first[key], name))
        first.setdefault(key, name)
    return pairs


def _counting_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts `class 2` before `class 10`."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts if part
    ]


def _without(images: Images, titles: frozenset[str]) -> Images:
    if not titles:
        return images
    rest = images.subset(np.array([i for i in range(len(images)) if images.title(i) not in titles], np.int64))
    counts = np.bincount(rest.labels, minlength=len(rest.classes))
    before = np.bincount(images.labels, minlength=len(images.classes))
    empty = [images.classes[label] for label in np.flatnonzero((counts == 0) & (before > 0)).tolist()]
    if empty:
        raise DataError(
            f"of class {quote_names(empty)} no {images.media_type.noun} of {images.name} can be read: "
            "repair some"
        )
    return rest


def _portable_name(images: Images, i: int) -> str:
    return images.title(i) if images.files is None else images.files.name(i).replace(os.sep, "/")


def _read_shorter_sides(images: Images) -> NDArray[np.int64]:
    """Shorter side of each image in pixels. DataError names the first of the files that cannot be read.

    Of many clips, and of members of archives, which may be far away, only a sample is read.
    """
    if images.pixels is not None:
        return np.full(len(images), min(images.pixels.shape[1:3]), np.int64)
    sides, errors = [], []
    many = len(images) > (_SAMPLED if isinstance(images.files, Members) else images.media_type.max_headers)
    sample = np.linspace(0, len(images) - 1, _SAMPLED).astype(int).tolist() if many else range(len(images))
    if isinstance(images.files, Members):
        images.prefetch(np.array(sample, np.int64))
    for i in sample:
        try:
            sides.append(min(_size(images.item(i), images.media_type)))
        except UnreachableError:
            raise
        except DataError as error:
            errors.append(str(error))
    if errors:
        raise DataError(
            f"{len(errors)} of {quantity(len(images), 'file')} cannot be read, "
            f"e.g. {errors[0]}; `residua data check` "
            "lists them: remove or repair them, or set data.bad=skip"
        )
    return np.array(sides, np.int64)


def _size(item: Item, media_type: MediaType) -> tuple[int, int]:
    return item.size if isinstance(item, Image.Image) else media_type.read_size(item)
