"""The process behind a `ClipReader`: `python -m residua.data.video.reader_process FD SECONDS BYTES`.

Answers requests until the pipe closes. Memory is limited by its address space, time by an alarm for each
request, so that the process ends even when the reader was killed.
"""

import json
import math
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.video import container
from residua.data.video.messages import ChooseFrames, Request, UnreadableClip

_NO_PIXELS = np.empty(0, np.uint8)


def respond(
    request: Request, content: bytes, choose: ChooseFrames
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Carry out one request.

    Args:
        request: What to do, and with which file.
        content: The bytes of the clip when the request names no file.
        choose: Chooses the frames of a `read`.

    Returns:
        The answer, a JSON object with the key `error` where the clip cannot be read, and the pixels of a
        `read`.
    """
    source = request.file or content
    try:
        if request.action == "probe":
            return container.probe(source), _NO_PIXELS
        if request.action == "count":
            return {"frames": container.count_frames(source)}, _NO_PIXELS
        frames = container.read_frames(source, choose, request.format)
        return {"shape": frames.shape}, frames
    except UnreadableClip as error:
        return {"error": str(error)}, _NO_PIXELS


def main(descriptor: int, seconds: float, memory: int) -> None:
    """Answer requests until the other side closes the pipe.

    Args:
        descriptor: File descriptor of the pipe to the reader.
        seconds: Time limit of one request; the process ends when one takes longer.
        memory: Limit of the address space in bytes.
    """
    import resource  # here, because systems without it still import this module

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe: Connection[bytes, bytes] = Connection(descriptor)

    def choose(count: int, frame_bytes: int) -> Sequence[int]:
        pipe.send_bytes(json.dumps({"frames": count, "bytes": frame_bytes}).encode())
        try:
            numbers: list[int] = json.loads(pipe.recv_bytes())
        except EOFError:  # the reader is gone: this is not an error of the file
            raise SystemExit from None
        return numbers

    while True:
        try:
            request = Request.from_json(pipe.recv_bytes())
            content = b"" if request.file else pipe.recv_bytes()
        except EOFError:
            return
        signal.alarm(math.ceil(seconds))  # a killed reader cannot end a request that hangs
        head, pixels = respond(request, content, choose)
        pipe.send_bytes(json.dumps(head).encode())
        if "shape" in head:
            pipe.send_bytes(np.ascontiguousarray(pixels).data.cast("B"))
        signal.alarm(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
