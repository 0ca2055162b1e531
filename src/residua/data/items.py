"""Many images that are not decoded yet, as files or members of archives, in memory that stays small."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import printable_path
from residua.data.ranges import ByteRange, fetch_ranges, prefetch_file, prefetch_range, read_range
from residua.errors import DataError
from residua.spec.source import is_address

Item = Path | bytes | Image.Image
"""One image as it is kept: a file, the bytes of one, or already decoded."""


class Items(Protocol):
    """Many images, found by number."""

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, i: int) -> Item:
        """Image `i`. DataError when it cannot be had."""

    def name(self, i: int) -> str:
        """What image `i` is called, unique in its set."""

    def subset(self, indices: NDArray[np.int64]) -> "Items":
        """The images at `indices`, in that order."""

    def identity(self) -> bytes:
        """A digest that changes when the images are other ones, as far as their index tells."""

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Have the images at `indices`, which are read next, brought from the disk all at once, if it can be.

        Read one after another, each would wait for the disk alone, and the processor with it.
        """


@dataclass(frozen=True, eq=False)
class PackedNames:
    """Many texts in two blocks of memory, which forked workers share where a list would be copied."""

    text: bytes
    """The texts one after another, in the bytes of the file system."""
    ends: NDArray[np.int64]
    """Where each ends in `text`, after a first 0: (N + 1,)."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "PackedNames":
        """The texts of `names`."""
        encoded = [os.fsencode(name) for name in names]
        return cls(b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64))

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.ends) - 1

    def __getitem__(self, i: int) -> str:
        """Text `i`; bytes that are no UTF-8 are surrogates (`os.fsdecode`)."""
        return os.fsdecode(self.text[self.ends[i] : self.ends[i + 1]])

    def subset(self, indices: NDArray[np.int64]) -> "PackedNames":
        """The texts at `indices`, in that order."""
        return PackedNames.of([self[i] for i in indices])


@dataclass(frozen=True, eq=False)
class Files:
    """Files below one folder."""

    root: Path
    """Folder that the paths start from."""
    names: PackedNames
    """The paths, relative to it."""

    @classmethod
    def of(cls, root: Path, names: Sequence[str]) -> "Files":
        """The files `names`, relative to `root`."""
        return cls(root, PackedNames.of(names))

    def __len__(self) -> int:
        """Number of files."""
        return len(self.names)

    def __getitem__(self, i: int) -> Path:
        """Path of file `i`, from `root` on."""
        return self.root / self.names[i]

    def name(self, i: int) -> str:
        """Path of file `i` relative to `root`."""
        return self.names[i]

    def subset(self, indices: NDArray[np.int64]) -> "Files":
        """The files at `indices`, in that order."""
        return Files(self.root, self.names.subset(indices))

    def identity(self) -> bytes:
        """Digest of the paths."""
        return hashlib.sha256(self.names.text).digest()

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Ask the system for the contents."""
        for i in indices.tolist():
            prefetch_file(self[i])


@dataclass(frozen=True, eq=False)
class Members:
    """Members of archives, each found by its offset: one read a member, wherever the archive lies."""

    archives: tuple[str, ...]
    """Paths or addresses of the archives."""
    names: PackedNames
    """What the members are called."""
    places: NDArray[np.int64]
    """Archive, offset in it and length in bytes of each member: (N, 3)."""
    digests: NDArray[np.uint8] | None = None
    """SHA-256 of each member, (N, 32), where it is known."""
    _came: dict[ByteRange, bytes] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Number of members."""
        return len(self.places)

    def __getitem__(self, i: int) -> bytes:
        """Content of member `i`. DataError when the archive cannot be read, or ends before it."""
        archive, offset, size = part = self._part(i)
        content = self._came.pop(part, None) or read_range(archive, offset, size)
        if len(content) != size:
            raise DataError(f"{printable_path(archive)} ends inside {printable_path(self.name(i))}: copy it again")
        return content

    def name(self, i: int) -> str:
        """What member `i` is called."""
        return self.names[i]

    def subset(self, indices: NDArray[np.int64]) -> "Members":
        """The members at `indices`, in that order."""
        digests = None if self.digests is None else self.digests[indices]
        return Members(self.archives, self.names.subset(indices), self.places[indices], digests)

    def identity(self) -> bytes:
        """Digest of names, places and digests."""
        found = hashlib.sha256(self.names.text)
        found.update(np.ascontiguousarray(self.places).tobytes())
        if self.digests is not None:
            found.update(np.ascontiguousarray(self.digests).tobytes())
        return found.digest()

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Ask the system for the ranges of archives that lie here, and fetch those of others, all at once."""
        self._came.clear()
        parts = [self._part(i) for i in indices.tolist()]
        if parts and is_address(parts[0][0]):  # as all of them are, or none
            self._came.update(fetch_ranges(parts))
            return
        for part in parts:
            prefetch_range(*part)

    def _part(self, i: int) -> ByteRange:
        archive, offset, size = self.places[i].tolist()
        return self.archives[archive], offset, size


@dataclass(frozen=True, eq=False)
class CombinedItems:
    """Images from several lots, in any order."""

    lots: tuple[Items, ...]
    """Where they are from."""
    places: NDArray[np.int64]
    """Lot, and number in it, of each: (N, 2)."""

    @classmethod
    def of(cls, lots: Sequence[Items]) -> Items:
        """All of `lots`, one lot after another; as one folder's files where they are that."""
        files = [lot for lot in lots if isinstance(lot, Files)]
        if len(files) == len(lots) and len({lot.root for lot in files}) == 1:
            ends = np.cumsum([0, *(len(lot.names.text) for lot in files)])
            text = b"".join(lot.names.text for lot in files)
            later = [lot.names.ends[1:] + end for lot, end in zip(files, ends, strict=False)]
            return Files(files[0].root, PackedNames(text, np.concatenate([[0], *later])))
        pairs = [np.stack([np.full(len(lot), k), np.arange(len(lot))], 1) for k, lot in enumerate(lots)]
        return cls(tuple(lots), np.concatenate(pairs))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.places)

    def __getitem__(self, i: int) -> Item:
        """Image `i`. DataError when it cannot be had."""
        lot, place = self._place(i)
        return self.lots[lot][place]

    def name(self, i: int) -> str:
        """What image `i` is called in its lot."""
        lot, place = self._place(i)
        return self.lots[lot].name(place)

    def subset(self, indices: NDArray[np.int64]) -> "CombinedItems":
        """The images at `indices`, in that order."""
        return CombinedItems(self.lots, self.places[indices])

    def identity(self) -> bytes:
        """Digest of the lots and the places in them."""
        found = hashlib.sha256(np.ascontiguousarray(self.places).tobytes())
        for lot in self.lots:
            found.update(lot.identity())
        return found.digest()

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Ask each lot for its own."""
        places = self.places[indices]
        for number, lot in enumerate(self.lots):
            lot.prefetch(places[places[:, 0] == number, 1])

    def _place(self, i: int) -> tuple[int, int]:
        return int(self.places[i, 0]), int(self.places[i, 1])
