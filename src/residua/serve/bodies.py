"""Bodies: the body of a request, received whole within the limits of size and time.

Where more arrive than there is room for, the others wait a moment, and the slowest ends with 429: clients who
send slowly keep nobody out.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request

from residua.serve.limits import MIB, Limits
from residua.serve.problems import ConnectionLost, Refusal

_HEAD_START = MIB // 8
"""Bytes that count as sent when a body begins, which so is faster than one that has been slow."""

_PATIENCE = 1.0
"""Seconds in which no body is slow."""
_PAUSE = 0.02
"""Seconds after which a body that found no room looks again."""


@dataclass(eq=False, slots=True)
class _Body:
    """A body that is arriving."""

    deadline: asyncio.Timeout
    """When it has to be whole."""
    content: bytearray = field(default_factory=bytearray)
    """What has arrived."""
    start: float = field(default_factory=time.monotonic)
    """When it began."""
    is_ended: bool = False
    """Whether it was the slowest where there was no room for all."""

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.start

    @property
    def speed(self) -> float:
        """Bytes in a second."""
        return (len(self.content) + _HEAD_START) / (self.age + 0.1)


class Bodies:
    """The bodies of requests that are not answered yet, and the memory they take; all in the event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arriving: set[_Body] = set()
        self._whole = 0  # bytes of bodies that have arrived and are in use

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[bytes]:
        """Receive the body of a request, whose memory counts until the block ends.

        Args:
            request: Its body has not been read.

        Yields:
            The whole body.

        Raises:
            Refusal: 413 when it is too large, 408 when it takes too long, 429 when there is no room for it.
            ConnectionLost: The client closed the connection.
        """
        content = await self._received(request)
        self._whole += len(content)
        try:
            yield content
        finally:
            self._whole -= len(content)

    async def _received(self, request: Request) -> bytes:
        seconds = self._limits.receive_seconds
        self.check_length(request)
        body = _Body(asyncio.timeout(seconds))
        try:
            async with body.deadline:
                await self._enter(body)
                async for chunk in request.stream():
                    await self._make_room(body, len(chunk))
                    body.content += chunk
        except TimeoutError:
            if body.is_ended:
                text = "more requests arrive than there is room for: send it again after Retry-After seconds"
                raise Refusal(429, text, reason="no room", retry_after=_PATIENCE) from None
            text = f"the request did not arrive within {seconds:g} s: send it faster"
            raise Refusal(408, text, reason="slow") from None
        except ClientDisconnect:
            raise ConnectionLost from None
        finally:
            self._arriving.discard(body)
        return bytes(body.content)

    def check_length(self, request: Request) -> None:
        """Refuse a body that says it is too large, before any of it is read."""
        length = request.headers.get("content-length", "0")  # h11 lets only digits pass
        if int(length) > self._limits.body_bytes:
            raise self._too_large()

    async def _enter(self, body: _Body) -> None:
        """Wait until few enough others arrive."""
        while len(self._arriving) >= self._limits.bodies:
            await self._end_slowest()
        self._arriving.add(body)

    async def _make_room(self, body: _Body, more: int) -> None:
        """Wait until `more` bytes of a body fit into the memory. Refusal if it is too large."""
        if len(body.content) + more > self._limits.body_bytes:
            raise self._too_large()
        while (
            self._whole + sum(len(each.content) for each in self._arriving) + more > self._limits.bodies_bytes
        ):
            await self._end_slowest()

    async def _end_slowest(self) -> None:
        """End the slowest body that had time; where none had, wait: many honest ones may come at once."""
        slow = [each for each in self._arriving if each.age > _PATIENCE]
        if slow:
            slowest = min(slow, key=lambda each: each.speed)
            self._arriving.remove(slowest)
            slowest.is_ended = True
            slowest.deadline.reschedule(0)
        await asyncio.sleep(0 if slow else _PAUSE)

    def _too_large(self) -> Refusal:
        most = self._limits.body_bytes
        size = f"{most // MIB} MiB" if most >= MIB else f"{most} bytes"
        return Refusal(413, f"the body is too large: send at most {size}", reason="too large")
