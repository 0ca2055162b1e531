"""Reading what strangers made: regular files only, and never more bytes than a limit.

Every reader of `data` that takes a whole file, a member of an archive or the list of its members goes
through this module, so that a small file cannot fill the memory and a pipe cannot block.
"""

import errno
import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from residua.data.decode import printable_path
from residua.errors import DataError

MAX_LIST_BYTES = 8 << 20
"""Longest single read while the members of an archive are listed: 100,000 entries of a zip. Our choice."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack a whole block at once
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # opening a pipe would block; Windows has none
_BINARY = getattr(os, "O_BINARY", 0)


def open_regular(file: Path) -> BinaryIO:
    """Open a regular file to read; a link to one counts as one.

    Raises:
        DataError: It is a folder, a pipe, a socket or a device.
        OSError: It cannot be opened.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | _NONBLOCK | _BINARY)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.EISDIR):  # a socket; a folder on some systems
            raise
        raise _no_file(file) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(file)
    return os.fdopen(descriptor, "rb")


def read_regular(file: Path, most: int) -> bytes:
    """Read a regular file whole.

    Args:
        file: Its path.
        most: Largest size in bytes.

    Raises:
        DataError: It is larger, or no regular file.
        OSError: It cannot be read.
    """
    with open_regular(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = b"" if size > most else stream.read(size + 1)
        if max(size, len(content)) > most:
            raise DataError(f"{printable_path(file)} is larger than {most:,} bytes: give a smaller file")
        return content


class LimitedReads(io.BufferedReader):
    """A stream whose single reads have a limit, for libraries that read as much as a header claims."""

    def __init__(self, stream: Any, file: Path, most: int = MAX_LIST_BYTES) -> None:
        super().__init__(stream)
        self.file, self.most = file, most

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, all where it is negative. DataError where that is more than the limit."""
        requested = self.most + 1 if size is None or size < 0 else size
        content = super().read(min(requested, self.most + 1))
        if len(content) > self.most:
            name = printable_path(self.file)
            raise DataError(f"{name} claims a list or a name of more than {self.most:,} bytes: make it again")
        return content


@contextmanager
def opened_tar(archive: Path, *, packed: bool = False) -> Iterator[tarfile.TarFile]:
    """A tar whose headers have a limit.

    Args:
        archive: Its path.
        packed: Whether it is compressed with gzip.

    Raises:
        DataError: It is no regular file, or a header claims too much.
        OSError, EOFError, tarfile.TarError: It is damaged.
    """
    with (
        open_regular(archive) as file,
        LimitedReads(gzip.GzipFile(fileobj=file) if packed else file, archive) as limited,
        tarfile.open(fileobj=limited, mode="r:") as tar,
    ):
        yield tar


@contextmanager
def opened_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """A zip whose list of members has a limit.

    Raises:
        DataError: It is no regular file, or its list is too long.
        OSError, zipfile.BadZipFile: It is damaged.
    """
    with (
        open_regular(archive) as file,
        LimitedReads(file, archive) as limited,
        zipfile.ZipFile(limited) as members,
    ):
        yield members


def read_member(members: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """Read a member of a zip, whatever size its header claims.

    Args:
        members: The zip.
        info: The member.
        most: Largest size in bytes.

    Raises:
        DataError: It is larger, or compressed by another method than deflate.
        zipfile.BadZipFile: It is damaged.
    """
    if info.compress_type not in _METHODS:
        raise DataError(f"{info.filename!r} is compressed by method {info.compress_type}: give a plain zip")
    if info.file_size > most:
        raise DataError(f"{info.filename!r} has {info.file_size:,} bytes: give at most {most:,}")
    with members.open(info) as stream:
        # with a number: without one, all that is compressed is unpacked at once, and then cut
        return stream.read(most + 1)


def _no_file(file: Path) -> DataError:
    return DataError(f"{printable_path(file)} is a folder, a pipe or a device: give a file")
