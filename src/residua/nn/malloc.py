"""The C library's malloc: how much memory this process holds, and when freed memory goes back to the system.

A tensor on the CPU is a block of malloc. When it is freed, glibc does one of two things:

    32 MiB or more ("large")   its pages go back to the system at once; using new ones costs page faults
    smaller                    its pages stay in the process; the next block of that size reuses them

Two costs follow. A training step that frees and allocates large blocks pays thousands of page faults, so
`retain_freed_memory` keeps them between steps. And blocks that stay are separated by small ones in use: the
holes between these do not always fit the next tensor, and the process grows. Where memory is limited,
`release_free_memory` returns the unused pages. Both do nothing without glibc.
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_STATM = Path("/proc/self/statm")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024

# Parameters of `mallopt` (glibc, malloc.h).
_TRIM_THRESHOLD = -1  # free bytes at the top of the heap from which on they are returned to the system
_MMAP_THRESHOLD = -3  # smallest block that has pages of its own, which are returned when it is freed
_MMAP_MAX = -4  # most blocks with pages of their own
_NEVER = -1
_DEFAULTS = {_TRIM_THRESHOLD: 64 << 20, _MMAP_THRESHOLD: 32 << 20, _MMAP_MAX: 1 << 16}
"""Values that glibc reaches by itself once large blocks were freed; setting one ends its own adjustment."""


def resident_bytes() -> int:
    """Bytes of memory that this process holds now; its peak where the system does not report that."""
    try:
        return int(_STATM.read_text().split()[1]) * mmap.PAGESIZE
    except OSError:
        return peak_bytes()


def peak_bytes() -> int:
    """The most bytes of memory that this process has held; 0 on Windows, which does not report it."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def release_free_memory(ceiling: int = 0) -> None:
    """Return free memory to the system; every page that is used again then costs a page fault.

    Args:
        ceiling: Do so only if the process holds more than this many bytes; 0 always does.
    """
    if (trim := _malloc_trim()) and (not ceiling or resident_bytes() > ceiling):
        trim(0)


@contextmanager
def retain_freed_memory(*, large: bool = True) -> Iterator[None]:
    """While inside, freed memory stays in the process until `release_free_memory`. Must not be nested.

    Args:
        large: Also keep blocks of 32 MiB and more: faster, but the process holds more memory.
    """
    _mallopt(_DEFAULTS | {_TRIM_THRESHOLD: _NEVER} | ({_MMAP_MAX: 0} if large else {}))
    try:
        yield
    finally:
        _mallopt(_DEFAULTS)
        release_free_memory()


def _mallopt(options: dict[int, int]) -> None:
    if mallopt := _glibc("mallopt"):
        for option, value in options.items():
            mallopt(option, value)


def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    return _glibc("malloc_trim")


@cache
def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    """The function of the C library, None where it has none of that name (musl, macOS, Windows)."""
    try:
        function: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return function
