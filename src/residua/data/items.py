"""Collections of undecoded images: files of a folder, members of archives, or a mix of them.

A dataset of millions of images is a few arrays, not a list of objects, so that forked workers share its
memory.
"""

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
from residua.data.fingerprints import Fingerprints, fingerprint
from residua.data.ranges import ByteRange, fetch_ranges, prefetch_file, prefetch_range, read_range
from residua.errors import DataError
from residua.spec.source import is_address

Item = Path | bytes | Image.Image
"""One image: a file, the content of a file, or a decoded image."""


class Items(Protocol):
    """A collection of images by index."""

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, i: int) -> Item:
        """Image `i`. Raises DataError when it cannot be read."""

    def name(self, i: int) -> str:
        """Name of image `i`, unique in the collection."""

    def subset(self, indices: NDArray[np.int64]) -> "Items":
        """The images at `indices`, in that order."""

    def identity(self) -> bytes:
        """A digest of the collection: of names, places and known digests, not of the content of files."""

    def fingerprints(self) -> Fingerprints:
        """Name and fingerprint of every local file that holds images; nothing else is opened.

        Raises:
            DataError: A file cannot be read.
        """

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Start to load the images at `indices`, which are read next, all at once.

        Read one after another, each would wait for the disk or the network alone.

        Args:
            indices: Indices of the images (n,).

        Raises:
            UnreachableError: A server does not answer. Other errors are raised when the image is read.
        """


@dataclass(frozen=True, eq=False)
class PackedNames:
    """Many strings in two blocks of memory, which forked workers share; a list would be copied."""

    text: bytes
    """The strings one after another, as bytes of the file system."""
    ends: NDArray[np.int64]
    """End of each string in `text`, after a first 0: (N + 1,)."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "PackedNames":
        """Pack `names`."""
        encoded = [os.fsencode(name) for name in names]
        return cls(b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, i: int) -> str:
        """String `i`; bytes that are not UTF-8 become surrogates (`os.fsdecode`)."""
        return os.fsdecode(self.text[self.ends[i] : self.ends[i + 1]])

    def subset(self, indices: NDArray[np.int64]) -> "PackedNames":
        """The strings at `indices`, in that order."""
        return PackedNames.of([self[i] for i in indices])


@dataclass(frozen=True, eq=False)
class Files:
    """Files below one folder."""

    root: Path
    """The folder."""
    names: PackedNames
    """Paths relative to `root`."""

    @classmethod
    def of(cls, root: Path, names: Sequence[str]) -> "Files":
        """The files `names`, relative to `root`."""
        return cls(root, PackedNames.of(names))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Path:
        """Path of file `i`, `root` included."""
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

    def fingerprints(self) -> Fingerprints:
        """Name and fingerprint of each file. DataError when one cannot be read."""
        root = os.path.join(self.root, "")
        for i in range(len(self)):
            name = self.names[i]
            yield name, fingerprint(root + name)

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Ask the system to load the files."""
        for i in indices.tolist():
            prefetch_file(self[i])


@dataclass(frozen=True, eq=False)
class Members:
    """Members of local or remote archives, each read by its offset."""

    archives: tuple[str, ...]
    """Paths or addresses of the archives."""
    names: PackedNames
    """Names of the members."""
    places: NDArray[np.int64]
    """Index of the archive, offset in it and length in bytes of each member: (N, 3)."""
    digests: NDArray[np.uint8] | None = None
    """SHA-256 of each member (N, 32), where it is known."""
    _fetched: dict[ByteRange, bytes] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> bytes:
        """Content of member `i`. Raises DataError when the archive cannot be read or ends before it."""
        archive, offset, size = byte_range = self._byte_range(i)
        content = self._fetched.pop(byte_range, None) or read_range(archive, offset, size)
        if len(content) != size:
            raise DataError(
                f"{printable_path(archive)} ends inside {printable_path(self.name(i))}: copy it again"
            )
        return content

    def name(self, i: int) -> str:
        """Name of member `i`."""
        return self.names[i]

    def subset(self, indices: NDArray[np.int64]) -> "Members":
        """The members at `indices`, in that order."""
        digests = None if self.digests is None else self.digests[indices]
        return Members(self.archives, self.names.subset(indices), self.places[indices], digests)

    def identity(self) -> bytes:
        """Digest of names, places and digests."""
        digest = hashlib.sha256(self.names.text)
        digest.update(np.ascontiguousarray(self.places).tobytes())
        if self.digests is not None:
            digest.update(np.ascontiguousarray(self.digests).tobytes())
        return digest.digest()

    def fingerprints(self) -> Fingerprints:
        """Path and fingerprint of each local archive; members are known by `identity` alone."""
        for archive in self.archives:
            if not is_address(archive):
                yield archive, fingerprint(archive)

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Ask the system to load ranges of local archives, or fetch ranges of remote ones together."""
        self._fetched.clear()
        ranges = [self._byte_range(i) for i in indices.tolist()]
        if ranges and is_address(ranges[0][0]):  # all archives are remote, or none
            self._fetched.update(fetch_ranges(ranges))
            return
        for byte_range in ranges:
            prefetch_range(*byte_range)

    def _byte_range(self, i: int) -> ByteRange:
        archive, offset, size = self.places[i].tolist()
        return self.archives[archive], offset, size


@dataclass(frozen=True, eq=False)
class CombinedItems:
    """Images of several collections, in any order."""

    collections: tuple[Items, ...]
    """The collections."""
    places: NDArray[np.int64]
    """Index of the collection, and index in it, of each image: (N, 2)."""

    @classmethod
    def of(cls, collections: Sequence[Items]) -> Items:
        """All images of `collections`, one collection after another; `Files` when all are files of one
        folder."""
        files = [items for items in collections if isinstance(items, Files)]
        if len(files) == len(collections) and len({items.root for items in files}) == 1:
            starts = np.cumsum([0, *(len(items.names.text) for items in files)])
            text = b"".join(items.names.text for items in files)
            ends = [items.names.ends[1:] + start for items, start in zip(files, starts, strict=False)]
            return Files(files[0].root, PackedNames(text, np.concatenate([[0], *ends])))
        pairs = [
            np.stack([np.full(len(items), k), np.arange(len(items))], 1)
            for k, items in enumerate(collections)
        ]
        return cls(tuple(collections), np.concatenate(pairs))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> Item:
        """Image `i`. Raises DataError when it cannot be read."""
        collection, index = self._place(i)
        return self.collections[collection][index]

    def name(self, i: int) -> str:
        """Name of image `i` in its collection."""
        collection, index = self._place(i)
        return self.collections[collection].name(index)

    def subset(self, indices: NDArray[np.int64]) -> "CombinedItems":
        """The images at `indices`, in that order."""
        return CombinedItems(self.collections, self.places[indices])

    def identity(self) -> bytes:
        """Digest of the collections and the places in them."""
        digest = hashlib.sha256(np.ascontiguousarray(self.places).tobytes())
        for items in self.collections:
            digest.update(items.identity())
        return digest.digest()

    def fingerprints(self) -> Fingerprints:
        """Those of the images in use, one collection after the other. DataError as for each."""
        for number, items in enumerate(self.collections):
            used = np.flatnonzero(self.places[:, 0] == number)
            if len(used):
                yield from items.subset(self.places[used, 1]).fingerprints()

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Prefetch from each collection its own images."""
        places = self.places[indices]
        for number, items in enumerate(self.collections):
            items.prefetch(places[places[:, 0] == number, 1])

    def _place(self, i: int) -> tuple[int, int]:
        return int(self.places[i, 0]), int(self.places[i, 1])
