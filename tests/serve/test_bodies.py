"""Bodies count among the memory of all of them until their requests are answered."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from residua.serve.bodies import Bodies
from residua.serve.limits import Limits
from residua.serve.problems import Refusal


def sent(size: int) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": bytes(size), "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def test_a_whole_body_takes_its_memory_until_it_is_answered() -> None:
    async def work() -> None:
        bodies = Bodies(Limits(bodies_bytes=100))
        async with bodies.receive(sent(60)) as first:
            assert len(first) == 60
            async with bodies.receive(sent(40)):
                pass
            with pytest.raises(Refusal) as refusal:
                async with bodies.receive(sent(41)):
                    pass
            assert (refusal.value.status, refusal.value.reason) == (429, "no room")
        async with bodies.receive(sent(100)):
            pass

    asyncio.run(work())
