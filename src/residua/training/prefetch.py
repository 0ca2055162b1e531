"""Batches for several processes in step: each fetches its next batch early, and all stop at the same one.

fetch    gets the next batch; an error stays with it until its turn
stop     a process that was asked to stop while its batch did not come reports that by `fetch`
lockstep before each batch all processes agree whether one of them stops
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from residua.data.loader import StoppedWhileWaiting
from residua.training.processes.world import World

BatchT = TypeVar("BatchT")


class StopRequested(Exception):
    """The user asked one of the processes to stop."""


class Prefetcher(Iterator[BatchT], Generic[BatchT]):
    """The batches of one process, each fetched before its turn."""

    def __init__(self, batches: Iterator[BatchT], world: World) -> None:
        """Return once all processes have their first batch: opening a dataset may take one longer than
        another.

        Raises:
            StopRequested: The user asked a process to stop before its first batch came.
            Exception: What is wrong with the first batch.
        """
        self._batches = batches
        self._next: list[BatchT] | None = None
        self._error: Exception | None = None
        self._stopped = False
        is_fetched = self.fetch()
        if self._error:
            raise self._error
        world.barrier()
        if world.any(not is_fetched)[0]:
            raise StopRequested

    def fetch(self) -> bool:
        """Fetch the next batch, unless it is here; False when the user asked to stop while it did not come.

        An error is kept, and raised when the batch is taken.
        """
        if self._next is None and not self._error and not self._stopped:
            try:
                self._next = list(islice(self._batches, 1))
            except StoppedWhileWaiting:
                self._stopped = True
            except Exception as error:
                self._error = error
        return not self._stopped

    def __next__(self) -> BatchT:
        """The next batch. Raises the error that fetching it raised."""
        self.fetch()
        if self._error:
            raise self._error
        if not self._next:
            raise StopIteration
        (batch,), self._next = self._next, None
        return batch


def in_lockstep(
    batches: Iterator[BatchT], rounds: int, *, world: World, stop: Callable[[], bool]
) -> Iterator[BatchT]:
    """The batches of this process, while no process stops.

    Args:
        batches: The batches of this process, at most `rounds`.
        rounds: The largest number of batches of a process.
        world: The processes.
        stop: True once the user asked to stop.

    Yields:
        Each batch.

    Raises:
        StopRequested: `stop` is true on some process; raised on all of them in the same round.
    """
    own = Prefetcher(batches, world)
    for _ in range(rounds):  # a process without further batches must take part, too
        if world.any(not own.fetch() or stop())[0]:
            raise StopRequested
        yield from islice(own, 1)
