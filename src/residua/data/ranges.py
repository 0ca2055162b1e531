"""Byte ranges of files and of remote objects (http, s3, ... through fsspec): read, or fetched before they are
read.

Local files are read with `pread`, from descriptors that forked workers share. For files, prefetching asks the
system to load the pages (`posix_fadvise`) while other images are decoded. For remote objects, `fetch_ranges`
requests many ranges at once. Errors of prefetching are dropped: the read that follows raises them, with the
name of the file. The one exception is a server that does not answer, because each later read would wait as
long again. No more bytes are taken than were asked for, whatever a file or a server holds.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from residua.data import http_files
from residua.data.decode import one_line, printable_path
from residua.data.limits import open_regular, read_regular
from residua.errors import DataError, UnreachableError
from residua.spec.source import is_address

_PREFETCH_BYTES = 32 << 20  # of a file: hardly any image is larger
_CONCURRENT = 16  # ranges requested at once; small servers accept few connections
_SECONDS = 30.0  # time limit of one request; a loader counts workers as hung after 60
_PAUSES = (0.5, 2.0)  # seconds before the second and the third attempt


ByteRange = tuple[str, int, int]
"""Path or address, offset and length in bytes."""


def read_range(place: str, offset: int, size: int) -> bytes:
    """Read a range of bytes.

    Args:
        place: Path or address.
        offset: First byte.
        size: Number of bytes.

    Returns:
        The bytes; fewer where the file ends.

    Raises:
        UnreachableError: The server of an address does not answer.
        DataError: The file is missing or cannot be read; the message names it.
    """
    with _errors_name(place):
        if not is_address(place):
            if "pread" in vars(os):
                return os.pread(_descriptor(place).fileno(), size, offset)
            with Path(place).open("rb") as file:  # Windows: threads would share one position
                file.seek(offset)
                return file.read(size)
        content = _retry(lambda: _fetch(place, offset, size))
        if len(content) > size:
            raise DataError(f"{printable_path(place)} came whole: serve it with ranges, as nginx and S3 do")
        return content


def read_whole(place: str, most: int) -> bytes:
    """Read a whole file.

    Args:
        place: Path or address.
        most: Largest size in bytes.

    Raises:
        UnreachableError: The server of an address does not answer.
        DataError: The file is missing, larger, or cannot be read; the message names it.
    """
    with _errors_name(place):
        if not is_address(place):
            return read_regular(Path(place), most)
        content = _retry(lambda: _fetch(place, 0, most, whole=True))
        if len(content) > most:
            raise DataError(f"{printable_path(place)} is larger than {most:,} bytes: give a smaller file")
        return content


def fetch_ranges(ranges: Sequence[ByteRange]) -> dict[ByteRange, bytes]:
    """Fetch ranges of one server together; one after another, each would wait for the network.

    Args:
        ranges: Ranges of addresses on one server.

    Returns:
        The ranges that arrived; `read_range` fetches the others and raises their errors.

    Raises:
        UnreachableError: The server does not answer.
    """
    first, *rest = dict.fromkeys(ranges)
    contents: dict[ByteRange, bytes] = {}
    try:
        system, _ = _file_system(first[0])
        # The first range alone: a server without ranges sends the whole archive for each of them.
        for group in ([first], *(rest[k : k + _CONCURRENT] for k in range(0, len(rest), _CONCURRENT))):
            if _is_http(first[0]):
                results = _wait(system, http_files.fetch_all, system, group)
            else:
                paths = [_file_system(place)[1] for place, _, _ in group]
                starts, ends = [start for _, start, _ in group], [start + size for _, start, size in group]
                results = _call(system, "cat_ranges", paths, starts, ends)
            for byte_range, content in zip(group, results, strict=True):
                if not isinstance(content, bytes) or len(content) != byte_range[2]:
                    return contents
                contents[byte_range] = content
    except TimeoutError as error:
        raise _as_data_error(first[0], error) from None
    except Exception:  # of any back end: `read_range` fetches the missing ranges again
        return contents
    return contents


def prefetch_range(place: str, offset: int, size: int) -> None:
    """Ask the system to load a range of the file `place` into memory; errors are ignored.

    Only Linux is asked; other systems load the range when it is read.

    Args:
        place: Path of a local file.
        offset: First byte.
        size: Number of bytes.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.posix_fadvise(_descriptor(place).fileno(), offset, size, os.POSIX_FADV_WILLNEED)


def prefetch_file(file: Path) -> None:
    """Ask the system to load the first 32 MiB of `file` into memory; errors are ignored."""
    if sys.platform == "linux":
        with suppress(OSError):
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would block
            try:
                os.posix_fadvise(descriptor, 0, _PREFETCH_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


def close_cached_files() -> None:
    """Close the files that `read_range` keeps open, because other files may have taken their names."""
    _descriptor.cache_clear()


def _as_data_error(place: str, error: Exception) -> DataError:
    """The error for a user: why `place` cannot be read, and what to do."""
    kind = UnreachableError if is_address(place) else DataError
    if isinstance(error, FileNotFoundError):
        return DataError(f"{printable_path(place)} does not exist: check the path")
    if isinstance(error, PermissionError):
        remedy = "give credentials that may, or another path"
        return kind(f"{printable_path(place)} may not be read ({one_line(error)}): {remedy}")
    remedy = "the credentials" if "credentials" in str(error).lower() else "the path, or the network"
    return kind(f"{printable_path(place)} cannot be read ({one_line(error)}): check {remedy}")


def _fetch(address: str, offset: int, size: int, *, whole: bool = False) -> bytes:
    """A range of a file, or, with `whole`, all of it: one byte more where it is larger than `size`."""
    system, path = _file_system(address)
    if _is_http(address):
        content: bytes = _wait(system, http_files.fetch, system, path, offset, size, whole=whole)
    else:
        content = _call(system, "cat_file", path, start=offset, end=offset + size + whole)
    return content


def _call(system: Any, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of a file system; TimeoutError after 30 seconds without an answer.

    By themselves, the file systems of object stores wait for a minute and try 25 times.
    """
    if not system.async_impl:
        return getattr(system, method)(*arguments, **options)
    return _wait(system, getattr(system, f"_{method}"), *arguments, **options)


def _wait(system: Any, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What the coroutine `function` returns on the loop of `system`; TimeoutError after 30 seconds."""
    from fsspec.asyn import FSTimeoutError, sync

    try:
        return sync(system.loop, function, *arguments, timeout=_SECONDS, **options)
    except FSTimeoutError:
        raise TimeoutError(f"no answer in {_SECONDS:g} seconds") from None


def _retry(fetch: Callable[[], bytes]) -> bytes:
    """Call `fetch` up to three times: one lost packet in a week must not end a run."""
    for seconds in _PAUSES:
        try:
            return fetch()
        except (DataError, FileNotFoundError, PermissionError, TimeoutError):
            raise
        except Exception:  # each back end has its own errors; the last attempt raises its own
            time.sleep(seconds)
    return fetch()


def _is_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))


@contextmanager
def _errors_name(place: str) -> Iterator[None]:
    """Turn every error of reading `place` into one for the user."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # fsspec raises what its many back ends raise
        raise _as_data_error(place, error) from None


@lru_cache(maxsize=256)
def _descriptor(path: str) -> Any:
    """An open file for `os.pread`, which has no position and is safe between forked workers."""
    return open_regular(Path(path))


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, of which fsspec keeps one for each process, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError:
        raise DataError(f"{address} needs fsspec: pip install 'residua[shards]'") from None
    try:
        system, path = url_to_fs(address, **(http_files.OPTIONS if _is_http(address) else {}))
    except ImportError as error:
        is_in_extra = address.startswith(("http", "s3"))
        remedy = "pip install 'residua[shards]' brings it" if is_in_extra else "no extra of residua brings it"
        raise DataError(f"{address} needs a package ({one_line(error)}): {remedy}") from None
    return system, path
