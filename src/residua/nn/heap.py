"""What this process holds in memory, and giving back to the system what is free.

The C library keeps freed memory for later. Freed maps leave holes between small, long-lived blocks, and a
hole is not always used again for a map of the same size: the process grows past what it needs.
"""

import ctypes
import mmap
import resource
import sys
from functools import cache
from pathlib import Path

_STATM = Path("/proc/self/statm")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def resident() -> int:
    """Bytes of memory this process holds now; where the system does not say, the most it ever held."""
    try:
        return int(_STATM.read_text().split()[1]) * mmap.PAGESIZE
    except OSError:
        return peak()


def peak() -> int:
    """The most bytes of memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def give_back(ceiling: int = 0) -> None:
    """Give free memory back to the system if the process holds more than `ceiling` bytes.

    Costs a page fault for every page that is used again. Does nothing without a C library that can.
    """
    if (trim := _trim()) and (not ceiling or resident() > ceiling):
        trim(0)


@cache
def _trim() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # only glibc has it
        return None
