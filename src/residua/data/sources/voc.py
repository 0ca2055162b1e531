"""Boxes in the layout of PASCAL VOC: Annotations, ImageSets/Main and JPEGImages."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residua.data.boxes import Boxes, Corners, box_fault, clip_box
from residua.data.decode import MAX_PIXELS, SUFFIXES, one_line, printable_path, read_size
from residua.data.images import Images
from residua.data.items import Files
from residua.data.limits import read_regular
from residua.data.listing import ListingOptions
from residua.data.scenes import BoxFault, BoxListing, Scenes
from residua.errors import DataError

SPLITS = (("trainval", "test"), ("train", "val"), ("train", "test"))
"""Training and validation lists in `ImageSets/Main`; the first pair that exists is used."""
FOLDERS = ("Annotations", "JPEGImages", "ImageSets/Main")
"""Required folders."""
MAX_BYTES = 1 << 20
"""Largest annotation that is read, enough for thousands of objects; protects memory, of which a tree of empty
elements takes fifty times as much. Our choice."""
_MAX_LIST_BYTES = 1 << 26  # of a list: a million names and more
_MAX_DEPTH = 32  # elements inside one another; an annotation has 4
_FED_BYTES = 1 << 16  # of a file at a time
_VOC2007 = "VOC2007"  # the folder of the year whose metric samples precision at eleven recalls


@dataclass(frozen=True, slots=True)
class _Object:
    """One object of an annotation file."""

    name: str
    corners: Corners
    ignored: bool


@dataclass(frozen=True, slots=True)
class _Annotation:
    """One annotation file."""

    name: str
    width: int
    height: int
    objects: tuple[_Object, ...]


class _PlainTree(ET.TreeBuilder):
    """Builds a tree of XML that has no document type and is not deep, whatever its encoding."""

    depth = 0
    """Elements that are open."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        """ValueError, before any entity is read: entities are how a small file fills memory."""
        raise ValueError(f"it declares a document type, {name!r}: give plain XML")

    def start(self, tag: str, attributes: dict[str, str]) -> ET.Element:
        """An element begins. ValueError when it is too deep: open elements take most memory."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError(f"its elements are nested more than {_MAX_DEPTH} deep")
        return super().start(tag, attributes)

    def end(self, tag: str) -> ET.Element:
        """An element ends."""
        self.depth -= 1
        return super().end(tag)


def _parse_xml(text: bytes) -> ET.Element:
    """The root. Expat goes on to the end of what it was fed after an error, so it is fed little by little."""
    parser = ET.XMLParser(target=_PlainTree())  # noqa: S314 (its target refuses entities)
    for start in range(0, len(text), _FED_BYTES):
        parser.feed(text[start : start + _FED_BYTES])
    root: ET.Element = parser.close()
    return root


def find_voc(folder: str, _options: ListingOptions) -> BoxListing:
    """List the images and boxes of `folder` by its own lists.

    Files count pixels from 1 and include the last one; boxes here start at 0 and end behind their last pixel.
    Classes are the sorted names in the training list.

    Raises:
        DataError: for files that are missing or cannot be read.
    """
    root = Path(folder)
    lists = root / "ImageSets" / "Main"
    if lacks := [part for part in FOLDERS if not (root / part).is_dir()]:
        problem = f"has no folder {lacks[0]}" if root.is_dir() else "is not a folder"
        raise DataError(f"{printable_path(root)} {problem}: give voc:DIR with {', '.join(FOLDERS)}")
    pair = next((p for p in SPLITS if all((lists / f"{name}.txt").is_file() for name in p)), None)
    if pair is None:
        raise DataError(f"{printable_path(lists)} lacks trainval.txt and test.txt, or train.txt and val.txt")
    names = _image_names(root)
    train_files, val_files = (
        [_read_annotation(root, names, key) for key in _read_list(lists, name)] for name in pair
    )
    classes = tuple(
        sorted({item.name for annotation in train_files for item in annotation.objects if item.name})
    )
    faults: list[BoxFault] = []
    train, test = (
        _scenes(root, annotations, classes, faults, name)
        for annotations, name in ((train_files, "train"), (val_files, pair[1]))
    )
    how = f"lists {pair[0]} and {pair[1]}"
    metric = "voc2007" if root.resolve().name == _VOC2007 else "voc"
    return BoxListing(f"voc:{folder}", train, test, how, tuple(faults), metric)


def _read_list(lists: Path, name: str) -> list[str]:
    """The image names of a list, without the second column that lists of one class have."""
    try:
        lines = read_regular(lists / f"{name}.txt", _MAX_LIST_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{printable_path(lists / name)}.txt cannot be read: {one_line(error)}") from None
    keys = [line.split()[0] for line in lines if line.strip()]
    if not keys:
        raise DataError(f"{printable_path(lists / name)}.txt names no image: give one a line")
    if unsafe := [key for key in keys if "/" in key or "\\" in key or key.startswith(".")]:
        raise DataError(
            f"{printable_path(lists / name)}.txt names {unsafe[0]!r}: give names of images without folders"
        )
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"{printable_path(lists / name)}.txt names {twice!r} twice: name each image once")
    return keys


def _image_names(root: Path) -> dict[str, str]:
    """Name of every image file, by its name without the ending."""
    files = sorted(path.name for path in (root / "JPEGImages").iterdir())
    return {Path(name).stem: name for name in files if Path(name).suffix.lower() in SUFFIXES}


def _read_annotation(root: Path, names: dict[str, str], key: str) -> _Annotation:
    path = root / "Annotations" / f"{key}.xml"
    if key not in names:
        raise DataError(
            f"{printable_path(root / 'JPEGImages')} holds no image {key!r}, which a list names: add it"
        )
    try:
        tree = _parse_xml(read_regular(path, MAX_BYTES))
        if tree.tag != "annotation":
            raise ValueError(f"it begins with <{tree.tag}>")
        objects = tuple(_parse_object(element) for element in tree.findall("object"))
        width, height = (int(tree.findtext(f"size/{side}", "0")) for side in ("width", "height"))
        if max(width, height) > MAX_PIXELS:
            raise ValueError(f"its image has a side of more than {MAX_PIXELS:,} pixels")
        if min(width, height) <= 0:  # some tools leave it out
            width, height = read_size(root / "JPEGImages" / names[key])
    except DataError:
        raise
    except (OSError, ET.ParseError, ValueError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else one_line(error)
        raise DataError(
            f"{printable_path(path)} is no annotation that can be read ({why}): "
            "repair it, or remove it from the lists"
        ) from None
    return _Annotation(f"JPEGImages/{names[key]}", width, height, objects)


def _parse_object(element: ET.Element) -> _Object:
    numbers = [float(element.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
    left, top, right, bottom = numbers
    is_empty = right <= left or bottom <= top  # by the file's own numbers, before a pixel is added
    corners = (left, top, right, bottom) if is_empty else (left - 1, top - 1, right, bottom)
    return _Object(
        element.findtext("name", "").strip(), corners, element.findtext("difficult", "0").strip() == "1"
    )


def _scenes(
    root: Path,
    annotations: Sequence[_Annotation],
    classes: tuple[str, ...],
    faults: list[BoxFault],
    name: str,
) -> Scenes:
    index = {each: label for label, each in enumerate(classes)}
    all_boxes = []
    for annotation in annotations:
        usable = []
        for number, item in enumerate(annotation.objects, 1):
            reason = box_fault(item.corners, annotation.width, annotation.height)
            if not item.name:
                reason = "it has no name"
            elif item.name not in index:
                reason = f"training images have no class {item.name!r}"
            if reason:
                faults.append(BoxFault(annotation.name, f"{item.name or 'unknown'}, object {number}", reason))
            else:
                usable.append(
                    (
                        clip_box(item.corners, annotation.width, annotation.height),
                        index[item.name],
                        item.ignored,
                    )
                )
        all_boxes.append(
            Boxes.of(*(list(column) for column in zip(*usable, strict=True))) if usable else Boxes.of((), ())
        )
    files = Files.of(root, [annotation.name for annotation in annotations])
    images = Images(name, classes, np.zeros(len(annotations), np.int64), files=files)
    sizes = np.array([(annotation.width, annotation.height) for annotation in annotations], np.int64).reshape(
        -1, 2
    )
    return Scenes(images, tuple(all_boxes), sizes)
