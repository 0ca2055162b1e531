"""Clips to pixels in a process of their own: a file may hang, crash or eat memory, and only it ends."""

import atexit
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import DataError, shown

SECONDS = 30.0
"""Longest time that one file may take. Our choice: ten seconds of 1080p take three on a slow core."""
MOST_BYTES = 3 << 30
"""Address space of a reader: the largest frame we take, thirty times over, and the libraries."""
MOST_RESULT = 1 << 30
"""Largest answer: 16 frames of 25 megapixels."""

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


def frames_of(file: Path | bytes) -> int:
    """Frames that `file` holds; none is decoded. DataError as from `look`."""
    return int(_asked(file, "frames")[0]["frames"])


def read(file: Path | bytes, numbers: Sequence[int], how: Frames) -> NDArray[np.uint8]:
    """The frames at `numbers`, counted from 0 as they are shown, in any order: (n, H, W, C) uint8.

    DataError names the file when a frame cannot be had, or not within `SECONDS` and `MOST_BYTES`.
    """
    wanted = sorted(set(numbers))
    head, content = _asked(file, "read", numbers=wanted, **asdict(how))
    frames = np.frombuffer(content, np.uint8).reshape(head["shape"])
    place = {number: i for i, number in enumerate(wanted)}
    return frames if list(numbers) == wanted else frames[[place[number] for number in numbers]]


def count(file: Path | bytes) -> int:
    """Frames that come out when all of `file` is decoded. DataError at the first that is damaged."""
    return int(_asked(file, "count")[0]["frames"])


def _asked(file: Path | bytes, what: str, **more: Any) -> tuple[dict[str, Any], bytes]:
    """The answer to one request, and its pixels."""
    name = shown(file) if isinstance(file, Path) else "the clip"
    if isinstance(file, Path):
        _check_file(file, name)
    question = {"what": what, "file": str(file.absolute()) if isinstance(file, Path) else "", **more}
    head, content = reader().ask(question, file if isinstance(file, bytes) else b"", name)
    if "error" in head:
        raise DataError(f"{name} {head['error']}")
    return head, content


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

    def ask(self, question: dict[str, Any], content: bytes, name: str) -> tuple[dict[str, Any], bytes]:
        """What the process answers, and the bytes that come with it. DataError when it hangs or dies."""
        with self.lock:
            line = self._started()
            try:
                line.send_bytes(json.dumps(question).encode())
                if not question["file"]:
                    line.send_bytes(content)
                if not line.poll(self.seconds):
                    raise DataError(f"{name} takes longer than {self.seconds:g} s to decode: {_CURE}")
                head = json.loads(line.recv_bytes(1 << 20))
                return head, line.recv_bytes(MOST_RESULT) if "shape" in head else b""
            except DataError:
                self.end()
                raise
            except (OSError, EOFError):
                why = self.end()
                raise DataError(f"{name} makes the decoder fail ({why}): {_CURE}") from None

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
            [sys.executable, "-m", "residua.tasks.video.reading", *limits],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self.line = ours
        return ours


_CURE = "cut it shorter, record it again, or remove it"
