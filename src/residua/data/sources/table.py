"""What a user calls a data set, as images: a folder, a label file, shards, or a name such as `digits`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from residua.data.decode import IMAGE, Gate, shown
from residua.data.images import ImageDataset, Images
from residua.data.items import Files
from residua.data.listing import SourceListing, judged, matched, settle
from residua.data.ranges import is_address
from residua.data.sources.cifar import open_cifar10, open_cifar100
from residua.data.sources.digits import open_digits
from residua.data.sources.folders import find_folder
from residua.data.sources.imagenet import find_imagenet
from residua.data.sources.labels import SUFFIXES as LABELS
from residua.data.sources.labels import find_labels
from residua.data.sources.objects import PYTHON, find_hub
from residua.data.sources.shards import INDEX, find_shards
from residua.data.split import SHARE
from residua.data.walk import walk
from residua.errors import DataError

__all__ = [
    "Files",
    "ImageDataset",
    "Images",
    "absolute",
    "find",
    "is_named",
    "list_images",
    "open_dataset",
    "open_images",
]

FINDERS: dict[str, Callable[[str], SourceListing]] = {"imagenet": find_imagenet, "hf": find_hub}
"""Sets that stay where they are, `NAME:DIR`, and what finds their images."""
HOLDS: Mapping[str, str] = {"voc": "boxes", "coco": "boxes", "video": "clips", "moving": "clips"}
"""Sets that hold no images of one class each, `NAME:DIR`, and what they hold; `tasks` find them."""
ARRAYS = {"cifar10": open_cifar10, "cifar100": open_cifar100}
"""Sets that are read into memory whole, `NAME[:DIR]`, and what reads them."""


def open_dataset(source: str, *, holdout: float, without: Collection[str] = ()) -> ImageDataset:
    """The images of `source`, split. DataError when there is no such source, or it cannot be used.

    `holdout` is the share of every class kept for judging where the source has no split of its own. Images
    titled `without` are left out. A folder that is called like a source is given as `./digits`.
    """
    if _is_array(source):
        return _array(source, holdout)
    return settle(find(source), holdout=holdout, without=without)


def open_images(source: str, *, classes: Sequence[str], holdout: float = SHARE) -> Images:
    """Images to judge a network by; their labels are places in its `classes`, found by name.

    They are the test split where the source has one, else all. DataError names a class that `classes` lacks.
    `holdout` is the share that was kept from training, for `digits`.
    """
    images = _array(source, holdout).test if _is_array(source) else judged(find(source))
    return matched(images, classes, owner="the network")


def find(source: str, *, lenient: bool = False) -> SourceListing:
    """What `source` holds, before any image is opened. DataError says what is wrong with it.

    `lenient` lets a folder pass that training would refuse, so that it can be looked at.
    """
    if _is_array(source):
        found = _array(source, SHARE)
        return SourceListing(source, found.train, found.test, found.note)
    name, _, rest = source.partition(":")
    if name == PYTHON:
        raise DataError(f"the images of {source} came from Python: give them again, as data=")
    if name in HOLDS:
        raise DataError(f"{source} holds {HOLDS[name]}: train, evaluate, predict and data check take it")
    if name in FINDERS:
        return FINDERS[name](rest)
    if not source:
        raise DataError(f"no name of a folder or file is given: give {IMAGE.source}")
    path = Path(source)
    if is_address(source) or source.endswith(f"/{INDEX}") or _is_file(path / INDEX):
        return find_shards(source)
    if path.suffix.lower() in LABELS and not path.is_dir():
        return find_labels(path)
    return find_folder(path, lenient=lenient)


def is_named(source: str) -> bool:
    """Whether `source` is one of the sets we know by name, not a folder or file."""
    return _is_array(source) or source.partition(":")[0] in (*FINDERS, *HOLDS, PYTHON)


def absolute(source: str) -> str:
    """`source` as it can be found again from another folder."""
    name, colon, folder = source.partition(":")
    if is_address(source):
        return source
    if is_named(source):
        place = bool(colon and folder) and (name != "hf" or Path(folder).is_dir())
        return f"{name}:{Path(folder).absolute()}" if place else source
    return str(Path(source).absolute())


def list_images(paths: Sequence[Path], *, gate: Gate = IMAGE) -> list[Path]:
    """The files among `paths`, and every image, or what else `gate` reads, in the folders among them, sorted.

    DataError when a path does not exist or a folder holds no image.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{shown(path)} does not exist: give {gate.noun}s as files or folders of them")
        if not path.is_dir():
            found.append(path)
            continue
        every = walk(path, root=path, suffixes=gate.suffixes)
        inside = sorted(file for kind, file in every if kind == "image")
        if not inside:
            raise DataError(f"{shown(path)} holds no {gate.noun}: give a folder of {gate.formats} files")
        found += inside
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # its folder is closed to us, or the name too long
        raise DataError(f"{shown(path.parent)} cannot be read: {error.strerror}") from None


def _is_array(source: str) -> bool:
    return source == "digits" or source.partition(":")[0] in ARRAYS


def _array(source: str, holdout: float) -> ImageDataset:
    if source == "digits":
        return open_digits(holdout=holdout)
    name, colon, folder = source.partition(":")
    if colon and not folder:
        raise DataError(f"'{name}:' names no folder: give {name} or {name}:DIR")
    return ARRAYS[name](Path(folder) if colon else None)
