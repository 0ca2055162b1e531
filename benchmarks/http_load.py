"""Load for HTTP servers, from one process with asyncio and no library: open loop and closed loop.

A closed loop of clients sends the next request when the last one is answered, so it can never ask for more
than the server gives; a client that is refused comes back when the server said. An open loop sends at the
times that a rate says, whatever the server does: only this shows what overload is. A time is taken from
when the request was due to the end of the response.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

LIMIT = 30.0
"""Seconds after which a request counts as failed."""
BACKOFF = 0.05
"""Seconds that a client of the closed loop waits after a refusal or failure without `Retry-After`."""
FAILED = 0
"""Status of a request without a response."""


@dataclass(frozen=True)
class Outcome:
    """One request."""

    status: int
    seconds: float
    retry_after: int = 0
    """What the server said, in seconds; 0 for nothing."""


@dataclass
class Client:
    """Connections to a server, which are used again where it leaves them open."""

    port: int
    path: str = "/predict?topk=5"
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def send(self, body: bytes, due: float) -> Outcome:
        """One request that was due at a time of the monotonic clock."""
        status, retry_after = FAILED, 0
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError, IndexError):
            async with asyncio.timeout(LIMIT):
                status, retry_after = await self._exchange(body)
        return Outcome(status, time.monotonic() - due, retry_after)

    async def _exchange(self, body: bytes) -> tuple[int, int]:
        reader, writer = await self._connection()
        stays = False
        try:
            head = (
                f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
            )
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            await reader.readexactly(int(headers["content-length"]))
            stays = headers.get("connection") != "close"
            return int(lines[0].split()[1]), int(headers.get("retry-after", 0))
        finally:
            if stays:
                self.idle.append((reader, writer))
            else:
                writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An idle connection that the server has not closed since, or a new one."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)

    def close(self) -> None:
        """Close all connections."""
        for _, writer in self.idle:
            writer.close()


async def closed_loop(port: int, bodies: Sequence[bytes], *, clients: int, seconds: float) -> list[Outcome]:
    """What a number of clients got that each wait for their answer."""
    client, outcomes, end = Client(port), list[Outcome](), time.monotonic() + seconds
    supply = itertools.cycle(bodies)

    async def work() -> None:
        while (start := time.monotonic()) < end:
            outcome = await client.send(next(supply), start)
            outcomes.append(outcome)
            if outcome.status != 200:
                await asyncio.sleep(outcome.retry_after or BACKOFF)

    await asyncio.gather(*(work() for _ in range(clients)))
    client.close()
    return outcomes


async def open_loop(port: int, bodies: Sequence[bytes], *, rate: float, seconds: float) -> list[Outcome]:
    """What requests got that came at a rate, in requests a second."""
    client, start = Client(port), time.monotonic()
    tasks = []
    for number, body in zip(range(int(rate * seconds)), itertools.cycle(bodies)):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(client.send(body, due)))
    outcomes = await asyncio.gather(*tasks)
    client.close()
    return list(outcomes)


def seconds_of(outcomes: Sequence[Outcome], *statuses: int) -> list[float]:
    """The sorted times of the requests with one of these statuses."""
    return sorted(each.seconds for each in outcomes if each.status in statuses)


def percentile(ranked: Sequence[float], share: float) -> float:
    """The value below which that share of the sorted values lies; NaN without values."""
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else float("nan")
