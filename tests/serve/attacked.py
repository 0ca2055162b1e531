"""A server process under attack: what it says by raw sockets, its memory, and its open connections."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from raw_sockets import Reply, exchange, request

from small import picture, png

START_SECONDS = 120.0
"""Seconds that a start may take on a busy machine."""
PICTURE = png(picture("red", 0))
"""An honest upload."""
MIB = 1 << 20
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=xxxx"}
END = b"--xxxx--\r\n"
"""The end of a form."""
INFER = "/v2/models/colours/infer"
SECRET = "CANARY-51c8"
"""Text of an attack that no response may repeat."""
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/>{SECRET}</svg>'
"""A picture that names a file."""
CODE = """
import os
import sys
from pathlib import Path
from residua.serve import server
from residua.serve.app import create_app
from residua.serve.limits import Limits
from residua.serve.loading import load_model
def load():
    return load_model(Path(sys.argv[1]))
def watch(event, arguments):
    if event in {events} or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        print("{audit}", event, arguments, flush=True)
sock, app = server.listen("127.0.0.1", 0), create_app(load(), Limits({limits}))
sys.addaudithook(watch)
server.run(app, sock, load=load, log=lambda line: print(line, flush=True))
"""
AUDIT = "audit:"
"""Begins the lines of the log about what a server must not do."""
EVENTS = (
    "ftplib.connect",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.system",
    "pickle.find_class",
    "smtplib.connect",
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "tempfile.mkstemp",
    "urllib.Request",
)
"""Events of Python that a server causes for no request; opening a file to write is another."""


@dataclass(frozen=True)
class Attacked:
    """A server process."""

    port: int
    """Where it listens, on 127.0.0.1."""
    pid: int
    """Its number."""
    log: Callable[[], str]
    """Everything it has printed."""

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def descriptors(self) -> int:
        """Open files and connections."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def send(self, target: str = "/predict", body: bytes = b"", **options: Any) -> Reply:
        """Send one request and read the response."""
        return exchange(self.port, request(target, body, **options))

    def is_live(self) -> bool:
        """Whether a health check passes."""
        return self.send("/health/live", method="GET").status == 200

    def predict(self) -> list[dict[str, Any]]:
        """What the server says of an honest picture."""
        reply = self.send(body=PICTURE)
        assert reply.status == 200, reply.raw
        predictions: list[dict[str, Any]] = json.loads(reply.body)["predictions"]
        return predictions

    def settles(self, most: int) -> bool:
        """Whether at most so many files and connections are open, at once or within half a minute."""
        until = time.monotonic() + 30
        while self.descriptors > most and time.monotonic() < until:
            time.sleep(0.05)
        return self.descriptors <= most


@contextmanager
def limited(model: Path, folder: Path, **limits: Any) -> Iterator[Attacked]:
    """A server with other limits than the command's, whose log names what it must not do.

    SIGTERM ends it with exit code 0.

    Args:
        model: An exported file.
        folder: Where the log is written.
        limits: Fields of Limits.
    """
    fields = ", ".join(f"{name}={value!r}" for name, value in limits.items())
    code = CODE.format(limits=fields, events=EVENTS, audit=AUDIT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (log := folder / "log.txt").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(model)], stdout=out, stderr=out, env=environment
        )
    try:
        server = Attacked(_port(process, log), process.pid, log.read_text)
        until = time.monotonic() + START_SECONDS
        while not _answers(server) and time.monotonic() < until:
            time.sleep(0.05)
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if address := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(address[1])
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def _answers(server: Attacked) -> bool:
    try:
        return server.is_live()
    except OSError:
        return False


def check_refused(reply: Reply, *statuses: int) -> None:
    """It was refused: with one of `statuses` or any 4xx, in a sentence that repeats nothing of it."""
    assert reply.status in (statuses or range(400, 500)), reply.raw[:300]
    assert [*json.loads(reply.body)] == ["error"]
    assert SECRET.encode() not in reply.raw


def part(
    content: bytes, disposition: str = 'form-data; name="file"; filename="a.png"', more: bytes = b""
) -> bytes:
    """A part of a form."""
    return (
        b"--xxxx\r\nContent-Disposition: "
        + disposition.encode()
        + b"\r\n"
        + more
        + b"\r\n"
        + content
        + b"\r\n"
    )


def tensor(**fields: Any) -> bytes:
    """A request of the Open Inference Protocol with one input."""
    return json.dumps({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"} | fields]}).encode()


NUMBERS = tensor(name="pixels", datatype="UINT8", shape=[1, 1, 1, 3], data=[1, 2, 3])
"""Three pixels as JSON."""


def encoded(kind: str, side: int = 8, **options: Any) -> bytes:
    """A black picture."""
    file = BytesIO()
    Image.new("RGB", (side, side)).save(file, kind, **options)
    return file.getvalue()


class Canary:
    """A server that counts who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.visits += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)
