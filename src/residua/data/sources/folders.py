"""Folders of classes: with splits above the class folders, with splits below them, or without a split."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from residua.data.decode import IMAGE, MediaType, printable_path
from residua.data.images import Images
from residua.data.items import Files
from residua.data.listing import ListingOptions, SourceListing, skipped_summary
from residua.data.sources.table import Holds, written_forms
from residua.data.walk import FileKind, has_suffix, is_hidden, list_folder, subfolders, walk
from residua.errors import DataError
from residua.files import near_path
from residua.spec.amount import quantity

_TRAIN = ("train", "training")
_VAL = ("val", "validation", "valid", "dev", "test", "testing", "eval")  # in order of preference
_MAX_WRAPPERS = 3  # nested folders that hold nothing but one folder, as unpacked archives leave them

LOOSE = "."
"""The single class of images that lie in no class folder, in a lenient listing."""

_Classes = list[tuple[str, Path]]
"""Class names and their folders."""
_Skipped = list[tuple[FileKind, str]]
"""Kinds and paths of files that are not listed."""


@dataclass(frozen=True)
class _FolderLayout:
    """Where the classes of each split lie."""

    train: _Classes
    """Classes of the training part."""
    val: _Classes
    """Classes of the validation part; empty without a split."""
    names: tuple[str, str]
    """What the two parts are called on disk."""
    prefix: str
    """What the path of every image starts with, below the root."""
    class_parents: tuple[Path, ...]
    """Folders that hold class folders; files in them belong to no class."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def find_folder(place: str, options: ListingOptions) -> SourceListing:
    """List the images in the class folders below `place`; see `list_class_folders`."""
    return list_class_folders(Path(place), lenient=options.lenient)


def list_class_folders(
    root: Path, *, lenient: bool = False, media_type: MediaType = IMAGE, holds: Holds = "images"
) -> SourceListing:
    """List the files of `media_type` below `root` by class.

    Known layouts are `train/CLASS/*` with `val/CLASS/*`, under any usual names of splits; `CLASS/train/*`
    with `CLASS/val/*`; `CLASS/*` alone; and each of them inside a folder that holds nothing else.

    Args:
        root: the folder.
        lenient: accept empty classes and a single class, and list images outside class folders as one class
            `LOOSE`.
        media_type: which files are listed.
        holds: `images` or `clips`, for the message that names other sources.

    Raises:
        DataError: when the folder does not exist, has fewer than two classes, or a class has no files.
    """
    if not root.is_dir():
        problem = "is a file" if root.exists() else f"does not exist{near_path(root)}"
        contents: tuple[Holds, ...] = ("clips",) if holds == "clips" else ("images", "clips", "boxes")
        raise DataError(f"{printable_path(root)} {problem}: give a folder, or {written_forms(*contents)}")
    layout = _layout(root, (), media_type)
    skipped = [row for folder in layout.class_parents for row in _outside_classes(folder, media_type)]
    if len(layout.train) < 2 and not lenient:
        count = f"{printable_path(root)} holds {quantity(len(layout.train), 'class folder')}"
        problem = "; ".join([count, *skipped_summary(skipped)])
        raise DataError(f"{problem}: give 2 or more, each named after its class")
    if lenient and not layout.train:
        if not any(kind == "loose" for kind, _ in skipped):
            problem = "; ".join(
                [f"{printable_path(root)} holds no {media_type.noun}", *skipped_summary(skipped)]
            )
            raise DataError(f"{problem}: give a folder of {media_type.formats} files")
        layout, skipped = _FolderLayout([(LOOSE, root)], [], ("all", ""), "", ()), []
    train_name, val_name = layout.names
    train = _list_split(layout.train, root, skipped, train_name, media_type, lenient=lenient)
    val = None
    if layout.val:
        val = _list_split(layout.val, root, skipped, val_name, media_type, lenient=lenient)
    return SourceListing(
        str(root),
        replace(train, name="train"),
        val,
        f"folders {train_name} and {val_name}" if val else " of one folder",
        all_name=train_name,
        name_prefix=layout.prefix,
        skipped=tuple(skipped),
        notes=layout.notes,
    )


def is_among_classes(path: Path, root: Path) -> bool:
    """Whether a folder at `path` would be taken for a class, or for examples of one, below `root`.

    Raises:
        DataError: A folder cannot be read.
    """
    layout = _layout(root, (), IMAGE)
    parents = {os.path.realpath(folder) for folder in layout.class_parents} if layout.train else set()
    place = Path(os.path.realpath(path))
    return not parents.isdisjoint(map(str, (place, *place.parents)))


def _layout(root: Path, notes: tuple[str, ...], media_type: MediaType) -> _FolderLayout:
    inside = subfolders(root)
    by_role = {_role(name): name for name in reversed(inside)}
    train = next((by_role[role] for role in _TRAIN if role in by_role), None)
    # `train` next to `bus` and `plane` is a class: only a folder of folders is a split
    if train and subfolders(root / train):
        parts = [by_role[role] for role in _VAL if role in by_role]
        val = parts[0] if parts else None
        ignored = (f"folder {', '.join(parts[1:])} is not used",) if parts[1:] else ()
        return _FolderLayout(
            _classes(root / train),
            _classes(root / val) if val else [],
            (train, val or ""),
            f"{train}/",
            tuple(root / name for name in (train, val) if name),
            (*notes, *ignored),
        )
    if below := _split_below(root, inside):
        train, val = below
        train_classes, val_classes = ([(name, root / name / split) for name in inside] for split in below)
        return _FolderLayout(train_classes, val_classes, (train, val), "", (root,), notes)
    if len(inside) == 1 and len(notes) < _MAX_WRAPPERS and _is_wrapper(root / inside[0], media_type):
        inner = _layout(root / inside[0], (*notes, f"inside the folder {inside[0]}"), media_type)
        return replace(inner, prefix=f"{inside[0]}/{inner.prefix}")
    return _FolderLayout(_classes(root), [], (root.name, ""), "", (root,), notes)


def _role(name: str) -> str:
    """`Training_Set` and `train-images` are `training` and `train`."""
    return re.sub(r"[ _-]?(set|images|data)$", "", name.lower())


def _classes(folder: Path) -> _Classes:
    return [(name, folder / name) for name in subfolders(folder)]


def _split_below(root: Path, inside: list[str]) -> tuple[str, str] | None:
    """The names of the two splits inside every class folder, where each holds these two and nothing else."""
    if len(inside) < 2:
        return None
    below = [subfolders(root / name) for name in inside]
    roles = {_role(name): name for name in below[0]}
    train = next((roles[role] for role in _TRAIN if role in roles), None)
    val = next((roles[role] for role in _VAL if role in roles), None)
    if train is None or val is None or any(set(names) != {train, val} for names in below):
        return None
    return train, val


def _is_wrapper(folder: Path, media_type: MediaType) -> bool:
    """Whether the classes or splits lie in `folder`, or further down in the only folder inside it."""
    inside = subfolders(folder)
    has_files = any(has_suffix(entry.name, media_type.suffixes) for entry in list_folder(folder))
    if has_files or not inside:
        return False
    return len(inside) > 1 or _role(inside[0]) in _TRAIN or _is_wrapper(folder / inside[0], media_type)


def _list_split(
    classes: _Classes, root: Path, skipped: _Skipped, name: str, media_type: MediaType, *, lenient: bool
) -> Images:
    """The images of one split; what is not an image is added to `skipped`."""
    names: list[str] = []
    labels: list[int] = []
    for label, (_, folder) in enumerate(classes):
        files = list(walk(folder, root=root, suffixes=media_type.suffixes)) if folder.exists() else []
        images = sorted(os.path.relpath(path, root) for kind, path in files if kind == "image")
        others: _Skipped = [(kind, str(path)) for kind, path in files if kind != "image"]
        if not images and not lenient:
            problem = "; ".join(
                [f"{printable_path(folder)} holds no {media_type.noun}", *skipped_summary(others)]
            )
            raise DataError(f"{problem}: put {media_type.formats} files into it, or remove the folder")
        names += images
        labels += [label] * len(images)
        skipped += others
    # bytes that are no text are escaped, as in the names of images
    class_names = tuple(name.encode("utf-8", "backslashreplace").decode() for name, _ in classes)
    files_of_split = Files.of(root, names)
    return Images(name, class_names, np.array(labels, np.int64), files=files_of_split, media_type=media_type)


def _outside_classes(folder: Path, media_type: MediaType) -> _Skipped:
    """The files in `folder` itself, which belong to no class."""
    rows: _Skipped = []
    for entry in list_folder(folder):
        if is_hidden(entry.name):
            rows.append(("hidden", entry.path))
        elif entry.is_symlink():
            rows.append(("link", entry.path))
        elif not entry.is_dir(follow_symlinks=False):
            rows.append(("loose" if has_suffix(entry.name, media_type.suffixes) else "other", entry.path))
    return rows
