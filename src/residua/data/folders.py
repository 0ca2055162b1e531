"""Folders of classes: `train/CLASS/*` beside `val/CLASS/*`, or one folder of classes, split by hash."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import DataError, inspect, shown
from residua.data.images import Dataset, Files, Images
from residua.data.split import held_out
from residua.data.walk import Kind, entries, folders, is_hidden, walk

_TESTS = ("val", "validation", "valid", "test")  # what people call the other folder, the likeliest first
_KINDS: dict[Kind, str] = {"hidden": "hidden", "other": "of other kinds", "link": "linked"}


@dataclass(frozen=True)
class _Found:
    """What one folder of classes holds."""

    classes: tuple[str, ...]
    names: list[str]
    labels: NDArray[np.int64]
    skipped: Counter[Kind]


def open_folder(root: Path, *, holdout: float) -> Dataset:
    """The images below `root`, by class. DataError says what is missing, or names files that cannot be read.

    Without a folder for judging, `holdout` of every class is split off by a hash of each path.
    """
    learn, judge = _layout(root)
    found = _classes(root, learn, at_least=2)
    name = judge.name if judge else "val"
    if judge:
        other = _classes(root, judge, at_least=1)
        train, test = _images("train", root, found), _images(name, root, other)
        test = matched(test, found.classes, owner=shown(learn))
        how, skipped = f"folders {learn.name} and {name}", found.skipped + other.skipped
    else:
        every = _images("train", root, found)
        mask = held_out(
            every.labels, _hashes(learn, root, found.names), holdout=holdout, classes=found.classes
        )
        train, test = every.subset(np.flatnonzero(~mask)), every.subset(np.flatnonzero(mask))
        test = Images(name, test.classes, test.labels, files=test.files)
        how, skipped = f"split of one folder by hash, {holdout:.0%} held out", found.skipped
    size = int(np.median(np.concatenate([_shorter_sides(train), _shorter_sides(test)])))
    count = f"{len(found.classes)} classes, {len(train)} train + {len(test)} {name} images"
    note = "; ".join([count, how, *_told(skipped)])
    return Dataset(str(root), train, test, grey=False, size=size, note=note)


def open_judged(root: Path) -> Images:
    """The images to judge a network by: the folder for judging, or all of `root` where there is none."""
    learn, judge = _layout(root)
    folder = judge or learn
    images = _images(folder.name, root, _classes(root, folder, at_least=1))
    _shorter_sides(images)  # finds the files that cannot be read before any work is done
    return images


def matched(images: Images, classes: Sequence[str], *, owner: str) -> Images:
    """`images` with labels that are places in `classes`, by name. DataError when `owner` lacks a class."""
    place = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in images.classes if name not in place]
    if unknown:
        raise DataError(
            f"{images.name} has class {_listed(unknown)}, which {owner} lacks: it has {_listed(classes)}"
        )
    labels = np.array([place[name] for name in images.classes], np.int64)[images.labels]
    return Images(images.name, tuple(classes), labels, pixels=images.pixels, files=images.files)


def _layout(root: Path) -> tuple[Path, Path | None]:
    """The folder of classes to learn from, and the one to judge by."""
    if not root.exists():
        raise DataError(
            f"{shown(root)} does not exist: give a folder of class folders, digits or cifar10[:DIR]"
        )
    inside = folders(root)
    # `train` next to `bus` and `plane` is a class: only a folder of folders is a split
    if "train" not in inside or not folders(root / "train"):
        return root, None
    return root / "train", next((root / name for name in _TESTS if name in inside), None)


def _classes(root: Path, folder: Path, *, at_least: int) -> _Found:
    classes, skipped = tuple(folders(folder)), _loose(folder)
    if len(classes) < at_least:
        held = "; ".join([f"{shown(folder)} holds {len(classes)} class folders", *_told(skipped)])
        raise DataError(f"{held}: give {at_least} or more, each called as its class")
    names: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = list(walk(folder / name, root=root))
        images = sorted(os.path.relpath(path, root) for kind, path in files if kind == "image")
        ignored: Counter[Kind] = Counter(kind for kind, _ in files if kind != "image")
        if not images:
            raise DataError("; ".join([f"{shown(folder / name)} holds no image", *_told(ignored)]) + _CURE)
        names += images
        labels += [label] * len(images)
        skipped += ignored
    return _Found(classes, names, np.array(labels, np.int64), skipped)


_CURE = ": put JPEG, PNG, WEBP, BMP or GIF files into it, or remove the folder"


def _loose(folder: Path) -> Counter[Kind]:
    """What lies beside the class folders, and is skipped."""
    beside: Counter[Kind] = Counter()
    for entry in entries(folder):
        if is_hidden(entry.name):
            beside["hidden"] += 1
        elif not entry.is_dir(follow_symlinks=False):
            beside["link" if entry.is_symlink() else "other"] += 1
    return beside


def _images(name: str, root: Path, found: _Found) -> Images:
    return Images(name, found.classes, found.labels, files=Files.of(root, found.names))


def _hashes(folder: Path, root: Path, names: list[str]) -> NDArray[np.uint64]:
    """A hash of each path below `folder`, so that the split survives a move of the folder."""
    paths = [Path(os.path.relpath(root / name, folder)).as_posix() for name in names]
    digests = [hashlib.blake2b(os.fsencode(path), digest_size=8).digest() for path in paths]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _shorter_sides(images: Images) -> NDArray[np.int64]:
    """Shorter side of each image in pixels. DataError names the first of the files that cannot be read."""
    assert images.files is not None
    sides, bad = [], []
    for i in range(len(images)):
        try:
            sides.append(min(inspect(images.files[i])))
        except DataError as error:
            bad.append(str(error))
    if bad:
        raise DataError(
            f"{len(bad)} of {len(images)} files cannot be read, e.g. {bad[0]}; remove or repair them"
        )
    return np.array(sides, np.int64)


def _told(skipped: Counter[Kind]) -> list[str]:
    told = [f"{skipped[kind]} {words}" for kind, words in _KINDS.items() if skipped[kind]]
    return [f"skipped files: {', '.join(told)}"] if told else []


def _listed(names: Sequence[str], *, most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
