"""Batcher: one thread that computes what waits, in batches; each output goes to the request it belongs to.

    event loop                                    worker thread
    submit(turn) --> turns, in a circle  -------> takes one input of each turn, round and round,
                                                  until the largest size of batch that is filled
    turn.future  <-- outputs, by turn and index <- computes, hands the batch back

What is there is computed at once; the worker waits only where `max_delay` says so. A batch has a size that
was measured, 1, 2, 4 and so on, and is never padded. As a turn gives one input in each round, a request of a
hundred images delays a single one by one place in the batch. Outputs carry their turn and index with them, so
the order in which requests come, leave or give up decides nothing. A turn that its client abandoned is
dropped before it is computed.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any

from residua.serve.model import Compute

Place = tuple["Turn", int]
"""An input that waits: its turn, and its index there."""


@dataclass(eq=False)
class Turn:
    """The inputs of one request, and their outputs as they are computed."""

    compute: Compute
    """What computes them; a batch holds inputs of one such function."""
    inputs: Sequence[Any]
    """Inputs of the function; at least one."""
    future: "asyncio.Future[Sequence[Any]]"
    """Becomes the outputs, in the order of the inputs."""
    arrival: float = field(default_factory=time.monotonic)
    """When it began to wait, in seconds of the monotonic clock."""
    started: float = 0.0
    """When its first input began to be computed; 0 before."""
    is_abandoned: bool = False
    """Whether no client waits for it any more."""

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.inputs)))
        self.outputs: list[Any] = [None] * len(self.inputs)
        self.missing = len(self.inputs)

    def put(self, index: int, output: Any) -> None:
        """Add an output; the last one completes the future."""
        self.outputs[index] = output
        self.missing -= 1
        if not self.missing and not self.future.done():
            self.future.set_result(self.outputs)

    def fail(self, index: int, error: Exception) -> None:
        """End the turn with an error; the batch of any of its inputs may raise it."""
        self.is_abandoned = True
        if not self.future.done():
            self.future.set_exception(error)


class Batcher:
    """The worker thread and the turns that wait for it."""

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        max_delay: float = 0.0,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        """Start the worker.

        Args:
            sizes: Sizes of batches, ascending from 1.
            max_delay: Longest time that the worker waits for the largest size to fill, in seconds.
            observe: Receives the size and the seconds of each batch, in the worker thread.
        """
        self.sizes, self._max_delay, self._observe = tuple(sizes), max_delay, observe
        self._turns: deque[Turn] = deque()
        self._changed = Condition()
        self._is_closing = False
        self._thread = Thread(target=self._work, name="residua-worker", daemon=True)
        self._thread.start()

    def submit(self, compute: Compute, inputs: Sequence[Any]) -> Turn:
        """Let inputs wait for the worker; call it in the event loop.

        Args:
            compute: What computes them.
            inputs: At least one.

        Returns:
            The turn, whose future becomes the outputs.
        """
        turn = Turn(compute, inputs, asyncio.get_running_loop().create_future())
        with self._changed:
            self._turns.append(turn)
            self._changed.notify()
        return turn

    def abandon(self, turn: Turn) -> None:
        """Drop a turn that no client waits for, with its inputs, even while the worker computes others."""
        turn.is_abandoned = True
        with self._changed:
            self._turns = deque(each for each in self._turns if each is not turn)

    def waiting(self) -> int:
        """Inputs that wait for the worker."""
        with self._changed:
            return sum(len(turn.waiting) for turn in self._turns)

    def close(self) -> None:
        """Let the worker end once no turn waits."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def _work(self) -> None:
        while places := self._next_batch():
            start = time.monotonic()
            for turn, _ in places:
                turn.started = turn.started or start
            try:
                outputs = places[0][0].compute([turn.inputs[index] for turn, index in places])
                assert len(outputs) == len(places)
            except Exception as error:
                _hand_back(places, [error] * len(places), Turn.fail)
            else:
                self._observe(len(places), time.monotonic() - start)
                _hand_back(places, outputs, Turn.put)

    def _next_batch(self) -> list[Place]:
        """The inputs to compute next; none when the batcher closes."""
        with self._changed:
            while True:
                self._turns = deque(turn for turn in self._turns if not turn.is_abandoned)
                if self._turns and (seconds := self._seconds_to_fill()) <= 0:
                    return self._take()
                if not self._turns and self._is_closing:
                    return []
                self._changed.wait(seconds if self._turns else None)

    def _seconds_to_fill(self) -> float:
        """How long the worker may still wait for more inputs."""
        if self._is_closing or not self._max_delay or self._count() >= self.sizes[-1]:
            return 0.0
        return self._turns[0].arrival + self._max_delay - time.monotonic()

    def _count(self) -> int:
        """Inputs that could be computed together with the first one."""
        compute = self._turns[0].compute
        return sum(len(turn.waiting) for turn in self._turns if turn.compute == compute)

    def _take(self) -> list[Place]:
        """One input of each turn, round and round, until a size is filled; other networks come next."""
        compute, count = self._turns[0].compute, self._count()
        size = max(size for size in self.sizes if size <= count)
        circle = deque(turn for turn in self._turns if turn.compute == compute)
        others = (turn for turn in self._turns if turn.compute != compute)
        places: list[Place] = []
        while len(places) < size:
            turn = circle.popleft()
            places.append((turn, turn.waiting.popleft()))
            if turn.waiting:
                circle.append(turn)
        self._turns = deque((*others, *circle))
        return places


def _hand_back(
    places: Sequence[Place], outputs: Sequence[Any], put: Callable[[Turn, int, Any], None]
) -> None:
    """Give each output or error to its turn, in the event loop of the turn."""

    def put_all() -> None:
        for (turn, index), output in zip(places, outputs, strict=True):
            put(turn, index, output)

    loop = places[0][0].future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(put_all)
