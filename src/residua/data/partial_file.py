"""A file of which a part has arrived, and beside it what is known of the whole.

FILE.partial        what has arrived
FILE.partial.json   its Mark: the address it came from, and what the server said there
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

from residua.errors import CheckpointError, ResourceError
from residua.files import open_regular, read_file, write_file
from residua.spec.amount import format_bytes
from residua.spec.printable import printable


@dataclass(frozen=True, slots=True)
class Mark:
    """What a server said about a file."""

    address: str = ""
    """Where it was asked for."""
    total: int = 0
    """Bytes of the whole file; 0 for not said."""
    validator: str = ""
    """Mark of its version, an ETag or a date; empty for none."""
    sha256: str = ""
    """SHA-256 that a hub promised; empty for none."""


@dataclass(frozen=True, slots=True)
class PartialFile:
    """What has arrived of a file. Its folder exists, and no other process writes it."""

    path: Path
    """`FILE.partial`."""

    def size(self) -> int:
        """Bytes that have arrived."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def mark(self) -> Mark:
        """What is known of the whole file; an empty Mark where the description is missing or damaged."""
        try:
            mark = Mark(**json.loads(read_file(self._description)))
        except (OSError, ValueError, TypeError, CheckpointError):
            return Mark()
        texts = (mark.address, mark.validator, mark.sha256)
        is_sound = type(mark.total) is int and all(type(text) is str and text.isprintable() for text in texts)
        return mark if is_sound else Mark()

    def begin(self, mark: Mark) -> None:
        """Start again with nothing but a Mark. ResourceError where the disk refuses it."""
        with self._written():
            self.remove()
            write_file(self._description, json.dumps(asdict(mark)))

    def check_room(self, size: int) -> None:
        """ResourceError where the disk has no room for `size` bytes more."""
        free = shutil.disk_usage(self.path.parent).free
        if size > free:
            raise ResourceError(
                f"{printable(str(self.path.parent))} has {format_bytes(free)} free, and "
                f"{printable(self.path.stem)} needs {format_bytes(size)} more: free some space, or set "
                "XDG_CACHE_HOME to another disk"
            )

    @contextmanager
    def appending(self) -> Iterator["_Tail"]:
        """Write behind what has arrived. ResourceError where the disk refuses it."""
        with self._written():
            descriptor = open_regular(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with open(descriptor, "ab", buffering=0) as file:
            yield _Tail(self, file)

    def remove(self) -> None:
        """Remove the part, and what is known of the whole."""
        self.path.unlink(missing_ok=True)
        self._description.unlink(missing_ok=True)

    @property
    def _description(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @contextmanager
    def _written(self) -> Iterator[None]:
        """What the disk refuses inside, as a ResourceError."""
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            cure = "free some space" if is_full else "check the folder"
            raise ResourceError(
                f"{printable(str(self.path))} cannot be written ({error.strerror}): {cure}, or set "
                "XDG_CACHE_HOME to another disk"
            ) from None


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of a partial file, open for writing."""

    part: PartialFile
    file: FileIO

    def write(self, chunk: bytes) -> None:
        """Write all of `chunk`: a disk that is nearly full takes a part first."""
        rest = memoryview(chunk)
        with self.part._written():
            while rest:
                rest = rest[self.file.write(rest) :]
