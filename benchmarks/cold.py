"""Files whose contents the system has forgotten, as those of a set that is larger than its memory."""

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np

_LIBC = ctypes.CDLL(None, use_errno=True)


def forget(folder: Path) -> None:
    """Have the system give up what it keeps in memory of the files below `folder`. OSError if it will not.

    Names, sizes and places on the disk stay known: a set that is read for the first time is slower still.
    """
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in files:
        opened = os.open(file, os.O_RDONLY)
        os.fsync(opened)  # pages that are not written yet would stay
        os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(opened)
    if left := sum(map(kept, files)):
        raise OSError(f"{left} bytes of {folder} stay in memory: it is no disk that can be read cold")


def kept(file: Path) -> int:
    """Bytes of `file` that are in the system's memory (`mincore`)."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as held:
        seen = np.frombuffer(held, np.uint8)
        pages = np.zeros(-(-len(seen) // mmap.PAGESIZE), np.uint8)
        place, size, found = (
            ctypes.c_void_p(seen.ctypes.data),
            ctypes.c_size_t(len(seen)),
            pages.ctypes.data,
        )
        if _LIBC.mincore(place, size, ctypes.c_void_p(found)):
            raise OSError(ctypes.get_errno(), f"mincore of {file}")
        del seen  # or the map could not be closed
    return int((pages & 1).sum()) * mmap.PAGESIZE
