"""Fingerprints of files: whether one was replaced, without reading all of it.

A fingerprint covers the size, the first and the last KiB. It sees a file that was replaced, saved again, cut
or made longer; it does not see bytes that change in the middle of a file whose size and ends stay.
"""

import hashlib
import os
import stat
from collections.abc import Iterator

from residua.data.decode import printable_path
from residua.errors import DataError

BYTES = 4
"""Length of a fingerprint: two different files have the same one in one of four billion cases."""

Fingerprints = Iterator[tuple[str, bytes]]
"""Name and fingerprint of each file."""

_END = 1024  # bytes at each end of a file
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def fingerprint(file: str) -> bytes:
    """The fingerprint of a file, `BYTES` long.

    Raises:
        DataError: The file cannot be read, or is a folder, a pipe or a device.
    """
    try:
        # checked before opening, because opening a FIFO blocks until another process writes to it
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise DataError(f"{printable_path(file)} is no file: it is a folder, a pipe or a device")
        descriptor = os.open(file, _FLAGS)
        try:
            size = os.fstat(descriptor).st_size
            ends = os.read(descriptor, _END)
            if size > _END:
                os.lseek(descriptor, max(_END, size - _END), os.SEEK_SET)
                ends += os.read(descriptor, _END)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(f"{printable_path(file)} cannot be read: {error.strerror}") from None
    return hashlib.blake2b(size.to_bytes(8, "little") + ends, digest_size=BYTES).digest()
