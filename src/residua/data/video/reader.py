"""Clips to pixels in a process of their own: a file may hang, crash or eat memory, and only it ends."""

import atexit
import json
import math
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import shown
from residua.errors import DataError

SECONDS = 30.0
"""Longest time that one file may take. Our choice: ten seconds of 1080p take three on a slow core."""
MOST_BYTES = 3 << 30
"""Address space of a reader: the largest frame we take, thirty times over, and the libraries."""
MOST_RESULT = 1 << 30
"""Largest answer: 16 frames of 25 megapixels."""

Choose = Callable[[int, int], Sequence[int]]
"""From the frames that a file has and the bytes of one, as handed over, to the numbers of those wanted."""

_GRACE = 5  # seconds after which a reader whose parent is gone ends itself
_LEAVE = 2.0  # seconds that a reader has to end by itself, and to say why


@dataclass(frozen=True, slots=True)
class Facts:
    """What a clip is made of, counted rather than believed."""

    width: int
    """Pixels across, as shown: after the turn that a telephone asks for."""
    height: int
    """Pixels down, as shown."""
    frames: int
    """Frames that the file holds, whatever its header claims."""
    rate: float
    """Frames a second, from the times of the first and the last; 0 where nothing tells."""
    codec: str
    """Name of the decoder, e.g. `h264`."""
    pixels: str
    """How pixels are stored, e.g. `yuv420p`."""
    rotation: int = 0
    """Degrees by which it is turned to be shown."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames that are asked for."""

    short: int = 0
    """Shorter side in pixels; 0 leaves the size."""
    colour: str = "rgb"
    """`rgb` or `grey`."""
    interpolation: str = "bilinear"
    """`bilinear` or `bicubic`."""


def look(file: Path | bytes) -> Facts:
    """What `file` is made of, its first frame decoded. DataError, which names it, when it is no clip."""
    return Facts(**_asked(file, "look")[0])


def read(file: Path | bytes, numbers: Sequence[int], how: Frames) -> NDArray[np.uint8]:
    """The frames at `numbers`, counted from 0 as they are shown, in any order: (n, H, W, C) uint8.

    DataError names the file when a frame cannot be had, or not within `SECONDS` and `MOST_BYTES`.
    """
    return taken(file, lambda _count, _bytes: numbers, how)


def taken(file: Path | bytes, choose: Choose, how: Frames) -> NDArray[np.uint8]:
    """The frames that `choose` takes once it knows how many there are; the file is opened once. As `read`."""
    asked: list[int] = []

    def rising(count: int, size: int) -> list[int]:
        asked.extend(choose(count, size))
        return sorted(set(asked))

    frames = _asked(file, "read", choose=rising, **asdict(how))[1]
    wanted = sorted(set(asked))
    place = {number: i for i, number in enumerate(wanted)}
    return frames if asked == wanted else frames[[place[number] for number in asked]]


def count(file: Path | bytes) -> int:
    """Frames that come out when all of `file` is decoded. DataError at the first that is damaged."""
    return int(_asked(file, "count")[0]["frames"])


def _asked(
    file: Path | bytes, what: str, choose: Choose | None = None, **more: Any
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The answer to one request, and its pixels."""
    name = shown(file) if isinstance(file, Path) else "the clip"
    if isinstance(file, Path):
        _check_file(file, name)
    question = {"what": what, "file": str(file.absolute()) if isinstance(file, Path) else "", **more}
    head, pixels = reader().ask(question, file if isinstance(file, bytes) else b"", name, choose)
    if "error" in head:
        raise DataError(f"{name} {head['error']}")
    return head, pixels


def _check_file(file: Path, name: str) -> None:
    try:
        # asked before opening, because opening a FIFO waits for a writer that may never come
        if not stat.S_ISREG(file.stat().st_mode):
            raise DataError(f"{name} is no clip: it is a folder, a pipe or a device")
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from None


def reader() -> "Reader":
    """The reader of this process; one that forked has its own."""
    return _reader(os.getpid())


@lru_cache(maxsize=1)  # of a fork, the reader of its parent is forgotten, and lives on there
def _reader(_process: int) -> "Reader":
    made = Reader()
    atexit.register(made.end)
    return made


class Reader:
    """A process that decodes, started when it is first asked, and again when it had to be ended."""

    def __init__(self, *, seconds: float = SECONDS, memory: int = MOST_BYTES) -> None:
        """Nothing is started yet. A request may take `seconds`, and the process `memory` bytes."""
        self.seconds, self.memory, self.lock = seconds, memory, Lock()
        self.child: subprocess.Popen[bytes] | None = None
        self.line: Connection[bytes, bytes] | None = None

    def ask(
        self, question: dict[str, Any], content: bytes, name: str, choose: Choose | None = None
    ) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """What the process answers, and the pixels that come with it. DataError when it hangs or dies.

        `choose` is asked on the way which frames to read.
        """
        with self.lock:
            line, until = self._started(), time.monotonic() + self.seconds
            try:
                line.send_bytes(json.dumps(question).encode())
                if not question["file"]:
                    line.send_bytes(content)
                head = self._heard(line, until, name)
                if choose and "error" not in head:
                    line.send_bytes(json.dumps(choose(head["frames"], head["bytes"])).encode())
                    head = self._heard(line, until, name)
                return head, _received(line, head["shape"]) if "shape" in head else _NOTHING
            except (OSError, EOFError):
                why = self.end()
                raise DataError(f"{name} makes the decoder fail ({why}): {_CURE}") from None
            except BaseException:  # whatever ends a request half way, the next one begins anew
                self.end()
                raise

    def _heard(self, line: "Connection[bytes, bytes]", until: float, name: str) -> dict[str, Any]:
        if not line.poll(max(0.0, until - time.monotonic())):
            raise DataError(f"{name} takes longer than {self.seconds:g} s to decode: {_CURE}")
        head: dict[str, Any] = json.loads(line.recv_bytes(1 << 20))
        return head

    def end(self) -> str:
        """End the process; how it ended by itself, if it did."""
        child, self.child = self.child, None
        if self.line is not None:
            self.line.close()
            self.line = None
        if child is None:
            return ""
        try:
            code = child.wait(_LEAVE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return "it gave no answer"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def _started(self) -> "Connection[bytes, bytes]":
        if self.line is not None:
            return self.line
        if find_spec("av") is None:
            raise DataError("clips need PyAV: pip install 'residua[video]'")
        ours, theirs = Pipe()
        limits = [str(theirs.fileno()), str(self.seconds + _GRACE), str(self.memory)]
        # a session of its own: Ctrl-C reaches whoever asks, and the answer is not torn
        self.child = subprocess.Popen(  # noqa: S603 (our own module, numbers as arguments)
            [sys.executable, "-m", "residua.data.video.reader_process", *limits],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self.line = ours
        return ours


def _received(line: "Connection[bytes, bytes]", shape: list[int]) -> NDArray[np.uint8]:
    """Pixels (n, H, W, C), straight from the line. OSError where they are not as many as was said."""
    size = math.prod(shape)
    if size > MOST_RESULT:
        raise OSError
    pixels = np.empty(size, np.uint8)
    if line.recv_bytes_into(pixels.data) != size:
        raise OSError
    return pixels.reshape(shape)


_NOTHING = np.empty(0, np.uint8)
_CURE = "cut it shorter, record it again, or remove it"
