"""Many images that are not decoded yet, as files or members of archives, in memory that stays small."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import DataError, one_line, shown

_PAUSES = (0.5, 2.0)  # seconds before the second and the third try

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


@dataclass(frozen=True, eq=False)
class Names:
    """Many texts in two blocks of memory, which forked workers share where a list would be copied."""

    text: bytes
    """The texts one after another, in the bytes of the file system."""
    ends: NDArray[np.int64]
    """Where each ends in `text`, after a first 0: (N + 1,)."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "Names":
        """The texts of `names`."""
        encoded = [os.fsencode(name) for name in names]
        return cls(b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64))

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.ends) - 1

    def __getitem__(self, i: int) -> str:
        """Text `i`; bytes that are no UTF-8 are surrogates (`os.fsdecode`)."""
        return os.fsdecode(self.text[self.ends[i] : self.ends[i + 1]])

    def subset(self, indices: NDArray[np.int64]) -> "Names":
        """The texts at `indices`, in that order."""
        return Names.of([self[i] for i in indices])


@dataclass(frozen=True, eq=False)
class Files:
    """Files below one folder."""

    root: Path
    """Folder that the paths start from."""
    names: Names
    """The paths, relative to it."""

    @classmethod
    def of(cls, root: Path, names: Sequence[str]) -> "Files":
        """The files `names`, relative to `root`."""
        return cls(root, Names.of(names))

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


@dataclass(frozen=True, eq=False)
class Members:
    """Members of archives, each found by its offset: one read a member, wherever the archive lies."""

    archives: tuple[str, ...]
    """Paths or addresses of the archives."""
    names: Names
    """What the members are called."""
    places: NDArray[np.int64]
    """Archive, offset in it and length in bytes of each member: (N, 3)."""
    digests: NDArray[np.uint8] | None = None
    """SHA-256 of each member, (N, 32), where it is known."""

    def __len__(self) -> int:
        """Number of members."""
        return len(self.places)

    def __getitem__(self, i: int) -> bytes:
        """Content of member `i`. DataError when the archive cannot be read, or ends before it."""
        archive, offset, size = self.places[i].tolist()
        content = read_range(self.archives[archive], offset, size)
        if len(content) != size:
            raise DataError(
                f"{shown(self.archives[archive])} ends inside {shown(self.name(i))}: copy it again"
            )
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


@dataclass(frozen=True, eq=False)
class Mixed:
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
            return Files(files[0].root, Names(text, np.concatenate([[0], *later])))
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

    def subset(self, indices: NDArray[np.int64]) -> "Mixed":
        """The images at `indices`, in that order."""
        return Mixed(self.lots, self.places[indices])

    def identity(self) -> bytes:
        """Digest of the lots and the places in them."""
        found = hashlib.sha256(np.ascontiguousarray(self.places).tobytes())
        for lot in self.lots:
            found.update(lot.identity())
        return found.digest()

    def _place(self, i: int) -> tuple[int, int]:
        return int(self.places[i, 0]), int(self.places[i, 1])


def is_address(place: str) -> bool:
    """Whether `place` is an address like `https://...` or `s3://...`, and no path."""
    scheme, slashes, _ = place.partition("://")
    return bool(slashes) and scheme.isalnum()


def read_range(place: str, offset: int = 0, size: int | None = None) -> bytes:
    """`size` bytes of the file or address `place` from `offset`; all without one. DataError names it."""
    try:
        if is_address(place):
            system, path = _remote(place)
            part = {} if size is None else {"start": offset, "end": offset + size}
            content: bytes = _patiently(lambda: system.cat_file(path, **part))
            if size is not None and len(content) > size:
                raise DataError(f"{shown(place)} came whole: serve it with ranges, as nginx and S3 do")
            return content
        if size is None:
            return Path(place).read_bytes()
        return os.pread(_descriptor(place).fileno(), size, offset)
    except DataError:
        raise
    except Exception as error:  # fsspec raises what its many back ends raise
        reason = one_line(error)
        raise DataError(
            f"{shown(place)} cannot be read ({reason}): look at the path, or the network"
        ) from None


def _patiently(fetch: Callable[[], bytes]) -> bytes:
    """What `fetch` gets, tried again after a moment: one lost packet in a week is no end of a run."""
    for seconds in _PAUSES:
        try:
            return fetch()
        except FileNotFoundError:
            raise
        except Exception:  # each back end has its own errors; the last try raises its own
            time.sleep(seconds)
    return fetch()


@lru_cache(maxsize=256)
def _descriptor(path: str) -> Any:
    """An open file for `os.pread`, which needs no position and is safe between forked workers."""
    return Path(path).open("rb", buffering=0)


def _remote(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it; fsspec keeps one of each for a process."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError:
        raise DataError(f"{address} needs fsspec: pip install 'residua[shards]'") from None
    try:
        system, path = url_to_fs(address)
    except ImportError as error:
        raise DataError(f"{address} needs a package ({error}): pip install 'residua[shards]'") from None
    return system, path
