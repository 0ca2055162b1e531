"""What this process holds in memory, and giving back to the system what is free.

The C library keeps freed memory for later. Freed maps leave holes between small, long-lived blocks, and a
hole is not always used again for a map of the same size: the process grows past what it needs.
"""

import ctypes
import mmap
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_STATM = Path("/proc/self/statm")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024

_TRIM, _LARGE, _MAPPED = -1, -3, -4
"""Of `mallopt` (glibc, malloc.h): how much may be free at the top of the heap before it goes back, from which
size a block has pages of its own, which go back with it, and how many such blocks there may be."""
_NEVER = -1
_ADAPTED = {_TRIM: 64 << 20, _LARGE: 32 << 20, _MAPPED: 1 << 16}
"""What glibc comes to by itself once large blocks were freed; setting any of them ends its adapting."""


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


@contextmanager
def kept(*, large: bool = True) -> Iterator[None]:
    """While inside, freed memory stays with the process until `give_back`, and the next step finds it there.

    Else the C library gives pages back that the next step wants again, and each costs a fault. `large` keeps
    blocks of 32 MiB and more, too: faster, and more is held. Not to be nested. Does nothing without glibc.
    """
    wanted = _ADAPTED | {_TRIM: _NEVER} | ({_MAPPED: 0} if large else {})
    _set(wanted)
    try:
        yield
    finally:
        _set(_ADAPTED)
        give_back()


def _set(options: dict[int, int]) -> None:
    if mallopt := _glibc("mallopt"):
        for option, value in options.items():
            mallopt(option, value)


def _trim() -> "ctypes._NamedFuncPointer | None":
    return _glibc("malloc_trim")


@cache
def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    try:
        found: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # only glibc has it
        return None
    return found
