"""Walking folders: images by their endings, files that are skipped, and no step out of the folder."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from residua.data.decode import SUFFIXES, printable_path
from residua.errors import DataError

FileKind = Literal["image", "hidden", "other", "link", "loose"]
"""An image by its ending, a hidden file, a file of another kind, a link that is not followed, or an image
outside the class folders."""

_DEBRIS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})  # what Windows and macOS leave in folders


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of `folder`, sorted by name. DataError when it is missing, not a folder or not readable."""
    try:
        with os.scandir(folder) as scan:
            return sorted(scan, key=lambda entry: entry.name)
    except NotADirectoryError:
        raise DataError(f"{printable_path(folder)} is a file: give a folder") from None
    except OSError as error:
        raise DataError(f"{printable_path(folder)} cannot be read: {error.strerror}") from None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden or left by the system: `.git`, `Thumbs.db`."""
    return name.startswith(".") or name.lower() in _DEBRIS


def has_suffix(name: str, suffixes: Collection[str]) -> bool:
    """Whether a file name ends in one of `suffixes`, in any case."""
    return os.path.splitext(name)[1].lower() in suffixes


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted, without hidden ones and links."""
    return [e.name for e in list_folder(folder) if not is_hidden(e.name) and e.is_dir(follow_symlinks=False)]


def walk(
    folder: Path, *, root: Path, suffixes: Collection[str] = SUFFIXES
) -> Iterator[tuple[FileKind, Path]]:
    """Every file below `folder` with its kind; images are those with an ending in `suffixes`.

    Links to files are followed inside `root`, links to folders never: they may loop, or leave the data set.

    Args:
        folder: Where the walk begins.
        root: Folder of the data set; a link that leads out of it is not followed.
        suffixes: Endings of images, in lower case with their dot.

    Yields:
        Kind and path of each file, in no particular order. A hidden folder and a link to a folder count as
        one file each, and nothing below them is visited.

    Raises:
        DataError: A folder is missing or cannot be read.
    """
    inside = root.resolve()
    waiting = [folder]
    while waiting:
        for entry in list_folder(waiting.pop()):
            path = Path(entry.path)
            if is_hidden(entry.name):
                yield "hidden", path
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif entry.is_symlink() and _leads_away(entry, inside):
                yield "link", path
            else:
                yield "image" if has_suffix(entry.name, suffixes) else "other", path


def _leads_away(entry: os.DirEntry[str], inside: Path) -> bool:
    """Whether a link leads to a folder, or out of `inside`; one to itself is a file that cannot be read."""
    try:
        return entry.is_dir() or not Path(entry.path).resolve().is_relative_to(inside)
    except (OSError, RuntimeError):  # until Python 3.13 resolving raises the second
        return False
