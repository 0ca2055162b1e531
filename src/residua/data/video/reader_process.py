"""The process behind a Reader: `python -m residua.data.video.reader_process FD SECONDS BYTES`."""

import json
import math
import resource
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.video import container
from residua.data.video.container import Choose
from residua.data.video.scaling import ScaledFrames, SizeRefused

_NOTHING = np.empty(0, np.uint8)


def answer(
    question: dict[str, Any], content: bytes, choose: Choose
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """What is asked of a file, or why there is no answer; pixels of what `choose` takes where asked for."""
    source = question["file"] or content
    try:
        if question["what"] == "look":
            return container.look(source), _NOTHING
        if question["what"] == "count":
            return {"frames": container.count(source)}, _NOTHING
        scaled = ScaledFrames(question["short"], question["colour"], question["interpolation"])
        frames = container.read(source, choose, scaled)
        return {"shape": frames.shape}, frames
    except SizeRefused as refused:
        return {"error": str(refused)}, _NOTHING


def main(descriptor: int, seconds: float, memory: int) -> None:
    """Answer requests until the other side hangs up. A request that takes longer than `seconds` ends all."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line: Connection[bytes, bytes] = Connection(descriptor)

    def choose(count: int, size: int) -> Sequence[int]:
        line.send_bytes(json.dumps({"frames": count, "bytes": size}).encode())
        try:
            chosen: list[int] = json.loads(line.recv_bytes())
        except EOFError:  # not an error of the file, and nobody is left to be told
            raise SystemExit from None
        return chosen

    while True:
        try:
            question = json.loads(line.recv_bytes())
            content = b"" if question["file"] else line.recv_bytes()
        except EOFError:
            return
        signal.alarm(math.ceil(seconds))  # whoever asked may be gone: nobody else would end us
        head, pixels = answer(question, content, choose)
        line.send_bytes(json.dumps(head).encode())
        if "shape" in head:
            line.send_bytes(np.ascontiguousarray(pixels).data.cast("B"))
        signal.alarm(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
