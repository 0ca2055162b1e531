"""Small images in zip archives, `CLASS/NAME` inside: read in memory, nothing is unpacked."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from residua.data.decode import SUFFIXES, decode, one_line, shown
from residua.data.images import Images
from residua.data.walk import is_hidden
from residua.errors import DataError

_MOST_BYTES = 1 << 20  # of one image
_MOST_IMAGES = 1_000_000
_SPLITS = {"train": "train", "training": "train", "test": "test", "val": "test", "testing": "test"}


def has_zips(place: Path) -> bool:
    """Whether `place` is a zip archive, or a folder with `train.zip` and `test.zip`."""
    return place.suffix.lower() == ".zip" or (place / "train.zip").is_file()


def open_zips(place: Path, *, side: int) -> tuple[Images, Images]:
    """Images to learn from and to judge by, all of `side` x `side` pixels, classes sorted by name.

    One archive holds `train/CLASS/NAME` and `test/CLASS/NAME`; a folder holds `train.zip` and `test.zip` of
    `CLASS/NAME`. DataError names what is missing, no image, or of another size.
    """
    if place.suffix.lower() == ".zip":
        found = list(_members(place, None))
    else:
        found = [row for name in ("train", "test") for row in _members(place / f"{name}.zip", name)]
    classes = {
        split: sorted({name for part, name, _ in found if part == split}) for split in ("train", "test")
    }
    if not classes["train"] or classes["train"] != classes["test"]:
        odd = sorted(set(classes["train"]) ^ set(classes["test"]))
        raise DataError(f"{shown(place)} has not the same classes in train and test ({odd[:5]}): give both")
    train, test = (_images(split, tuple(classes["train"]), found, side) for split in ("train", "test"))
    return train, test


def _images(split: str, classes: tuple[str, ...], found: list[tuple[str, str, bytes]], side: int) -> Images:
    rows = [(name, content) for part, name, content in found if part == split]
    labels = np.array([classes.index(name) for name, _ in rows], np.int64)
    pixels = np.empty((len(rows), side, side, 3), np.uint8)
    for place, (name, content) in enumerate(rows):
        image = decode(content, colour="rgb")
        if image.size != (side, side):
            raise DataError(f"an image of {name!r} is {image.width} x {image.height}: give {side} x {side}")
        pixels[place] = np.asarray(image)
    return Images(split, classes, labels, pixels=pixels)


def _members(archive: Path, split: str | None) -> Iterator[tuple[str, str, bytes]]:
    """Split, class and content of every image in `archive`, sorted by name."""
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = sorted(opened.infolist(), key=lambda info: info.filename)
            if len(infos) > _MOST_IMAGES:
                raise DataError(f"{shown(archive)} has {len(infos)} members: give at most {_MOST_IMAGES:,}")
            for info in infos:
                if where := _place(info.filename, split):
                    if info.file_size > _MOST_BYTES:
                        raise DataError(f"{info.filename!r} has {info.file_size:,} bytes: give small images")
                    with opened.open(info) as member:
                        yield *where, member.read(_MOST_BYTES)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        reason = one_line(error)
        raise DataError(
            f"{shown(archive)} cannot be read ({reason}): give a zip of CLASS/NAME images"
        ) from None


def _place(name: str, split: str | None) -> tuple[str, str] | None:
    """Split and class of the member `name`; None when it is no image of ours."""
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or any(map(is_hidden, parts)) or PurePosixPath(name).suffix.lower() not in SUFFIXES:
        return None
    if split is None:
        split = next(
            (_SPLITS[part.lower()] for part in reversed(parts[:-2]) if part.lower() in _SPLITS), None
        )
    return (split, parts[-2]) if split else None
