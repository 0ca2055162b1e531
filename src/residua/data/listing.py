"""Found, what a source holds before any image is opened, and how it becomes two splits that can be used."""

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

from residua.data.decode import Gate, shown
from residua.data.images import ImageDataset, Images
from residua.data.items import Item, Members
from residua.data.split import held_out
from residua.data.walk import Kind
from residua.errors import DataError, UnreachableError

_FEW = 200  # images of an archive that tell how large all are
_KINDS: dict[Kind, str] = {
    "hidden": "hidden",
    "other": "of other kinds",
    "link": "linked",
    "loose": "images in no class",
}


@dataclass(frozen=True, eq=False)
class SourceListing:
    """The images of a source, by their names alone."""

    source: str
    """The source, as it was given."""
    train: Images
    """Images to learn from; all of them where the source has no split."""
    test: Images | None
    """Images to judge by, with classes of their own; None where the source has no split."""
    how: str
    """Where the split is from, in a phrase; empty where there is none."""
    title: str = "all"
    """What all images together are called where there is no split."""
    below: str = ""
    """What every name starts with and its hash leaves out, so that a split survives a move."""
    skipped: tuple[tuple[Kind, str], ...] = ()
    """Kind and path of every file that is not an image of the set."""
    remarks: tuple[str, ...] = ()
    """What a user should know, a phrase each."""

    @property
    def splits(self) -> tuple[Images, ...]:
        """One or two splits."""
        return (self.train,) if self.test is None else (self.train, self.test)


def settle(found: SourceListing, *, holdout: float, without: Collection[str] = ()) -> ImageDataset:
    """The two splits of `found`, every header read once. DataError names what cannot be used.

    Where there is no split, `holdout` of every class is split off by a hash of each name. Images titled
    `without` are left out after that, so that the others stay where they were.
    """
    train, test, how = parted(found, holdout=holdout)
    classes = train.classes
    left = frozenset(without)
    train, test = _without(train, left), _without(test, left)
    size = int(np.median(np.concatenate([_shorter_sides(train), _shorter_sides(test)])))
    count = f"{len(classes)} classes, {len(train)} train + {len(test)} {test.name} {train.gate.noun}s"
    out = [f"{len(left)} files left out that cannot be read, e.g. {min(left)}"] if left else []
    note = "; ".join([count, how, *out, *found.remarks, *remarks(classes), *told(found.skipped)])
    grey = train.pixels is not None and train.pixels.shape[-1] == 1
    return ImageDataset(found.source, train, test, grey=grey, size=size, note=note)


def parted(found: SourceListing, *, holdout: float) -> tuple[Images, Images, str]:
    """Images to learn from, images to judge by with the same classes, and how they were told apart.

    No image is opened. DataError for less than two classes, or classes that cannot be told apart or matched.
    """
    classes = found.train.classes
    if len(classes) < 2:
        raise DataError(f"{shown(found.source)} has {len(classes)} class: give 2 or more")
    _no_twins(classes)
    if found.test is not None:
        test = matched(found.test, classes, owner=f"{found.train.name} of {shown(found.source)}")
        return found.train, test, found.how
    names = [_name(found.train, i)[len(found.below) :] for i in range(len(found.train))]
    mask = held_out(found.train.labels, hashes(names), holdout=holdout, classes=classes)
    test = replace(found.train.subset(np.flatnonzero(mask)), name="val")
    train = found.train.subset(np.flatnonzero(~mask))
    return train, test, f"split{found.how} by hash, {holdout:.0%} held out"


def judged(found: SourceListing) -> Images:
    """The images to judge a network by, the test split or all, after a look at every header."""
    images = found.test or replace(found.train, name=found.title)
    _shorter_sides(images)
    return images


def matched(images: Images, classes: Sequence[str], *, owner: str) -> Images:
    """`images` with labels that are places in `classes`, by name. DataError when `owner` lacks a class."""
    place = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in images.classes if name not in place]
    if unknown:
        raise DataError(
            f"{images.name} has class {listed(unknown)}, which {owner} lacks: it has {listed(classes)}"
        )
    labels = np.array([place[name] for name in images.classes], np.int64)[images.labels]
    return replace(images, classes=tuple(classes), labels=labels)


def hashes(names: Sequence[str]) -> NDArray[np.uint64]:
    """A hash of each name, the same everywhere: what decides which images are held out."""
    digests = [hashlib.blake2b(os.fsencode(name), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts `class 2` before `class 10`."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts if part
    ]


def remarks(classes: Sequence[str]) -> tuple[str, ...]:
    """A line when people would count the classes in another order than the one that labels follow."""
    wished = sorted(classes, key=natural)
    if list(classes) == wished or sorted(classes) != list(classes):
        return ()
    return (f"classes in string order ({', '.join(map(repr, classes[:3]))}, ...), matched by name",)


def told(skipped: Sequence[tuple[Kind, str]]) -> list[str]:
    """How many files were skipped, by kind; empty for none."""
    counts = Counter(kind for kind, _ in skipped)
    parts = [f"{counts[kind]} {words}" for kind, words in _KINDS.items() if counts[kind]]
    return [f"skipped files: {', '.join(parts)}"] if parts else []


def listed(names: Sequence[str], *, most: int = 10) -> str:
    """The first names, quoted, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def twins(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of classes that differ only in case, in spaces around them, or in Unicode form."""
    first: dict[str, str] = {}
    pairs = []
    for name in classes:
        key = unicodedata.normalize("NFC", name).strip().casefold()
        if key in first:
            pairs.append((first[key], name))
        first.setdefault(key, name)
    return pairs


def _without(images: Images, titles: frozenset[str]) -> Images:
    if not titles:
        return images
    kept = images.subset(np.array([i for i in range(len(images)) if images.title(i) not in titles], np.int64))
    counts = np.bincount(kept.labels, minlength=len(kept.classes))
    before = np.bincount(images.labels, minlength=len(images.classes))
    gone = [images.classes[k] for k in np.flatnonzero((counts == 0) & (before > 0)).tolist()]
    if gone:
        raise DataError(
            f"of class {listed(gone)} no {images.gate.noun} of {images.name} can be read: repair some"
        )
    return kept


def _no_twins(classes: Sequence[str]) -> None:
    for one, other in twins(classes):
        raise DataError(
            f"classes {one!a} and {other!a} differ only in case, spaces or Unicode form: merge them"
        )


def _name(images: Images, i: int) -> str:
    return images.title(i) if images.files is None else images.files.name(i).replace(os.sep, "/")


def _shorter_sides(images: Images) -> NDArray[np.int64]:
    """Shorter side of each image in pixels. DataError names the first of the files that cannot be read.

    Of members of archives, which were images when they were packed and may be far away, only some are read.
    """
    sides, bad = [], []
    many = len(images) > (_FEW if isinstance(images.files, Members) else images.gate.most)
    places = np.linspace(0, len(images) - 1, _FEW).astype(int).tolist() if many else range(len(images))
    if isinstance(images.files, Members):
        images.expect(np.array(places, np.int64))
    for i in places:
        try:
            sides.append(min(_size(images.item(i), images.gate)))
        except UnreachableError:
            raise
        except DataError as error:
            bad.append(str(error))
    if bad:
        raise DataError(
            f"{len(bad)} of {len(images)} files cannot be read, e.g. {bad[0]}; `residua data check` lists "
            "them: remove or repair them, or say data.bad=skip"
        )
    return np.array(sides, np.int64)


def _size(item: Item, gate: Gate) -> tuple[int, int]:
    return item.size if isinstance(item, Image.Image) else gate.inspect(item)
