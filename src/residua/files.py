"""Files on disk: write in one step, open without following links, check output paths, lock, cache.

A file is written in one step so that neither a reader nor a crash sees half of it:
temporary file beside it -> fsync -> rename -> fsync of the folder (only with `durable`).

A run may come from somebody else, with a link to a file of the user in the place of its own, or a pipe that
blocks the process that opens it. `open_regular` opens neither; everything in a run is opened through it.
"""

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from difflib import get_close_matches
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO

from residua.errors import CheckpointError, ConfigError
from residua.spec.printable import printable

_SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
"""Flags that each system has some of: follow no link, wait for no pipe, leave the ends of lines alone."""
MAX_NAMES = 10_000
"""Most names of a folder that are compared with a mistyped one."""
MIN_LIKENESS = 0.75
"""How alike a name must be to be suggested, as difflib measures it."""
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFREG: "a file"}


def write_file(path: Path, *parts: str | bytes | memoryview) -> None:
    """Replace the file at `path` in one step.

    Args:
        path: The file to write or replace.
        parts: Its content, one part after the other. Text is written as UTF-8; characters that UTF-8 lacks
            (undecodable bytes of file names) become backslash escapes.

    Raises:
        OSError: The file cannot be written; the error carries `path` and errno. What was there stays.
    """
    with replace_file(path) as file:
        for part in parts:
            file.write(part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part)


@contextmanager
def replace_file(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Replace the file at `path` in one step by what is written inside.

    Args:
        path: The file to write or replace; a link there is replaced, not followed.
        durable: Sync the folder, too: after a power cut `path` is the old file or the new one.

    Yields:
        The new file, open for writing.

    Raises:
        OSError: As in `write_file`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with errors_name(path):
            temporary.unlink(missing_ok=True)  # of a killed process that had the same number
            with open(open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            if durable:
                sync_folder(path.parent)
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def read_file(path: Path) -> bytes:
    """The content of the file at `path`.

    Raises:
        CheckpointError: It is a link, a folder, a pipe or a device.
        OSError: It cannot be read.
    """
    with open(open_regular(path, os.O_RDONLY), "rb") as file:
        return file.read()


def open_regular(path: Path, flags: int) -> int:
    """Open the regular file at `path`: no link is followed, no pipe is waited for.

    Args:
        path: The file.
        flags: How to open it, as for `os.open`.

    Returns:
        Its descriptor.

    Raises:
        CheckpointError: Something else is there.
        OSError: The file cannot be opened.
    """
    check_kind(path)
    return os.open(path, flags | _SAFELY, 0o666)


def check_kind(path: Path, kind: int = stat.S_IFREG) -> None:
    """Check that nothing but a file, or a folder for `kind` S_IFDIR, is at `path`; links are not followed.

    Raises:
        CheckpointError: Something else is there; the message says what.
    """
    try:
        actual = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if actual == stat.S_IFLNK:
        raise CheckpointError(
            f"{path} is a link to {os.readlink(path)}, which is not followed: put {_KINDS[kind]} in its place"
        )
    if actual != kind:
        raise CheckpointError(f"{path} is {_KINDS.get(actual, 'a device')}, not {_KINDS[kind]}: remove it")


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Set `path` as the file of every OSError raised inside: a failed write carries no path of its own."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def sync_folder(folder: Path) -> None:
    """Make files that were created, renamed or removed in `folder` survive a power cut."""
    if sys.platform == "win32":  # which opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed processes left of `write_file` in `folder`. No process may write there meanwhile."""
    for temporary in folder.glob(".*.[0-9]*.tmp"):
        if temporary.is_symlink() or temporary.is_file():
            temporary.unlink(missing_ok=True)


def near_path(path: Path) -> str:
    """What a mistyped path means, as a clause behind it.

    Args:
        path: A path at which nothing is.

    Returns:
        ` (did you mean runs/photos?)` with names beside it that are spelt alike; empty where none is.
    """
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, MAX_NAMES) if entry.name != path.name]
    except OSError:
        return ""
    close = get_close_matches(path.name, names, 2, MIN_LIKENESS)
    meant = " or ".join(printable(str(path.parent / name)) for name in close)
    return f" (did you mean {meant}?)" if close else ""


def check_output_path(path: Path | None, *, force: bool = False, suffixes: Sequence[str] = ()) -> None:
    """Check that a file can be written at `path`, before the work for it is done.

    Args:
        path: The file to write; None passes.
        force: Whether a file that exists may be replaced.
        suffixes: Allowed endings in lower case, e.g. `.html`; empty allows any.

    Raises:
        ConfigError: The ending is not allowed, or the folder does not exist.
        FileExistsError: Something exists at `path`, without `force`.
    """
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path} ends in {path.suffix!r}: give {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is no folder: make it first, or write elsewhere")
    check_is_free(path, force=force)


def check_output_folder(path: Path | None) -> None:
    """ConfigError for a `path` that is spelt as the page that is written into a folder; None passes."""
    if path and path.suffix.lower() == ".html" and not path.is_dir():
        raise ConfigError(f"-o is {path}: give the folder into which the page is written")


def check_is_free(*paths: Path, force: bool = False) -> None:
    """Check that nothing exists at `paths`.

    Raises:
        FileExistsError: Something exists at one of them, without `force`.
    """
    for path in paths:
        if path.exists() and not force:
            raise FileExistsError(f"{path} exists already: give --force to replace it")


def next_free(folder: Path, name: str) -> Path:
    """`folder/name-N` with the smallest N from 1 at which nothing exists."""
    return next(path for number in count(1) if not (path := folder / f"{name}-{number}").exists())


def cache_folder() -> Path:
    """The folder for what residua downloads and measures once for many runs; it may not exist yet.

    It is the system's folder for caches of a user. `XDG_CACHE_HOME` moves it, on Windows
    `WIN_PD_OVERRIDE_LOCAL_APPDATA`.
    """
    import platformdirs  # here, because most commands cache nothing

    return platformdirs.user_cache_path("residua", appauthor=False)


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def file_lock(path: Path, *, wait: bool = True, holder: str = "") -> Iterator[int]:
    """Hold the lock of the file at `path` while inside; gives its descriptor.

    The system frees the lock when the last process that has the file open ends. A forked child would hold it
    for a parent that was killed, so children close their copy at once.

    Args:
        path: The file, which is created when it does not exist.
        wait: Whether to wait for a process that holds the lock.
        holder: A text that is written into the file, for those who find it locked.

    Raises:
        BlockingIOError: Another process holds the lock, without `wait`; its `args[0]` is the text of the
            holder.
        CheckpointError: Something else than a file is at `path`.
        OSError: The file cannot be opened.
    """
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    descriptors = [descriptor]

    def close() -> None:
        while descriptors:
            os.close(descriptors.pop())

    if register := getattr(os, "register_at_fork", None):
        register(after_in_child=close)
    try:
        with _locked(descriptor, path, wait=wait):
            if holder:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f" {holder}".encode())
            yield descriptor
    finally:
        close()


@contextmanager
def _locked(descriptor: int, path: Path, *, wait: bool) -> Iterator[None]:
    """Lock an open file; a file system without locks (Lustre by default) gets a marker file beside it."""
    import filelock  # here, because most commands lock nothing

    with ExitStack() as stack:
        try:
            is_locked = filelock.lock_descriptor(descriptor, blocking=wait)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            marker = filelock.SoftFileLock(f"{path}.held")
            with suppress(filelock.Timeout):
                stack.enter_context(marker.acquire(blocking=wait))
            is_locked = marker.is_locked
        if not is_locked:
            os.lseek(descriptor, 1, os.SEEK_SET)  # Windows locks the first byte against readers, too
            raise BlockingIOError(os.read(descriptor, 1000).decode(errors="replace"))
        yield
