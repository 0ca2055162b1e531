"""Connections: HTTP/1.1 as uvicorn speaks it with h11, with a deadline for clients and a cap on their number.

    open --> waiting for a request --whole--> the server's turn --responded--> waiting for a request ...
             | deadline: the connection is closed               (no deadline: `compute_seconds` holds)

A connection is *waiting* while the next byte is the client's to send, or to read. All waiting connections
stand in one line, the longest silence first: with every byte a connection goes to its end. Whoever connects
when the cap is reached is let in, and the head of that line is closed: thousands of idle connections never
keep a health check out, nor cut an upload that goes on. A body that is refused early is read on for up to
1 MiB, so that the client sees the response, and then the connection is closed.

uvicorn calls its protocol class semi-private; `tests/serve` hold every promise of this file against it.
"""

import asyncio
import json
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from residua.serve.limits import MIB, Limits

_REST = MIB
"""Bytes of a refused body that are read on."""
_GRACE = 1.0
"""Seconds beyond the limit of a body, in which the application responds with 408 before the line is cut."""


class Waiting:
    """The connections whose clients have to send something, the longest silence first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.closed = 0
        self._line: dict[GuardedProtocol, None] = {}

    def add(self, connection: "GuardedProtocol") -> None:
        """Put a connection at the end of the line, also from another place in it."""
        self.remove(connection)
        self._line[connection] = None

    def remove(self, connection: "GuardedProtocol") -> None:
        """Take a connection out of the line."""
        self._line.pop(connection, None)

    def make_room(self) -> None:
        """Close the connection that has been silent the longest."""
        for connection in self._line:
            self.remove(connection)
            connection.cut()
            return


class GuardedProtocol(H11Protocol):
    """One connection."""

    waiting: Waiting
    """The line of this server; a subclass for each server has it."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], **options: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._rest = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a client in, and another out where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.waiting.limits.connections:
            self.waiting.make_room()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on, and see whose turn it is."""
        is_rest = self.cycle is not None and self.cycle.response_complete and self._expects_data()
        super().data_received(data)
        self._rest = self._rest + len(data) if is_rest and self.conn.their_state is h11.SEND_BODY else 0
        if self._rest > _REST:
            self.cut()
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Begin the deadline again: the client has read something."""
        super().resume_writing()
        self._stop()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, as every error: in JSON."""
        body = json.dumps({"error": "this is not an HTTP/1.1 request that the server understands"}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            events: tuple[Any, ...] = (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def cut(self) -> None:
        """Close the connection without another word, also where the client has not read the last ones."""
        self._stop()
        self.transport.abort()

    def _expects_data(self) -> bool:
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _watch(self) -> None:
        """Begin the deadline where it is the client's turn, and end it where it is not."""
        is_unread = self.transport.get_write_buffer_size() > 0
        if not is_unread and (self.transport.is_closing() or not self._expects_data()):
            self._stop()
            return
        self.waiting.add(self)
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.waiting.limits.receive_seconds + _GRACE, self.cut)

    def _stop(self) -> None:
        self.waiting.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
