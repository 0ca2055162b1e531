"""Walking folders of images: what is an image, what is skipped, and no step outside the folder given."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from residua.data.decode import SUFFIXES, shown
from residua.errors import DataError

Kind = Literal["image", "hidden", "other", "link", "loose"]
"""What a file is to us: an image by its ending, hidden, of another kind, a link that is not followed, or an
image beside the folders of the classes, whose class nobody knows."""

_DEBRIS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})  # what Windows and macOS leave in folders


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in `folder`, sorted by name. DataError when it is missing, no folder, or closed to us."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except NotADirectoryError:
        raise DataError(f"{shown(folder)} is a file: give a folder") from None
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error.strerror}") from None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: `.git`, `Thumbs.db`."""
    return name.startswith(".") or name.lower() in _DEBRIS


def ends_in(name: str, suffixes: Collection[str]) -> bool:
    """Whether a file is called as those are that have one of `suffixes`."""
    return os.path.splitext(name)[1].lower() in suffixes


def folders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted, without hidden ones and links."""
    return [e.name for e in entries(folder) if not is_hidden(e.name) and e.is_dir(follow_symlinks=False)]


def walk(folder: Path, *, root: Path, suffixes: Collection[str] = SUFFIXES) -> Iterator[tuple[Kind, Path]]:
    """Every file below `folder` with its kind; images are those with an ending in `suffixes`.

    Links to files are followed inside `root`, links to folders never: they may loop, or leave the data set.
    """
    inside = root.resolve()
    waiting = [folder]
    while waiting:
        for entry in entries(waiting.pop()):
            path = Path(entry.path)
            if is_hidden(entry.name):
                yield "hidden", path
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif entry.is_symlink() and _leads_away(entry, inside):
                yield "link", path
            else:
                yield "image" if ends_in(entry.name, suffixes) else "other", path


def _leads_away(entry: os.DirEntry[str], inside: Path) -> bool:
    """Whether a link leads to a folder, or out of `inside`; one to itself is a file that cannot be read."""
    try:
        return entry.is_dir() or not Path(entry.path).resolve().is_relative_to(inside)
    except (OSError, RuntimeError):  # until Python 3.13 resolving raises the second
        return False
