"""Parts of files and of what lies at addresses: read in one go, or asked for before they are read."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from residua.data.decode import DataError, one_line, shown

_MOST_BYTES = 32 << 20  # that are fetched ahead of a file: hardly an image is longer
_PAUSES = (0.5, 2.0)  # seconds before the second and the third try


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


def expect_range(place: str, offset: int, size: int) -> None:
    """Have the system fetch a part of the file `place` while others are decoded; nothing for an address.

    What cannot be read is told of when it is read.
    """
    if sys.platform == "linux" and not is_address(place):
        with suppress(OSError):
            os.posix_fadvise(_descriptor(place).fileno(), offset, size, os.POSIX_FADV_WILLNEED)


def expect_file(file: Path) -> None:
    """The same for `file`, as far as an image may be long."""
    if sys.platform == "linux":
        with suppress(OSError):
            opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # or a pipe would wait for its writer
            try:
                os.posix_fadvise(opened, 0, _MOST_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(opened)


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


def reopen() -> None:
    """Open every file anew that is asked for next: another may have taken its name."""
    _descriptor.cache_clear()


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
