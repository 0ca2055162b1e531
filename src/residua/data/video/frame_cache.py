"""Decoded clips on disk, shared by all processes of a run, so that later epochs decode nothing.

Each clip is one `.npy` file of all its frames, named after a hash of its path, size, modification time and
frame format. A file is written under a temporary name and renamed, so readers see it whole or not at all. The
file `used` counts the bytes that are reserved; a lock on it lets one process at a time reserve more. A full
cache keeps what it has, because the next epoch needs all of it again. Clips that do not fit are decoded each
time.
"""

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

from residua.data.video import reader
from residua.data.video.messages import ChooseFrames, FrameFormat
from residua.errors import DataError
from residua.files import file_lock

_USED = "used"
_MAX_SHARE = 8  # a clip that would take more than this part of the cache is not stored
_PREFIX = "residua-clips-"  # of temporary folders; the number of the process follows


@dataclass(frozen=True)
class FrameCache:
    """A folder of decoded clips, up to a size."""

    folder: Path
    """Folder of the `.npy` files."""
    max_bytes: int
    """Largest size of all files together."""

    def frames(self, file: Path, choose: ChooseFrames, frame_format: FrameFormat) -> NDArray[np.uint8]:
        """Read frames of a clip from the cache, or decode the clip and store it.

        Args:
            file: The clip. When it changed since it was stored, it is decoded again.
            choose: From the number of frames and the bytes of one to the wanted frame numbers.
            frame_format: Size and colour of the result.

        Returns:
            The chosen frames (n, H, W, C) uint8.

        Raises:
            DataError: As for `reader.read_frames`.
        """
        path = self.folder / f"{_key(file, frame_format)}.npy"
        with suppress(OSError, ValueError):  # missing, or cut off by a full disk: decode it again
            stored: NDArray[np.uint8] = np.load(path, mmap_mode="r")
            return np.asarray(stored[list(choose(len(stored), stored[0].nbytes))])
        numbers: Sequence[int] = ()
        has_room = False

        def all_if_room(count: int, frame_bytes: int) -> Sequence[int]:
            nonlocal numbers, has_room
            numbers, has_room = choose(count, frame_bytes), self._reserve(count * frame_bytes)
            return range(count) if has_room else numbers

        frames = reader.read_chosen_frames(file, all_if_room, frame_format)
        if not has_room:
            return frames
        with suppress(OSError):  # a full disk costs time, but no result
            _write(path, frames)
        return frames[list(numbers)]

    def _reserve(self, size: int) -> bool:
        """Reserve `size` bytes for a clip; False when there is no room."""
        if size * _MAX_SHARE > self.max_bytes:
            return False
        with file_lock(self.folder / _USED) as descriptor, open(descriptor, "r+", closefd=False) as file:
            used = int(file.read() or 0)
            if used + size > self.max_bytes:
                return False
            file.seek(0)
            file.truncate()
            file.write(str(used + size))
            return True


def open_cache(folder: Path, max_bytes: int) -> FrameCache:
    """A cache in `folder`, which outlives the run. Raises DataError when the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(".npy"))
        (folder / _USED).write_text(str(used))
    except OSError as error:
        raise DataError(f"{folder} cannot keep decoded clips: {error.strerror}") from None
    return FrameCache(folder, max_bytes)


def temporary_cache(max_bytes: int) -> FrameCache:
    """A cache that is deleted when this process ends; also deletes those of processes that were killed."""
    root = Path(tempfile.gettempdir())
    for stale in root.glob(f"{_PREFIX}*"):
        process = stale.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdecimal() and not Path("/proc", process).exists() and Path("/proc/self").exists():
            shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    cache = FrameCache(folder, max_bytes)
    weakref.finalize(cache, _remove, folder, os.getpid())
    return cache


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not in a forked worker
        shutil.rmtree(folder, ignore_errors=True)


def _key(file: Path, frame_format: FrameFormat) -> str:
    state = file.stat()
    identity = (str(file.absolute()), state.st_size, state.st_mtime_ns, *astuple(frame_format))
    return hashlib.sha256(repr(identity).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _write(path: Path, frames: NDArray[np.uint8]) -> None:
    """Write `frames` whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        try:
            np.save(part, frames)
            part.flush()
            Path(part.name).replace(path)
        except OSError:
            Path(part.name).unlink(missing_ok=True)
            raise
