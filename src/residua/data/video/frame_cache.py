"""Decoded clips on disk, which every process of a run reads and none writes twice: epochs after the first."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.errors import DataError
from residua.data.video import reader
from residua.data.video.reader import Choose, Frames

_USED = "used"  # holds the bytes that are taken; its lock orders who takes more
_MOST_SHARE = 8  # a clip that would take more than this part of the room is no clip to keep
_OWN = "residua-clips-"  # temporary folders, by the process that made them


@dataclass(frozen=True)
class Cache:
    """A folder of arrays of frames, up to a size. What is full takes no more, and loses nothing."""

    folder: Path
    """Where they are."""
    most_bytes: int
    """Their size together."""

    def frames(self, file: Path, choose: Choose, how: Frames) -> NDArray[np.uint8]:
        """The frames of `file` that `choose` takes, (n, H, W, C) uint8; all are decoded once, and kept.

        A file that changed is decoded anew: its size and time are part of the name. Where there is no room,
        only those that are wanted are decoded, every time. DataError as from `read`.
        """
        kept = self.folder / f"{_key(file, how)}.npy"
        with suppress(OSError, ValueError):  # not there, or cut off by a full disk: it is made again
            whole: NDArray[np.uint8] = np.load(kept, mmap_mode="r")
            return np.asarray(whole[list(choose(len(whole), whole[0].nbytes))])
        wanted: Sequence[int] = ()
        every = False

        def all_if_room(count: int, size: int) -> Sequence[int]:
            nonlocal wanted, every
            wanted, every = choose(count, size), self._take(count * size)
            return range(count) if every else wanted

        frames = reader.taken(file, all_if_room, how)
        if not every:
            return frames
        with suppress(OSError):  # a full disk costs time, no result
            _publish(kept, frames)
        return frames[list(wanted)]

    def _take(self, bytes_: int) -> bool:
        """Whether there is room for a clip of so many bytes, which are then taken."""
        if bytes_ * _MOST_SHARE > self.most_bytes:
            return False
        with (self.folder / _USED).open("a+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            held.seek(0)
            used = int(held.read() or 0)
            if used + bytes_ > self.most_bytes:
                return False
            held.truncate(0)
            held.write(str(used + bytes_))
            return True


def kept(folder: Path, most_bytes: int) -> Cache:
    """A cache in `folder`, which stays. DataError when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(".npy"))
        (folder / _USED).write_text(str(used))
    except OSError as error:
        raise DataError(f"{folder} cannot keep decoded clips: {error.strerror}") from None
    return Cache(folder, most_bytes)


def passing(most_bytes: int) -> Cache:
    """A cache that goes with this process; those of processes that were killed go now."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_OWN}*"):
        process = left.name.removeprefix(_OWN).partition("-")[0]
        if process.isdecimal() and not Path("/proc", process).exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_OWN}{os.getpid()}-"))
    cache = Cache(folder, most_bytes)
    weakref.finalize(cache, _remove, folder, os.getpid())
    return cache


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not a worker that was forked
        shutil.rmtree(folder, ignore_errors=True)


def _key(file: Path, how: Frames) -> str:
    state = file.stat()
    identity = (str(file.absolute()), state.st_size, state.st_mtime_ns, *astuple(how))
    return hashlib.sha256(repr(identity).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _publish(place: Path, frames: NDArray[np.uint8]) -> None:
    """Write `frames` whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as part:
        try:
            np.save(part, frames)
            part.flush()
            Path(part.name).replace(place)
        except OSError:
            Path(part.name).unlink(missing_ok=True)
            raise
