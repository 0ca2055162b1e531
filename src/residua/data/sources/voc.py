"""Sets in the layout of PASCAL VOC: Annotations, ImageSets/Main and JPEGImages."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residua.data.boxes import Boxes, Corners, box_fault, clip_box
from residua.data.decode import SUFFIXES, one_line, printable_path, read_size
from residua.data.images import Images
from residua.data.items import Files
from residua.data.listing import ListingOptions
from residua.data.scenes import BoxFault, BoxListing, Scenes
from residua.errors import DataError

SPLITS = (("trainval", "test"), ("train", "val"), ("train", "test"))
"""Lists of `ImageSets/Main` to learn from and to judge by, the first pair that is there."""
FOLDERS = ("Annotations", "JPEGImages", "ImageSets/Main")
"""What lies in such a set."""
MOST_BYTES = 1 << 22
"""Largest annotation that is read: thousands of objects. Our choice, against files that would fill memory."""
_ELEVEN = "VOC2007"  # the folder of the one year that was judged at eleven points


@dataclass(frozen=True, slots=True)
class _Object:
    """One object as its file tells it."""

    name: str
    corners: Corners
    aside: bool


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One annotation file."""

    name: str
    width: int
    height: int
    objects: tuple[_Object, ...]


def find_voc(folder: str, _options: ListingOptions) -> BoxListing:
    """The images and boxes of `folder`, by its own lists. DataError says what is missing or cannot be read.

    A box of the file, whose first pixel is 1 and whose last pixel is inside, becomes one that begins at 0 and
    ends behind its last pixel. The classes are the names in the list to learn from, sorted.
    """
    root = Path(folder)
    lists = root / "ImageSets" / "Main"
    if lacks := [part for part in FOLDERS if not (root / part).is_dir()]:
        there = f"has no folder {lacks[0]}" if root.is_dir() else "is no folder"
        raise DataError(f"{printable_path(root)} {there}: give voc:DIR with {', '.join(FOLDERS)}")
    pair = next((p for p in SPLITS if all((lists / f"{name}.txt").is_file() for name in p)), None)
    if pair is None:
        raise DataError(f"{printable_path(lists)} lacks trainval.txt and test.txt, or train.txt and val.txt")
    pictures = _pictures(root)
    learn, judge = ([_sheet(root, pictures, key) for key in _keys(lists, name)] for name in pair)
    classes = tuple(sorted({thing.name for sheet in learn for thing in sheet.objects if thing.name}))
    faults: list[BoxFault] = []
    train, test = (
        _scenes(root, sheets, classes, faults, name) for sheets, name in ((learn, "train"), (judge, pair[1]))
    )
    how = f"lists {pair[0]} and {pair[1]}"
    protocol = "voc2007" if root.resolve().name == _ELEVEN else "voc"
    return BoxListing(f"voc:{folder}", train, test, how, tuple(faults), protocol)


def _keys(lists: Path, name: str) -> list[str]:
    """The images of a list; a second column, which lists of one class have, is left out."""
    try:
        lines = (lists / f"{name}.txt").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{printable_path(lists / name)}.txt cannot be read: {one_line(error)}") from None
    keys = [line.split()[0] for line in lines if line.strip()]
    if not keys:
        raise DataError(f"{printable_path(lists / name)}.txt names no image: give one a line")
    if odd := [key for key in keys if "/" in key or "\\" in key or key.startswith(".")]:
        raise DataError(
            f"{printable_path(lists / name)}.txt names {odd[0]!r}: give names of images without folders"
        )
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"{printable_path(lists / name)}.txt names {twice!r} twice: name each image once")
    return keys


def _pictures(root: Path) -> dict[str, str]:
    """Name without its ending -> name of every image file."""
    files = sorted(path.name for path in (root / "JPEGImages").iterdir())
    return {Path(name).stem: name for name in files if Path(name).suffix.lower() in SUFFIXES}


def _sheet(root: Path, pictures: dict[str, str], key: str) -> _Sheet:
    path = root / "Annotations" / f"{key}.xml"
    if key not in pictures:
        raise DataError(
            f"{printable_path(root / 'JPEGImages')} holds no image {key!r}, which a list names: add it"
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{printable_path(path)} is larger than {MOST_BYTES:,} bytes: no annotation is")
        text = path.read_bytes()
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # entities are how a small file fills memory
            raise DataError(f"{printable_path(path)} declares entities: give plain XML")
        tree = ET.fromstring(text)  # noqa: S314 (entities were refused above)
        if tree.tag != "annotation":
            raise ValueError(f"it begins with <{tree.tag}>")
        objects = tuple(_object(found) for found in tree.findall("object"))
        width, height = (int(tree.findtext(f"size/{side}", "0")) for side in ("width", "height"))
        if min(width, height) <= 0:  # some tools leave it out
            width, height = read_size(root / "JPEGImages" / pictures[key])
    except DataError:
        raise
    except (OSError, ET.ParseError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else one_line(error)
        raise DataError(
            f"{printable_path(path)} is no annotation that can be read ({why}): "
            "repair it, or remove it from the lists"
        ) from None
    return _Sheet(f"JPEGImages/{pictures[key]}", width, height, objects)


def _object(found: ET.Element) -> _Object:
    numbers = [float(found.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
    left, top, right, bottom = numbers
    flat = right <= left or bottom <= top  # judged by the file's own numbers, before a pixel is added
    corners = (left, top, right, bottom) if flat else (left - 1, top - 1, right, bottom)
    return _Object(
        found.findtext("name", "").strip(), corners, found.findtext("difficult", "0").strip() == "1"
    )


def _scenes(
    root: Path, sheets: Sequence[_Sheet], classes: tuple[str, ...], faults: list[BoxFault], name: str
) -> Scenes:
    place = {each: label for label, each in enumerate(classes)}
    marked = []
    for sheet in sheets:
        good = []
        for number, thing in enumerate(sheet.objects, 1):
            wrong = box_fault(thing.corners, sheet.width, sheet.height)
            if not thing.name:
                wrong = "it has no name"
            elif thing.name not in place:
                wrong = f"the images to learn from have no class {thing.name!r}"
            if wrong:
                faults.append(BoxFault(sheet.name, f"{thing.name or 'unknown'}, object {number}", wrong))
            else:
                good.append(
                    (clip_box(thing.corners, sheet.width, sheet.height), place[thing.name], thing.aside)
                )
        marked.append(
            Boxes.of(*(list(column) for column in zip(*good, strict=True))) if good else Boxes.of((), ())
        )
    files = Files.of(root, [sheet.name for sheet in sheets])
    images = Images(name, classes, np.zeros(len(sheets), np.int64), files=files)
    sizes = np.array([(sheet.width, sheet.height) for sheet in sheets], np.int64).reshape(-1, 2)
    return Scenes(images, tuple(marked), sizes)
