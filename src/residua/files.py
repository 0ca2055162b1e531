"""Files on disk: write in one step, check output paths, lock. Plain standard library.

A file is written in one step so that neither a reader nor a crash sees half of it:
temporary file beside it -> fsync -> rename -> fsync of the folder (only with `durable`).
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from residua.errors import ConfigError


def write_file(path: Path, *parts: str | bytes | memoryview, durable: bool = False) -> None:
    """Replace the file at `path` in one step.

    Args:
        path: The file to write or replace.
        parts: Its content, one part after the other. Text is written as UTF-8; characters that UTF-8 lacks
            (undecodable bytes of file names) become backslash escapes.
        durable: Sync the folder, too: after a power cut `path` is the old file or the new one.

    Raises:
        OSError: The file cannot be written; the error carries `path` and errno. What was there stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with errors_name(path):
            with temporary.open("wb") as file:
                for part in parts:
                    file.write(part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            if durable:
                sync_folder(path.parent)
    finally:
        with suppress(OSError):
            os.unlink(temporary)


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
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed processes left of `write_file` in `folder`. No process may write there meanwhile."""
    for temporary in folder.glob(".*.[0-9]*.tmp"):
        temporary.unlink(missing_ok=True)


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


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Hold the advisory lock (flock) of the file at `path` while inside; gives its descriptor.

    The kernel frees the lock when the last process that has the file open ends. A forked child would hold it
    for a parent that was killed, so children close their copy at once. Links are not followed.

    Args:
        path: The file, which is created when it does not exist.
        wait: Whether to wait for a process that holds the lock.

    Raises:
        BlockingIOError: Another process holds the lock, without `wait`; its `args[0]` is what it wrote there.
        OSError: The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    descriptors = [descriptor]

    def close() -> None:
        while descriptors:
            os.close(descriptors.pop())

    os.register_at_fork(after_in_child=close)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BlockingIOError(os.read(descriptor, 1000).decode(errors="replace")) from None
        yield descriptor
    finally:
        close()
