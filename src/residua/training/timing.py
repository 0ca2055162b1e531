"""Time several ways to compute in turns, and decide which is faster beyond the noise of the machine.

In each turn every way takes one step, in changing order. What slows the machine for a while slows a whole
turn, so ways are compared turn by turn: a later way is faster if it wins more turns than chance explains
(sign test).
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Way = TypeVar("Way")

MIN_TURNS = 5
"""Turns that are counted at least."""
MAX_CHANCE = 0.05
"""Largest chance, by the sign test, that an equal way wins as many turns. On a machine that slows half of all
steps, an equal way is taken for a faster one in one of 700 trials; a way that wins three turns of four is
missed in one of 50, where there is time for 45 turns."""


def time_in_turns(
    steps: Mapping[Way, Callable[[], object]], *, worth: float, seconds: float
) -> dict[Way, list[float]]:
    """Time a step in each way, turn by turn, until it is certain which way is the `fastest`.

    Args:
        steps: A function for each way, from the simplest way to the least simple.
        worth: How many times faster a way must be than a simpler one.
        seconds: No turn begins later, once there are MIN_TURNS.

    Returns:
        For each way its seconds in each turn; the first turn, which warms up, is left out.
    """
    for step in steps.values():
        step()
    times: dict[Way, list[float]] = {way: [] for way in steps}
    ways, began, turn = list(steps), time.perf_counter(), 0
    while turn < MIN_TURNS or (time.perf_counter() - began <= seconds and not _compare(times, worth)[1]):
        for way in ways if turn % 2 else ways[::-1]:
            start = time.perf_counter()
            steps[way]()
            times[way].append(time.perf_counter() - start)
        turn += 1
    return times


def fastest(times: Mapping[Way, Sequence[float]], *, worth: float) -> Way:
    """The fastest way.

    Args:
        times: Seconds of each way in each turn, from the simplest way to the least simple.
        worth: How many times faster than the best way before it a way must be, beyond MAX_CHANCE.
    """
    return _compare(times, worth)[0]


def _compare(times: Mapping[Way, Sequence[float]], worth: float) -> tuple[Way, bool]:
    """The fastest way, and whether every comparison on the way to it is certain."""
    best, *later = times
    is_certain = True
    for way in later:
        turns = len(times[way])
        wins = sum(before > worth * after for before, after in zip(times[best], times[way], strict=True))
        is_faster = _chance(turns, wins) <= MAX_CHANCE
        is_certain = is_certain and (is_faster or _chance(turns, turns - wins) <= MAX_CHANCE)
        best = way if is_faster else best
    return best, is_certain


def _chance(turns: int, wins: int) -> float:
    """The probability that a fair coin shows heads `wins` times or more in `turns`."""
    return math.ldexp(sum(math.comb(turns, many) for many in range(wins, turns + 1)), -turns)


def throughputs(times: Mapping[Way, Sequence[float]], images: int) -> dict[Way, float]:
    """Images per second of each way, the median over the turns, for steps of so many `images`."""
    return {way: images / statistics.median(turns) for way, turns in times.items()}
