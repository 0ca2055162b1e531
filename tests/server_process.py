"""A server in a process of its own, as people start it, and an HTTP client for it."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from command import LIMIT, Command, start
from small import photo_folder, picture, png  # noqa: F401 (tests take them from here)

ADDRESS = re.compile(r"^(?:serving|lab) +(http://[^\s?]+?)/?(?:\?token=(\S+))?$", re.MULTILINE)


class Server:
    """`residua serve` or `residua lab`, ready."""

    def __init__(self, *words: object, command: str = "serve", **options: Any) -> None:
        self.process: Command = start(command, *words, "--port", 0, **options)
        match = self._wait(ADDRESS)
        self.address, self.token = match[1], match[2]
        self.port = int(self.address.rpartition(":")[2])

    def client(self, **options: Any) -> httpx.Client:
        """A client that keeps connections open."""
        return httpx.Client(base_url=self.address, timeout=LIMIT, trust_env=False, **options)

    def log(self) -> str:
        """What it has printed."""
        return Path(self.process._folder.name, "out").read_text("utf-8")

    def errors(self) -> str:
        """What it has printed on stderr."""
        return Path(self.process._folder.name, "error").read_text("utf-8")

    def wait_for(self, pattern: str) -> None:
        """Return once the log has a line that matches."""
        self._wait(re.compile(pattern, re.MULTILINE))

    def _wait(self, pattern: re.Pattern[str]) -> re.Match[str]:
        limit = time.monotonic() + LIMIT
        while not (match := pattern.search(self.log())):
            assert self.process.returncode is None, self.log() + self.errors()
            assert time.monotonic() < limit, self.log() + self.errors()
            time.sleep(0.01)
        return match

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        self.process.communicate(LIMIT)
        return self.process.returncode

    def memory(self) -> int:
        """Bytes of memory that it holds now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def files(self) -> int:
        """Open files and connections."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


@contextmanager
def serving(*words: object, **options: Any) -> Iterator[Server]:
    """A server that is ended at the end of a `with` block; there it must still run."""
    server = Server(*words, **options)
    try:
        yield server
        assert server.process.returncode is None, server.log() + server.errors()
    finally:
        server.process.kill()
        server.process.communicate(LIMIT)


def metric(client: httpx.Client, name: str) -> float:
    """The sum of a metric over all its labels, where they begin with `name`."""
    lines = client.get("/metrics").text.splitlines()
    values = [line.rpartition(" ")[2] for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(map(float, values))
