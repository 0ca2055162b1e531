"""Batches as the processes of a run wait for them: together, and not for long once somebody asks to stop."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from residua.data.loader import StoppedWhileWaiting
from residua.training.processes.world import World

Dealt = TypeVar("Dealt")


class StopRequested(Exception):
    """Somebody asked to stop."""


class Prefetcher(Iterator[Dealt], Generic[Dealt]):
    """The batches of one process, the next of which can be had before its turn."""

    def __init__(self, batches: Iterator[Dealt], world: World) -> None:
        """Begin once all processes have their first batch: opening a set may take one longer than another.

        All must come here at the same point. Asked when one of them was asked to stop before it had its own.
        """
        self._batches = batches
        self._ahead: list[Dealt] | None = None
        self._error: Exception | None = None
        self._stalled = False
        coming = self.comes()
        if self._error:
            raise self._error
        world.meet()
        if world.any(not coming)[0]:
            raise StopRequested

    def comes(self) -> bool:
        """Have the next batch, if any, at hand. False when somebody asked to stop and it did not come.

        What else is wrong with it is told in its turn, after everything that comes before it.
        """
        if self._ahead is None and not self._error and not self._stalled:
            try:
                self._ahead = list(islice(self._batches, 1))
            except StoppedWhileWaiting:
                self._stalled = True
            except Exception as error:
                self._error = error
        return not self._stalled

    def __next__(self) -> Dealt:
        """The next batch; raises what is wrong with it."""
        self.comes()
        if self._error:
            raise self._error
        if not self._ahead:
            raise StopIteration
        (batch,), self._ahead = self._ahead, None
        return batch


def in_rounds(
    batches: Iterator[Dealt], rounds: int, *, world: World, stop: Callable[[], bool]
) -> Iterator[Dealt]:
    """The `batches` of this process, which are at most `rounds`; others may have one more.

    Asked, on all processes at once, when `stop()` is true on any of them.
    """
    own = Prefetcher(batches, world)
    for _ in range(rounds):  # whoever has none left must answer, too
        if world.any(not own.comes() or stop())[0]:
            raise StopRequested
        yield from islice(own, 1)
