"""Inputs: what a network predicts, files and examples of sources in one order, listed before any is opened.

A million file names are two blocks of memory (`PackedNames`), not a million objects.
"""

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import numpy as np

from residua.data.decode import IMAGE, MediaType, printable_path
from residua.data.images import Images
from residua.data.items import Files, Item
from residua.data.walk import walk
from residua.errors import DataError
from residua.files import near_path


@dataclass(frozen=True, eq=False)
class Inputs:
    """Files and examples by index."""

    parts: tuple[Files | Images, ...]
    """Files, and splits of sources, in the order in which they were given."""

    @classmethod
    def of_files(cls, files: Sequence[str | Path]) -> "Inputs":
        """The files at these paths."""
        return cls((Files.of(Path(), [os.fspath(file) for file in files]),))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def title(self, i: int) -> str:
        """Path of file `i`, or the name of the example in its source."""
        part, place = self._place(i)
        return part.name(place) if isinstance(part, Files) else part.title(place)

    def item(self, i: int) -> Item:
        """Input `i`: a path, the bytes of a file or a picture. DataError when it cannot be read."""
        part, place = self._place(i)
        return part[place] if isinstance(part, Files) else part.item(place)

    def identity(self) -> str:
        """A digest of the names of all inputs, in order."""
        digest = sha256()
        for part in self.parts:
            digest.update(part.identity())
        return digest.hexdigest()

    def section(self, first: int, end: int) -> "Inputs":
        """The inputs from `first` to before `end`, in the same order."""
        parts = []
        for part, stop in zip(self.parts, self._ends, strict=True):
            start = stop - len(part)
            low, high = max(first, start) - start, min(end, stop) - start
            if low < high:
                parts.append(part.subset(np.arange(low, high)))
        return Inputs(tuple(parts))

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        """Number of inputs up to the end of each part."""
        return tuple(accumulate(map(len, self.parts)))

    def _place(self, i: int) -> tuple[Files | Images, int]:
        """The part that holds input `i`, and its index there."""
        number = bisect_right(self._ends, i)
        return self.parts[number], i - (self._ends[number - 1] if number else 0)


def list_inputs(texts: Sequence[str], *, media_type: MediaType = IMAGE) -> Inputs:
    """List what is to be predicted.

    Args:
        texts: Files, which are listed as they are; folders, of which all images are listed, sorted; and, of
            images, shards and sources by name such as `cifar10:DIR`, of which every split is listed.
        media_type: What is listed of a folder: images or videos.

    Returns:
        The inputs, in the order of `texts`.

    Raises:
        DataError: A path does not exist, or a folder or source holds nothing.
    """
    parts: list[Files | Images] = []
    files: list[str] = []
    for text in texts:
        if media_type is IMAGE and _is_source(text):
            from residua.data.open import find  # a few files need none of the sources

            parts += [Files.of(Path(), files), *find(text).splits]
            files = []
        else:
            files += _files_at(text, media_type)
    parts.append(Files.of(Path(), files))
    return Inputs(tuple(part for part in parts if len(part)))


def _is_source(text: str) -> bool:
    """Whether `text` names a source, as DATA of other commands does, and not a file or a folder of images."""
    from residua.data.sources.shards import INDEX
    from residua.data.sources.table import parse_source
    from residua.spec.source import is_address

    if os.path.isdir(text):
        return os.path.isfile(os.path.join(text, INDEX))
    return not os.path.exists(text) and (parse_source(text).is_named or is_address(text))


def _files_at(text: str, media_type: MediaType) -> list[str]:
    """The file at `text`, or the images of the folder there, sorted by folder and name."""
    name = printable_path(text)
    if not os.path.exists(text):
        problem = f"{name} does not exist{near_path(Path(text))}"
        raise DataError(f"{problem}: give {media_type.noun}s as files or folders of them")
    if not os.path.isdir(text):
        return [os.fspath(Path(text))]
    entries = walk(Path(text), root=Path(text), suffixes=media_type.suffixes)
    # "\0" sorts before every character of a name, so that a folder stays together, as in a sort of Paths
    inside = sorted((str(file) for kind, file in entries if kind == "image"), key=_by_folder)
    if not inside:
        raise DataError(f"{name} holds no {media_type.noun}: give a folder of {media_type.formats} files")
    return inside


def _by_folder(path: str) -> str:
    return path.replace(os.sep, "\0")
