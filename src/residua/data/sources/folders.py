"""Folders of classes in the layouts people keep: splits above the classes, below them, or none."""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from residua.data.decode import IMAGE, Gate, shown
from residua.data.images import Images
from residua.data.items import Files
from residua.data.listing import SourceListing, told
from residua.data.walk import Kind, ends_in, entries, folders, is_hidden, walk
from residua.errors import DataError

_LEARN = ("train", "training")
_JUDGE = ("val", "validation", "valid", "dev", "test", "testing", "eval")  # the likeliest first
_DEEPEST = 3  # folders that hold nothing but one folder, as archives leave them

LOOSE = "."
"""The one class of images in no class folder, where that is no error."""

_Classes = list[tuple[str, Path]]
"""Names of classes and their folders."""


@dataclass(frozen=True)
class _Layout:
    """Which folders hold what."""

    root: Path
    learn: _Classes
    judge: _Classes
    names: tuple[str, str]
    below: str
    beside: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


@dataclass
class _Gathered:
    """Images of one split while they are gathered."""

    classes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)


def find_folder(root: Path, *, lenient: bool = False, gate: Gate = IMAGE) -> SourceListing:
    """The images, or what else `gate` reads, below `root`, by class, in one of these layouts.

    `train/CLASS/*` beside `val/CLASS/*`, whatever the two are called; `CLASS/train/*` beside `CLASS/val/*`;
    `CLASS/*` alone; any of them inside a folder that holds nothing else. DataError says what is missing;
    `lenient` lets classes without images pass, and takes loose images as one class `.`.
    """
    layout = _layout(root, (), gate)
    skipped: list[tuple[Kind, str]] = [row for folder in layout.beside for row in _loose(folder, gate)]
    if len(layout.learn) < 2 and not lenient:
        held = "; ".join([f"{shown(root)} holds {len(layout.learn)} class folders", *told(skipped)])
        raise DataError(f"{held}: give 2 or more, each called as its class")
    if lenient and not layout.learn:
        if not any(kind == "loose" for kind, _ in skipped):
            held = "; ".join([f"{shown(root)} holds no {gate.noun}", *told(skipped)])
            raise DataError(f"{held}: give a folder of {gate.formats} files")
        layout = _Layout(root, [(LOOSE, root)], [], ("all", ""), "", ())
        skipped = []
    train = _gathered(layout.learn, root, skipped, layout.names[0], gate, lenient=lenient)
    test = None
    if layout.judge:
        test = _gathered(layout.judge, root, skipped, layout.names[1], gate, lenient=lenient)
    how = f"folders {layout.names[0]} and {layout.names[1]}" if test else " of one folder"
    return SourceListing(
        str(root),
        replace(train, name="train"),
        test,
        how,
        layout.names[0],
        layout.below,
        tuple(skipped),
        layout.remarks,
    )


def _layout(root: Path, remarks: tuple[str, ...], gate: Gate) -> _Layout:
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{shown(root)} {what}: give {gate.source}")
    inside = folders(root)
    by_role = {_role(name): name for name in reversed(inside)}
    learn = next((by_role[role] for role in _LEARN if role in by_role), None)
    # `train` next to `bus` and `plane` is a class: only a folder of folders is a split
    if learn and folders(root / learn):
        roles = [by_role[role] for role in _JUDGE if role in by_role]
        judge = roles[0] if roles else None
        here = tuple(root / name for name in (learn, judge) if name)
        left = (f"folder {', '.join(roles[1:])} left alone",) if roles[1:] else ()
        names = (learn, judge or "")
        judged = _of(root / judge) if judge else []
        return _Layout(root, _of(root / learn), judged, names, f"{learn}/", here, (*remarks, *left))
    if below := _split_below(root, inside):
        learn, judge = below
        pairs = [[(name, root / name / split) for name in inside] for split in (learn, judge)]
        return _Layout(root, pairs[0], pairs[1], (learn, judge), "", (root,), remarks)
    if len(inside) == 1 and len(remarks) < _DEEPEST and _is_wrapper(root / inside[0], gate):
        found = _layout(root / inside[0], (*remarks, f"inside the folder {inside[0]}"), gate)
        return _Layout(
            root,
            found.learn,
            found.judge,
            found.names,
            f"{inside[0]}/{found.below}",
            found.beside,
            found.remarks,
        )
    return _Layout(root, _of(root), [], (root.name, ""), "", (root,), remarks)


def _role(name: str) -> str:
    """`Training_Set` and `train-images` are `training` and `train`."""
    return re.sub(r"[ _-]?(set|images|data)$", "", name.lower())


def _of(folder: Path) -> _Classes:
    return [(name, folder / name) for name in folders(folder)]


def _split_below(root: Path, inside: list[str]) -> tuple[str, str] | None:
    """The names of the two splits that lie inside every class folder, and nothing else does."""
    if len(inside) < 2:
        return None
    below = [folders(root / name) for name in inside]
    roles = {_role(name): name for name in below[0]}
    learn = next((roles[role] for role in _LEARN if role in roles), None)
    judge = next((roles[role] for role in _JUDGE if role in roles), None)
    if learn is None or judge is None or any(set(names) != {learn, judge} for names in below):
        return None
    return learn, judge


def _is_wrapper(folder: Path, gate: Gate) -> bool:
    """Whether the classes or splits lie in `folder`, or in one that it alone holds."""
    inside = folders(folder)
    loose = any(ends_in(entry.name, gate.suffixes) for entry in entries(folder))
    if loose or not inside:
        return False
    return len(inside) > 1 or _role(inside[0]) in _LEARN or _is_wrapper(folder / inside[0], gate)


def _gathered(
    classes: _Classes,
    root: Path,
    skipped: list[tuple[Kind, str]],
    name: str,
    gate: Gate,
    *,
    lenient: bool,
) -> Images:
    found = _Gathered([name for name, _ in classes])
    for label, (_, folder) in enumerate(classes):
        files = list(walk(folder, root=root, suffixes=gate.suffixes)) if folder.exists() else []
        images = sorted(os.path.relpath(path, root) for kind, path in files if kind == "image")
        ignored: list[tuple[Kind, str]] = [(kind, str(path)) for kind, path in files if kind != "image"]
        if not images and not lenient:
            cure = f": put {gate.formats} files into it, or remove the folder"
            raise DataError("; ".join([f"{shown(folder)} holds no {gate.noun}", *told(ignored)]) + cure)
        found.names += images
        found.labels += [label] * len(images)
        skipped += ignored
    labels = np.array(found.labels, np.int64)
    return Images(name, tuple(found.classes), labels, files=Files.of(root, found.names), gate=gate)


def _loose(folder: Path, gate: Gate) -> list[tuple[Kind, str]]:
    """What lies beside the class folders, and is skipped."""
    beside: list[tuple[Kind, str]] = []
    for entry in entries(folder):
        if is_hidden(entry.name):
            beside.append(("hidden", entry.path))
        elif not entry.is_dir(follow_symlinks=False):
            kind: Kind = "loose" if ends_in(entry.name, gate.suffixes) else "other"
            kind = "link" if entry.is_symlink() else kind
            beside.append((kind, entry.path))
    return beside
