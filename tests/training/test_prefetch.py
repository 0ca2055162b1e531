"""Batches that processes wait for together: in order, errors in their turn, no wait once asked to stop."""

from collections.abc import Iterator
from itertools import islice

import pytest

from ranks import together
from residua.data.loader import StoppedWhileWaiting
from residua.training.prefetch import Prefetcher, StopRequested, in_lockstep
from residua.training.processes.world import SINGLE_PROCESS, World
from small import never


def until(error: Exception, *batches: int) -> Iterator[int]:
    yield from batches
    raise error


def test_batches_come_in_order_whether_or_not_they_are_asked_for_first() -> None:
    prefetcher, result = Prefetcher(iter(range(6)), SINGLE_PROCESS), []
    for batch in prefetcher:
        result.append(batch)
        if batch % 2:
            assert prefetcher.fetch()
            assert prefetcher.fetch()
    assert result == list(range(6))
    assert prefetcher.fetch()  # nothing is left to wait for


def test_what_is_wrong_with_a_batch_is_told_after_those_before_it() -> None:
    prefetcher = Prefetcher(until(KeyError("third"), 1, 2), SINGLE_PROCESS)
    assert [next(prefetcher), next(prefetcher)] == [1, 2]
    assert prefetcher.fetch()
    for _ in range(2):
        with pytest.raises(KeyError, match="third"):
            next(prefetcher)


def test_what_is_wrong_with_the_first_batch_is_told_at_once() -> None:
    with pytest.raises(KeyError, match="first"):
        Prefetcher(until(KeyError("first")), SINGLE_PROCESS)


def test_after_a_wait_that_was_given_up_no_batch_comes() -> None:
    prefetcher = Prefetcher(until(StoppedWhileWaiting(), 1, 2), SINGLE_PROCESS)
    assert (next(prefetcher), prefetcher.fetch(), next(prefetcher)) == (1, True, 2)
    assert not prefetcher.fetch()
    assert list(prefetcher) == []
    with pytest.raises(StopRequested):
        Prefetcher(until(StoppedWhileWaiting()), SINGLE_PROCESS)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_one_process_that_gives_up_waiting_has_all_leave_at_the_same_batch(count: int) -> None:
    def wait(world: World) -> None:
        own = iter(range(9)) if world.is_main else until(StoppedWhileWaiting(), *range(count))
        dealt = in_lockstep(own, 9, world=world, stop=never)
        assert list(islice(dealt, count)) == list(range(count))
        with pytest.raises(StopRequested):
            next(dealt)

    together(2, wait)


def test_a_process_with_a_batch_less_answers_the_others() -> None:
    def deal(world: World) -> None:
        own = range(3 - world.rank)
        assert list(in_lockstep(iter(own), 3, world=world, stop=never)) == list(own)

    together(2, deal)
