"""Parts of files and of what lies at addresses: read in one go, or asked for before they are read."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from residua.data.decode import one_line, printable_path
from residua.errors import DataError, UnreachableError
from residua.spec.source import is_address

_MOST_BYTES = 32 << 20  # that are fetched ahead of a file: hardly an image is longer
_TOGETHER = 16  # parts asked for at once: a small server lets hardly more connections wait
_SECONDS = 30.0  # without an answer to one question; loaders give up after a minute
_PAUSES = (0.5, 2.0)  # seconds before the second and the third try


ByteRange = tuple[str, int, int]
"""A file or address, and offset and length in bytes of a part of it."""


def read_range(place: str, offset: int = 0, size: int | None = None) -> bytes:
    """`size` bytes of the file or address `place` from `offset`; all without one.

    DataError names what is not there or cannot be read; UnreachableError an address that does not answer.
    """
    try:
        if is_address(place):
            system, path = _remote(place)
            part = {} if size is None else {"start": offset, "end": offset + size}
            content: bytes = _patiently(lambda: _answer(system, "cat_file", path, **part))
            if size is not None and len(content) > size:
                raise DataError(f"{printable_path(place)} came whole: serve it with ranges, as nginx and S3 do")
            return content
        if size is None:
            return Path(place).read_bytes()
        return os.pread(_descriptor(place).fileno(), size, offset)
    except DataError:
        raise
    except Exception as error:  # fsspec raises what its many back ends raise
        raise _failed(place, error) from None


def fetch_ranges(parts: Sequence[ByteRange]) -> dict[ByteRange, bytes]:
    """Those of `parts`, all of them of one server, that come when they are asked for together.

    One after another, each would wait for the network alone. What does not come is told of when it is read;
    UnreachableError names a server that keeps silent, for each part alone would be waited for as long.
    """
    first, *rest = dict.fromkeys(parts)
    came: dict[ByteRange, bytes] = {}
    try:
        system, _ = _remote(first[0])
        # The first alone: a server without ranges sends the whole archive for each.
        for some in ([first], *(rest[k : k + _TOGETHER] for k in range(0, len(rest), _TOGETHER))):
            paths = [_remote(place)[1] for place, _, _ in some]
            starts, ends = [start for _, start, _ in some], [start + size for _, start, size in some]
            contents = _answer(system, "cat_ranges", paths, starts, ends)
            for part, content in zip(some, contents, strict=True):
                if not isinstance(content, bytes) or len(content) != part[2]:
                    return came
                came[part] = content
    except TimeoutError as error:
        raise _failed(first[0], error) from None
    except Exception:  # of any back end: nothing is lost, `read_range` asks again for each part and tells why
        return came
    return came


def prefetch_range(place: str, offset: int, size: int) -> None:
    """Have the system fetch a part of the file `place` while others are decoded.

    What cannot be read is told of when it is read.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.posix_fadvise(_descriptor(place).fileno(), offset, size, os.POSIX_FADV_WILLNEED)


def prefetch_file(file: Path) -> None:
    """The same for `file`, as far as an image may be long."""
    if sys.platform == "linux":
        with suppress(OSError):
            opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # or a pipe would wait for its writer
            try:
                os.posix_fadvise(opened, 0, _MOST_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(opened)


def _failed(place: str, error: Exception) -> DataError:
    """Why `place` could not be read, and what to do."""
    kind = UnreachableError if is_address(place) else DataError
    if isinstance(error, FileNotFoundError):
        return DataError(f"{printable_path(place)} does not exist: look at the path")
    if isinstance(error, PermissionError):
        cure = "give credentials that may, or another path"
        return kind(f"{printable_path(place)} may not be read ({one_line(error)}): {cure}")
    cure = "the credentials" if "credentials" in str(error).lower() else "the path, or the network"
    return kind(f"{printable_path(place)} cannot be read ({one_line(error)}): look at {cure}")


def _answer(system: Any, question: str, *asked: Any, **more: Any) -> Any:
    """What a file system says to a question; TimeoutError when it is one that may be silent, and is.

    Left to themselves, those of stores wait for a minute, five times five times over.
    """
    if not system.async_impl:
        return getattr(system, question)(*asked, **more)
    from fsspec.asyn import FSTimeoutError, sync

    try:
        return sync(system.loop, getattr(system, f"_{question}"), *asked, timeout=_SECONDS, **more)
    except FSTimeoutError:
        raise TimeoutError(f"no answer in {_SECONDS:g} seconds") from None


def _patiently(fetch: Callable[[], bytes]) -> bytes:
    """What `fetch` gets, tried again after a moment: one lost packet in a week is no end of a run."""
    for seconds in _PAUSES:
        try:
            return fetch()
        except (FileNotFoundError, PermissionError, TimeoutError):
            raise
        except Exception:  # each back end has its own errors; the last try raises its own
            time.sleep(seconds)
    return fetch()


def close_cached_files() -> None:
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
        brought = address.startswith(("http", "s3"))
        cure = "pip install 'residua[shards]' brings it" if brought else "no extra of residua brings it"
        raise DataError(f"{address} needs a package ({one_line(error)}): {cure}") from None
    return system, path
