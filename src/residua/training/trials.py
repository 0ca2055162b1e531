"""Trials: ways to compute, timed in turns, and which one is faster beyond the noise of the machine."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Way = TypeVar("Way")

LEAST, MOST = 5, 9
"""Turns that are counted: as many as the time allows, within these."""
SURE = 0.75
"""Share of the turns in which a way must be faster. On a machine that slows half of all steps, by chance, an
equal way is taken for a faster one in one of 60 trials of 5 turns, and in one of 700 of 9."""


def timed(steps: Mapping[Way, Callable[[], object]], *, seconds: float) -> dict[Way, list[float]]:
    """Seconds that a step takes in each way, one number for each turn; the first turn warms up, uncounted.

    The order turns round, so that neither place nor drift favours a way. No turn begins after `seconds`
    from LEAST turns on.
    """
    for step in steps.values():
        step()
    found: dict[Way, list[float]] = {way: [] for way in steps}
    began = time.perf_counter()
    for turn in range(MOST):
        if turn >= LEAST and time.perf_counter() - began > seconds:
            break
        ways = list(steps)
        for way in ways if turn % 2 else ways[::-1]:
            start = time.perf_counter()
            steps[way]()
            found[way].append(time.perf_counter() - start)
    return found


def fastest(found: Mapping[Way, Sequence[float]], *, worth: float) -> Way:
    """The first of the ways, or a later one that was `worth` times as fast as the best before it.

    Ways come from the simplest to the least simple. They are compared turn by turn, since what slows a whole
    turn slows them alike, and a way must win SURE of the turns.
    """
    ways = list(found)
    best = ways[0]
    for way in ways[1:]:
        gains = [before / after for before, after in zip(found[best], found[way], strict=True)]
        if sum(gain > worth for gain in gains) >= SURE * len(gains):
            best = way
    return best


def rates(found: Mapping[Way, Sequence[float]], images: int) -> dict[Way, float]:
    """Images per second in each way: medians over the turns."""
    return {way: images / statistics.median(turns) for way, turns in found.items()}
