"""Trials: ways to compute, timed in turns, and which one is faster beyond the noise of the machine."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Way = TypeVar("Way")

LEAST = 5
"""Turns that are counted at least."""
DOUBT = 0.05
"""A way is taken as faster when a coin would win as many turns, or more, with no more than this chance; as
slower alike. On a machine that slows half of all steps, by chance, an equal way is taken for a faster one in
one of 700 trials; a way that wins three turns of four is missed in one of 50, where there is time for 45."""


def time_in_turns(
    steps: Mapping[Way, Callable[[], object]], *, worth: float, seconds: float
) -> dict[Way, list[float]]:
    """Seconds that a step takes in each way, one number for each turn; the first turn warms up, uncounted.

    Turns go on until there is no doubt which way is the `fastest`; none begins after `seconds` from LEAST on.
    The order turns round, so that neither place nor drift favours a way.
    """
    for step in steps.values():
        step()
    found: dict[Way, list[float]] = {way: [] for way in steps}
    ways, began, turn = list(steps), time.perf_counter(), 0
    while turn < LEAST or (time.perf_counter() - began <= seconds and not _judged(found, worth)[1]):
        for way in ways if turn % 2 else ways[::-1]:
            start = time.perf_counter()
            steps[way]()
            found[way].append(time.perf_counter() - start)
        turn += 1
    return found


def fastest(found: Mapping[Way, Sequence[float]], *, worth: float) -> Way:
    """The first of the ways, or a later one that was `worth` times as fast as the best before it.

    Ways come from the simplest to the least simple. They are compared turn by turn, since what slows a whole
    turn slows them alike, and a way must win beyond DOUBT.
    """
    return _judged(found, worth)[0]


def _judged(found: Mapping[Way, Sequence[float]], worth: float) -> tuple[Way, bool]:
    """The fastest way, and whether no comparison on the way to it leaves a doubt."""
    best, *later = found
    sure = True
    for way in later:
        turns = len(found[way])
        wins = sum(before > worth * after for before, after in zip(found[best], found[way], strict=True))
        faster = _chance(turns, wins) <= DOUBT
        sure = sure and (faster or _chance(turns, turns - wins) <= DOUBT)
        best = way if faster else best
    return best, sure


def _chance(turns: int, wins: int) -> float:
    """How often a coin shows its head `wins` times or more in `turns` (the sign test)."""
    return math.ldexp(sum(math.comb(turns, many) for many in range(wins, turns + 1)), -turns)


def throughputs(found: Mapping[Way, Sequence[float]], images: int) -> dict[Way, float]:
    """Images per second in each way: medians over the turns."""
    return {way: images / statistics.median(turns) for way, turns in found.items()}
