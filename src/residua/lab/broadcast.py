"""Broadcast: events for every open page, as server-sent events.

    publish (any thread) --> queue of each page --> GET /api/events, one line of JSON for each event
                             full: the page is asked to load everything again

A page that does not read keeps at most `MAX_EVENTS` events in memory. `close` ends all streams, so that the
server can stop.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

MAX_EVENTS = 100
"""Events that wait for one page."""
ALIVE_SECONDS = 15.0
"""Time after which a comment is sent, so that a proxy leaves the connection open."""
_END = ""
"""Ends a stream."""


class Broadcast:
    """Sends events to every open page."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def publish(self, name: str, value: Any) -> None:
        """Send an event to every page; may be called by any thread.

        Args:
            name: Name of the event.
            value: What JSON can hold.
        """
        if self._loop and self._queues:
            text = f"event: {name}\ndata: {json.dumps(value)}\n\n"
            self._send(text)

    async def stream(self) -> AsyncIterator[str]:
        """The events from now on, as text of a response of type `text/event-stream`."""
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str] = asyncio.Queue(MAX_EVENTS)
        self._queues.add(queue)
        try:
            yield "retry: 1000\n\n"
            while not self._is_closed:
                try:
                    text = await asyncio.wait_for(queue.get(), ALIVE_SECONDS)
                except TimeoutError:
                    text = ": alive\n\n"
                if text == _END:
                    return
                yield text
        finally:
            self._queues.discard(queue)

    def close(self) -> None:
        """End all streams."""
        self._is_closed = True
        if self._loop:
            self._send(_END)

    def _send(self, text: str) -> None:
        assert self._loop
        with suppress(RuntimeError):  # the server has stopped, and its loop with it
            self._loop.call_soon_threadsafe(self._put, text)

    def _put(self, text: str) -> None:
        for queue in self._queues:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait("event: reload\ndata: {}\n\n")
            queue.put_nowait(text)
