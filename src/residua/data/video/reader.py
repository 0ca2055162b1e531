"""Reading clips through a child process, which a bad file may hang or crash without harm to the caller.

States of a `ClipReader`:

    stopped --request--> running --answer--> running (idle, until the next request)
                            |
                            +-- no answer in time, crash, caller interrupted --> child is killed --> stopped

Each process of a run has one reader (`process_reader`); a fork starts its own. The child also ends by itself:
when its pipe closes, and by an alarm when a request takes too long. A caller that has less time sets a
deadline for all its requests (`requests_until`).
"""

import atexit
import json
import math
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import printable_path
from residua.data.video.messages import ChooseFrames, FrameFormat, Request
from residua.errors import DataError

MAX_SECONDS = 30.0
"""Time limit for one file. Our choice: ten seconds of 1080p take three on a slow core."""
MAX_MEMORY = 3 << 30
"""Address space of the child in bytes: the largest frame thirty times, and the libraries."""
MAX_RESULT = 1 << 30
"""Largest answer in bytes: 16 frames of 25 megapixels."""

_ALARM_DELAY = 5  # seconds beyond the time limit after which a child without a reader ends itself
_EXIT_SECONDS = 2.0  # wait for a child that is ending, to learn its exit status
_NO_PIXELS = np.empty(0, np.uint8)
_REMEDY = "cut it shorter, record it again, or remove it"


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """Properties of a clip, measured rather than read from its header."""

    width: int
    """Pixels across as shown: after the rotation that a phone records."""
    height: int
    """Pixels down as shown."""
    frames: int
    """Number of frames in the file."""
    fps: float
    """Frames a second, from the times of the first and the last frame; 0 where the file has none."""
    codec: str
    """Name of the decoder, e.g. `h264`."""
    pixel_format: str
    """Storage of pixels, e.g. `yuv420p`."""
    rotation: int = 0
    """Degrees, counter-clockwise, by which frames are turned to be shown."""


def probe(file: Path | bytes) -> ClipInfo:
    """Describe a clip; its first frame is decoded.

    Args:
        file: Path or content of the clip.

    Returns:
        Size, length and format of the clip.

    Raises:
        DataError: The file is no clip; the message names it.
    """
    return ClipInfo(**_request(file, "probe")[0])


def read_frames(file: Path | bytes, numbers: Sequence[int], frame_format: FrameFormat) -> NDArray[np.uint8]:
    """Decode frames by number.

    Args:
        file: Path or content of the clip.
        numbers: Frame numbers from 0 in the order of display; in any order, repeats allowed.
        frame_format: Size and colour of the result.

    Returns:
        The frames (n, H, W, C) uint8.

    Raises:
        DataError: A frame cannot be decoded within `MAX_SECONDS` and `MAX_MEMORY`; the message names the
            file.
    """
    return read_chosen_frames(file, lambda _count, _bytes: numbers, frame_format)


def read_chosen_frames(
    file: Path | bytes, choose: ChooseFrames, frame_format: FrameFormat
) -> NDArray[np.uint8]:
    """Decode the frames that `choose` returns for the length of the clip; opens the file once.

    Args:
        file: Path or content of the clip.
        choose: Called once with the number of frames and the bytes of one; returns numbers in any order.
        frame_format: Size and colour of the result.

    Returns:
        The frames (n, H, W, C) uint8 in the order of `choose`.

    Raises:
        DataError: As for `read_frames`.
    """
    numbers: list[int] = []

    def choose_ascending(count: int, frame_bytes: int) -> list[int]:
        numbers.extend(choose(count, frame_bytes))
        return sorted(set(numbers))

    frames = _request(file, "read", choose_ascending, frame_format)[1]
    ascending = sorted(set(numbers))
    row = {number: i for i, number in enumerate(ascending)}
    return frames if numbers == ascending else frames[[row[number] for number in numbers]]


def count_frames(file: Path | bytes) -> int:
    """Decode all of a clip and count the frames. Raises DataError at the first that is damaged."""
    return int(_request(file, "count")[0]["frames"])


def _request(
    file: Path | bytes,
    action: Any,
    choose: ChooseFrames | None = None,
    frame_format: FrameFormat = FrameFormat(),  # noqa: B008 (a frozen value)
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The answer to one request, and its pixels."""
    name = printable_path(file) if isinstance(file, Path) else "the clip"
    if isinstance(file, Path):
        _check_regular_file(file, name)
    request = Request(action, str(file.absolute()) if isinstance(file, Path) else "", frame_format)
    head, pixels = process_reader().run(request, file if isinstance(file, bytes) else b"", name, choose)
    if "error" in head:
        raise DataError(f"{name} {head['error']}")
    return head, pixels


def _check_regular_file(file: Path, name: str) -> None:
    try:
        # checked before opening, because opening a FIFO blocks until another process writes to it
        if not stat.S_ISREG(file.stat().st_mode):
            raise DataError(f"{name} is no clip: it is a folder, a pipe or a device")
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from None


def process_reader() -> "ClipReader":
    """The reader of this process; a fork gets its own."""
    return _reader_of(os.getpid())


@lru_cache(maxsize=1)  # in a fork, this drops the parent's reader, which continues to serve the parent
def _reader_of(_process: int) -> "ClipReader":
    reader = ClipReader()
    atexit.register(reader.stop)
    return reader


class ClipReader:
    """A child process that decodes clips, started at the first request and again after each failure."""

    def __init__(self, *, seconds: float = MAX_SECONDS, memory: int = MAX_MEMORY) -> None:
        self.seconds, self.memory, self.lock = seconds, memory, Lock()
        self.child: subprocess.Popen[bytes] | None = None
        self.pipe: Connection[bytes, bytes] | None = None
        self.deadline = math.inf

    @contextmanager
    def requests_until(self, deadline: float) -> Iterator[None]:
        """End each request inside at `deadline` of `time.monotonic()`, where `seconds` would let it go on."""
        before, self.deadline = self.deadline, deadline
        try:
            yield
        finally:
            self.deadline = before

    def run(
        self, request: Request, content: bytes, name: str, choose: ChooseFrames | None = None
    ) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Send one request and wait for its answer.

        Args:
            request: The request.
            content: The bytes of the clip when the request names no file.
            name: The clip in error messages.
            choose: Chooses the frames of a `read`.

        Returns:
            The answer, and its pixels (n, H, W, C) uint8; an empty array when it has none.

        Raises:
            DataError: The child takes longer than `seconds` or the deadline, or crashes. It is killed; the
                next request starts another.
        """
        with self.lock:
            pipe = self._running_pipe()
            deadline = min(time.monotonic() + self.seconds, self.deadline)
            try:
                pipe.send_bytes(request.to_json())
                if not request.file:
                    pipe.send_bytes(content)
                head = self._receive_json(pipe, deadline, name)
                if choose and "error" not in head:
                    pipe.send_bytes(json.dumps(choose(head["frames"], head["bytes"])).encode())
                    head = self._receive_json(pipe, deadline, name)
                return head, _receive_pixels(pipe, head["shape"]) if "shape" in head else _NO_PIXELS
            except (OSError, EOFError):
                cause = self.stop()
                raise DataError(f"{name} makes the decoder fail ({cause}): {_REMEDY}") from None
            except BaseException:  # after an interrupted request the pipe may hold half an answer
                self.stop()
                raise

    def _receive_json(self, pipe: "Connection[bytes, bytes]", deadline: float, name: str) -> dict[str, Any]:
        if not pipe.poll(max(0.0, deadline - time.monotonic())):
            if self.child:
                self.child.kill()  # it decodes on: waiting for its end would take _EXIT_SECONDS
            limit = f"{self.seconds:g} s" if deadline < self.deadline else "there is time for"
            raise DataError(f"{name} takes longer than {limit} to decode: {_REMEDY}")
        head: dict[str, Any] = json.loads(pipe.recv_bytes(1 << 20))
        return head

    def stop(self) -> str:
        """End the child process, killing it if it does not exit.

        Returns:
            How it ended, e.g. `signal 9`; empty when none was running.
        """
        child, self.child = self.child, None
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None
        if child is None:
            return ""
        try:
            code = child.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return "it gave no answer"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def _running_pipe(self) -> "Connection[bytes, bytes]":
        """The pipe to the child, which is started if none is running."""
        if self.pipe is not None:
            return self.pipe
        if find_spec("av") is None:
            raise DataError("clips need PyAV: pip install 'residua[video]'")
        pipe, child_end = Pipe()
        limits = [str(child_end.fileno()), str(self.seconds + _ALARM_DELAY), str(self.memory)]
        # in its own session, so that Ctrl-C reaches the caller only and no answer is cut off
        self.child = subprocess.Popen(  # noqa: S603 (our own module, numbers as arguments)
            [sys.executable, "-m", "residua.data.video.reader_process", *limits],
            pass_fds=[child_end.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        child_end.close()
        self.pipe = pipe
        return pipe


def _receive_pixels(pipe: "Connection[bytes, bytes]", shape: list[int]) -> NDArray[np.uint8]:
    """Pixels (n, H, W, C), received without a copy. OSError when their number does not match `shape`."""
    size = math.prod(shape)
    if size > MAX_RESULT:
        raise OSError
    pixels = np.empty(size, np.uint8)
    if pipe.recv_bytes_into(pixels.data) != size:
        raise OSError
    return pixels.reshape(shape)
