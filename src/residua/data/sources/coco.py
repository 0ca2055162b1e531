"""Boxes in the layout of COCO: annotations/instances_*.json beside folders of images."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residua.data.boxes import Boxes, Corners, box_fault, clip_box
from residua.data.decode import MAX_PIXELS, one_line, printable_path, read_size
from residua.data.images import Images
from residua.data.items import Files
from residua.data.limits import read_regular
from residua.data.listing import ListingOptions
from residua.data.scenes import BoxFault, BoxListing, Scenes
from residua.errors import DataError

TRAIN, VAL = "instances_train", "instances_val"
"""Beginnings of the names of the annotation files; a year may follow."""
_MAX_BYTES = 1 << 30  # of an annotation file: the largest official one has 469 MB
_DAMAGED = (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Image:
    """One image of an annotation file; width and height are 0 where the file lacks them."""

    number: int
    name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _File:
    """One annotation file."""

    path: Path
    images: tuple[_Image, ...]
    marks: Mapping[int, tuple[Mapping[str, Any], ...]]
    """By image."""
    categories: Mapping[int, str]
    """Class name by number; numbers have gaps."""
    year: str
    """The rest of the file name, e.g. `train2017`."""


def find_coco(folder: str, _options: ListingOptions) -> BoxListing:
    """List the images and boxes of `folder`.

    Classes are the categories of the training file in the order of their numbers. Segmentations are not read;
    their areas are.

    Raises:
        DataError: for files that are missing or cannot be read.
    """
    root = Path(folder)
    if not (root / "annotations").is_dir():
        there = "has no folder annotations" if root.is_dir() else "is not a folder"
        raise DataError(
            f"{printable_path(root)} {there}: give coco:DIR with annotations/{TRAIN}*.json and the images"
        )
    train_file, val_file = _read_file(root, TRAIN), _read_file(root, VAL, optional=True)
    assert train_file is not None
    numbers = sorted(train_file.categories)
    classes = tuple(train_file.categories[number] for number in numbers)
    if len(set(classes)) < len(classes):
        raise DataError(f"{printable_path(train_file.path)} gives two categories one name: rename one")
    faults: list[BoxFault] = []
    train = _scenes(root, train_file, classes, faults, "train")
    test = _scenes(root, val_file, classes, faults, "val") if val_file else None
    how = f"{train_file.path.name} and {val_file.path.name}" if val_file else train_file.path.name
    return BoxListing(f"coco:{folder}", train, test, how, tuple(faults), "coco")


def _read_file(root: Path, beginning: str, *, optional: bool = False) -> _File | None:
    files = sorted((root / "annotations").glob(f"{beginning}*.json"))
    if not files and optional:
        return None
    if len(files) != 1:
        there = f"{len(files)} files" if files else "no file"
        raise DataError(f"{printable_path(root / 'annotations')} has {there} {beginning}*.json: give one")
    path = files[0]
    try:
        plain = json.loads(read_regular(path, _MAX_BYTES).decode("utf-8"))
        categories = {int(each["id"]): str(each["name"]) for each in plain["categories"]}
        marks = defaultdict(list)
        for mark in plain["annotations"]:
            marks[int(mark["image_id"])].append(mark)
        images = sorted(map(_image, plain["images"]), key=lambda image: image.number)
    except DataError:
        raise
    except KeyError as error:
        raise DataError(
            f"{printable_path(path)} is no annotation of COCO: it lacks {error}; fetch it again"
        ) from None
    except _DAMAGED as error:
        raise DataError(
            f"{printable_path(path)} is no annotation of COCO: {one_line(error)}; fetch it again"
        ) from None
    numbers = {image.number for image in images}
    if len(numbers) < len(images):
        raise DataError(f"{printable_path(path)} gives two images one id: number them apart")
    if strays := [number for number in marks if number not in numbers]:
        raise DataError(
            f"{printable_path(path)} marks boxes in image {strays[0]}, which it does not list: add it"
        )
    by_image = {number: tuple(files) for number, files in marks.items()}
    return _File(path, tuple(images), by_image, categories, path.stem.removeprefix("instances_"))


def _image(plain: Mapping[str, Any]) -> _Image:
    width, height = (int(plain.get(side, 0)) for side in ("width", "height"))  # some tools leave them out
    if max(width, height) > MAX_PIXELS:
        raise ValueError(f"an image has a side of more than {MAX_PIXELS:,} pixels")
    name = str(plain.get("file_name", ""))
    name.encode()  # UnicodeEncodeError: half a character, as JSON can hold
    return _Image(int(plain["id"]), name, width, height)


def _scenes(root: Path, file: _File, classes: Sequence[str], faults: list[BoxFault], name: str) -> Scenes:
    place = {each: label for label, each in enumerate(classes)}
    folder = _folder(root, file)
    names, marked, sizes = [], [], []
    for image in file.images:
        title = f"{folder}{_safe(file, image.name)}"
        width, height = image.width, image.height
        if min(width, height) <= 0:
            width, height = read_size(root / title)
        good = []
        for mark in file.marks.get(image.number, ()):
            label, corners, wrong = _read(mark, file, place, width, height)
            if wrong:
                faults.append(
                    BoxFault(
                        title,
                        f"{_category(mark, file) or 'unknown'}, annotation {mark.get('id', '?')}",
                        wrong,
                    )
                )
                continue
            own = (corners[2] - corners[0]) * (corners[3] - corners[1])
            area = _number(mark.get("area"))
            good.append(
                (
                    clip_box(corners, width, height),
                    label,
                    bool(mark.get("iscrowd", 0)),
                    area if 0 < area < math.inf else own,
                )
            )
        names.append(title)
        sizes.append((width, height))
        marked.append(
            Boxes.of(*(list(column) for column in zip(*good, strict=True))) if good else Boxes.of((), ())
        )
    images = Images(name, tuple(classes), np.zeros(len(names), np.int64), files=Files.of(root, names))
    return Scenes(images, tuple(marked), np.array(sizes, np.int64).reshape(-1, 2))


def _read(
    mark: Mapping[str, Any], file: _File, place: Mapping[str, int], width: int, height: int
) -> tuple[int, Corners, str]:
    """Class, corners, and what is wrong with a mark."""
    name, box = _category(mark, file), mark.get("bbox")
    if name is None or name not in place:
        return (
            -1,
            (0, 0, 0, 0),
            f"category {mark.get('category_id')!r} is not a category of the training file",
        )
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(n, int | float) for n in box):
        return -1, (0, 0, 0, 0), f"bbox {box!r} is no list of left, top, width, height"
    left, top, across, down = map(_number, box)
    corners = (left, top, left + across, top + down)
    return place[name], corners, box_fault(corners, width, height)


def _category(mark: Mapping[str, Any], file: _File) -> str | None:
    number = mark.get("category_id")
    return file.categories.get(number) if isinstance(number, int) else None


def _number(value: Any) -> float:
    """NaN for what is none, or is too long for one."""
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan


def _folder(root: Path, file: _File) -> str:
    """The folder of the file's images, which is called as COCO calls it, or as its split."""
    split = "train" if file.year.startswith("train") else "val"
    for name in (file.year, split, f"images/{file.year}", f"images/{split}", "images"):
        if (root / name).is_dir():
            return f"{name}/"
    raise DataError(
        f"{printable_path(root)} has no folder {file.year}, images/{file.year} or images: add the images"
    )


def _safe(file: _File, name: str) -> str:
    """The name of an image's file, which must not lead out of its folder."""
    if not name or "\0" in name or name.startswith(("/", "\\")) or ".." in Path(name).parts:
        raise DataError(
            f"{printable_path(file.path)} names the file {name!r}: give a name below the folder of images"
        )
    return name
