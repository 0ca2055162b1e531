"""HTTP by hand: requests that no client library would send, and what came back, byte by byte."""

import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

PATIENCE = 60.0
"""Seconds after which a server that neither responds nor closes fails the test."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sent until it closed the connection or its first response was whole."""

    raw: bytes
    """All of it."""
    is_closed: bool
    """Whether the server closed the connection."""

    @property
    def statuses(self) -> list[int]:
        """The statuses of all responses, without 100 Continue; empty where it closed without a word."""
        lines = re.findall(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r\n", self.raw)
        return [int(status) for status in lines if status != b"100"]

    @property
    def status(self) -> int:
        """The status of the only response; 0 where the server closed without a word."""
        assert len(self.statuses) < 2, self.statuses
        return next(iter(self.statuses), 0)

    @property
    def head(self) -> str:
        """Status line and headers, in lower case."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def body(self) -> bytes:
        """What follows the headers."""
        return self.raw.partition(b"\r\n\r\n")[2]


def request(
    target: str = "/predict",
    body: bytes = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    more: bytes = b"",
) -> bytes:
    """A request as bytes, with the headers that it needs unless others are given.

    Args:
        target: What follows the method, as it is.
        body: The body; its length becomes `Content-Length`.
        method: The method.
        headers: Further headers, or other values of `Host` and `Content-Length`; empty ones are left out.
        more: Further header lines as bytes, each with its line end.
    """
    needed = {"Host": "localhost", "Content-Length": str(len(body)), "Connection": "close"}
    needed |= dict(headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in needed.items() if value)
    return f"{method} {target} HTTP/1.1\r\n{lines}".encode("latin-1") + more + b"\r\n" + body


def chunked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A body in chunks, without its last one."""
    return (b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def connect(port: int, limit: float = PATIENCE) -> socket.socket:
    """A connection to the server, whose calls wait at most `limit` seconds."""
    return socket.create_connection(("127.0.0.1", port), limit)


@contextmanager
def connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Several connections at once; those that the server refuses are missing."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            with suppress(OSError):
                opened.append(connect(port))
        yield opened
    finally:
        for each in opened:
            each.close()


def exchange(
    port: int, sent: bytes | Iterable[bytes], *, limit: float = PATIENCE, ends: bool = False
) -> Reply:
    """Send bytes on a new connection, also after the server began to respond, and read what comes.

    Args:
        port: Port of the server.
        sent: The bytes, or parts of them.
        limit: Seconds to wait for the server.
        ends: Close our side after the last byte.

    Returns:
        What the server sent. It is read to the end of the first response where the length of that is known,
        and a little further, where a second one would be.
    """
    with connect(port, limit) as peer:
        with suppress(OSError):  # the server may close before it has everything
            for part in [sent] if isinstance(sent, bytes) else sent:
                peer.sendall(part)
            if ends:
                peer.shutdown(socket.SHUT_WR)
        return receive(peer, limit)


def receive(peer: socket.socket, limit: float = PATIENCE) -> Reply:
    """What a server sends on an open connection, see `exchange`. TimeoutError when nothing comes."""
    raw, until = bytearray(), time.monotonic() + limit
    while True:
        is_whole = _is_whole(raw)
        peer.settimeout(0.3 if is_whole else max(0.01, until - time.monotonic()))
        try:
            part = peer.recv(1 << 16)
        except TimeoutError:
            if is_whole:
                return Reply(bytes(raw), False)
            raise
        except OSError:  # a reset: the server closed while bytes of ours were on their way
            part = b""
        if not part:
            return Reply(bytes(raw), True)
        raw += part


def _is_whole(raw: bytes | bytearray) -> bool:
    head, end, body = bytes(raw).partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])
