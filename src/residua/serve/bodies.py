"""Bodies: the body of a request, received whole within the limits of size and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from residua.serve.limits import MIB, Limits
from residua.serve.problems import ConnectionLost, Refusal


class Bodies:
    """The bodies that are arriving, and the memory they take; all of it runs in the event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = self._bytes = 0

    async def receive(self, request: Request) -> bytes:
        """Receive the body of a request.

        Args:
            request: Its body has not been read.

        Returns:
            The whole body.

        Raises:
            Refusal: 413 when it is too large, 408 when it comes too slowly, 429 when too many come at once.
            ConnectionLost: The client closed the connection.
        """
        limits = self._limits
        self.check_length(request)
        if self._count >= limits.bodies:
            raise self._crowded()
        self._count += 1
        body = bytearray()
        try:
            async with asyncio.timeout(limits.receive_seconds):
                async for chunk in request.stream():
                    self._add(body, chunk)
        except TimeoutError:
            text = f"the request took longer than {limits.receive_seconds:g} s to arrive: send it faster"
            raise Refusal(408, text, reason="slow") from None
        except ClientDisconnect:
            raise ConnectionLost from None
        finally:
            self._count -= 1
            self._bytes -= len(body)
        return bytes(body)

    def check_length(self, request: Request) -> None:
        """Refuse a body that says it is too large, before any of it is read."""
        length = request.headers.get("content-length", "0")  # h11 lets only digits pass
        if int(length) > self._limits.body_bytes:
            raise self._too_large()

    def _add(self, body: bytearray, chunk: bytes) -> None:
        if len(body) + len(chunk) > self._limits.body_bytes:
            raise self._too_large()
        if self._bytes + len(chunk) > self._limits.bodies_bytes:
            raise self._crowded()
        body += chunk
        self._bytes += len(chunk)

    def _too_large(self) -> Refusal:
        most = self._limits.body_bytes
        size = f"{most // MIB} MiB" if most >= MIB else f"{most} bytes"
        return Refusal(413, f"the body is too large: send at most {size}", reason="too large")

    def _crowded(self) -> Refusal:
        text = "too many requests arrive at once: send the request again after Retry-After seconds"
        return Refusal(429, text, reason="readers", retry_after=1.0)
