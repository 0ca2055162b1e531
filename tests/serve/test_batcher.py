"""The worker: batches of measured sizes, fair turns, outputs by identity."""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from residua.serve.batcher import Batcher, Turn

SIZES = (1, 2, 4, 8)


class Gate:
    """A computation that waits until it is opened, and remembers its batches."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.has_begun = threading.Event()
        self.batches: list[list[Any]] = []

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        self.has_begun.set()
        assert self.is_open.wait(60)
        self.batches.append(list(inputs))
        return [(each, "computed") for each in inputs]


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))  # type: ignore[arg-type]


async def submitted_behind(batcher: Batcher, gate: Gate, *inputs: list[Any]) -> list[Turn]:
    """Turns that wait together, because the worker computes another one."""
    first = batcher.submit(gate, ["first"])
    await asyncio.to_thread(gate.has_begun.wait)
    turns = [batcher.submit(gate, each) for each in inputs]
    gate.is_open.set()
    await first.future
    return turns


def test_what_waits_together_is_one_batch_of_the_largest_size_that_is_filled() -> None:
    async def work() -> None:
        gate, batcher = Gate(), Batcher(SIZES)
        turns = await submitted_behind(batcher, gate, *([name] for name in "abcdefg"))
        await asyncio.gather(*(turn.future for turn in turns))
        assert [len(batch) for batch in gate.batches] == [1, 4, 2, 1]
        batcher.close()

    run(work)


def test_a_request_of_many_gives_single_ones_a_place_in_every_round() -> None:
    async def work() -> None:
        gate, batcher = Gate(), Batcher(SIZES)
        many = [f"many {place}" for place in range(40)]
        turns = await submitted_behind(batcher, gate, many, ["single"], ["other"])
        await turns[1].future
        assert {"single", "other"} <= set(gate.batches[1])
        assert await turns[0].future == [(each, "computed") for each in many]
        batcher.close()

    run(work)


def test_outputs_belong_to_their_turn_whatever_leaves_in_between() -> None:
    async def work() -> None:
        gate, batcher = Gate(), Batcher(SIZES)
        inputs = [[f"{turn}-{place}" for place in range(1 + turn % 5)] for turn in range(50)]
        turns = await submitted_behind(batcher, gate, *inputs)
        for turn in turns[::3]:
            turn.is_abandoned = True
        staying = [
            (turn, given) for place, (turn, given) in enumerate(zip(turns, inputs, strict=True)) if place % 3
        ]
        for turn, given in staying:
            assert await turn.future == [(each, "computed") for each in given]
        batcher.close()

    run(work)


def test_abandoned_turns_leave_no_inputs_while_others_are_computed() -> None:
    async def work() -> None:
        gate, batcher = Gate(), Batcher(SIZES)
        first = batcher.submit(gate, ["first"])
        await asyncio.to_thread(gate.has_begun.wait)
        picture = np.zeros(3)
        left = weakref.ref(picture)
        batcher.abandon(batcher.submit(gate, [picture]))
        del picture
        assert left() is None
        gate.is_open.set()
        await first.future
        batcher.close()

    run(work)


def test_abandoned_turns_are_not_computed() -> None:
    async def work() -> None:
        gate, batcher = Gate(), Batcher(SIZES)
        first = batcher.submit(gate, ["first"])
        await asyncio.to_thread(gate.has_begun.wait)
        gone, last = batcher.submit(gate, ["gone"]), batcher.submit(gate, ["last"])
        gone.is_abandoned = True
        gate.is_open.set()
        await asyncio.gather(first.future, last.future)
        assert not any("gone" in batch for batch in gate.batches)
        assert batcher.waiting() == 0
        batcher.close()

    run(work)


def test_an_error_ends_the_turns_of_its_batch_and_no_other() -> None:
    def broken(inputs: Sequence[Any]) -> list[Any]:
        raise ZeroDivisionError

    async def work() -> None:
        gate, batcher = Gate(), Batcher(SIZES)
        (other,) = await submitted_behind(batcher, gate, ["other"])
        turn = batcher.submit(broken, ["broken"])
        with pytest.raises(ZeroDivisionError):
            await turn.future
        assert await other.future == [("other", "computed")]
        batcher.close()

    run(work)


def test_inputs_of_two_networks_are_never_one_batch() -> None:
    async def work() -> None:
        old, new, batcher = Gate(), Gate(), Batcher(SIZES)
        new.is_open.set()
        first = batcher.submit(old, ["first"])
        await asyncio.to_thread(old.has_begun.wait)
        turns = [
            batcher.submit(gate, [name]) for gate, name in ((old, "a"), (new, "b"), (old, "c"), (new, "d"))
        ]
        old.is_open.set()
        await asyncio.gather(first.future, *(turn.future for turn in turns))
        assert old.batches == [["first"], ["a", "c"]]
        assert new.batches == [["b", "d"]]
        batcher.close()

    run(work)


def test_with_a_delay_the_worker_waits_for_a_batch_to_fill() -> None:
    async def work() -> None:
        gate, batcher = Gate(), Batcher((1, 2), max_delay=60)
        gate.is_open.set()
        first = batcher.submit(gate, ["a"])
        await asyncio.sleep(0.05)
        assert gate.batches == []
        second = batcher.submit(gate, ["b"])
        await asyncio.gather(first.future, second.future)
        assert gate.batches == [["a", "b"]]
        batcher.close()

    run(work)


def test_a_batcher_that_closes_computes_what_waits() -> None:
    async def work() -> None:
        gate, batcher = Gate(), Batcher((1, 2, 4), max_delay=60)
        gate.is_open.set()
        turn = batcher.submit(gate, ["a", "b", "c"])
        batcher.close()
        assert len(await turn.future) == 3

    run(work)
