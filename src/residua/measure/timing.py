"""Time several ways to compute in turns, and decide which is faster beyond the noise of the machine.

    first turn     one step of each way, which warms it up; a way that takes MAX_RATIO times as long as the
                   best so far is given up
    later turns    every other way takes one step, in changing order
    end            the fastest way is certain, or the next turns do not fit into the time limit

What slows the machine for a while slows a whole turn, so ways are compared turn by turn: a later way is
faster if it wins more turns than chance explains (sign test). The simplest way is the default, and stays
where the time is too short for an answer.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Way = TypeVar("Way")

MIN_TURNS = 5
"""Turns that an answer needs at least: in fewer, chance explains that one way wins them all."""
MAX_CHANCE = 0.05
"""Largest chance, by the sign test, that an equal way wins as many turns. On a machine that slows half of all
steps, an equal way is taken for a faster one in one of 700 trials; a way that wins three turns of four is
missed in one of 50, where there is time for 45 turns."""
MAX_RATIO = 3.0
"""How many times longer than the best way so far the first step of a way may take: no noise of a machine that
others use explains more, and emulated bfloat16 takes 9 to 22 times as long."""


@dataclass(frozen=True, slots=True)
class Timing(Generic[Way]):
    """What was measured, from the simplest way to the least simple."""

    first: dict[Way, float] = field(default_factory=dict)
    """Seconds of the first step of each way that was tried; this step also warms it up."""
    turns: dict[Way, list[float]] = field(default_factory=dict)
    """For each way that was not given up: seconds of its step in each turn after the first."""
    is_answer: bool = False
    """Whether all ways were tried, in as many turns as an answer needs."""

    def rates(self, images: int) -> dict[Way, float]:
        """Images per second of each way that was tried, for steps of so many `images`.

        That is the median over the turns, or what the first step shows where there are no more.
        """
        steps = {way: self.turns.get(way) or [first] for way, first in self.first.items()}
        return {way: images / statistics.median(seconds) for way, seconds in steps.items()}


def time_in_turns(
    steps: Mapping[Way, Callable[[], object]], *, worth: float, limit: Callable[[float], float]
) -> Timing[Way]:
    """Time a step in each way, turn by turn, until it is certain which way is the `fastest`.

    Args:
        steps: A function for each way, from the simplest way to the least simple.
        worth: How many times faster a way must be than a simpler one.
        limit: From the seconds of the fastest step so far to the seconds that timing may take in all. Except
            for the very first step, nothing begins that would end later if it takes as long as before.

    Returns:
        The seconds of each way.
    """
    began = time.perf_counter()
    first, turns = _first_steps(steps, limit, began)
    latest, best, count = {way: first[way] for way in turns}, min(first.values()), 0
    while count == 0 or not _compare(turns, worth)[1]:
        turns_needed = max(1, MIN_TURNS - count) if count else 1
        if time.perf_counter() - began + sum(latest.values()) * turns_needed > limit(best):
            break
        for way in list(turns) if count % 2 else list(turns)[::-1]:
            latest[way] = seconds_of(steps[way])
        for way, seconds in turns.items():
            seconds.append(latest[way])
        best, count = min(best, *latest.values()), count + 1
    is_answer = len(first) == len(steps) and (len(turns) == 1 or count >= MIN_TURNS)
    return Timing(first, turns, is_answer)


def _first_steps(
    steps: Mapping[Way, Callable[[], object]], limit: Callable[[float], float], began: float
) -> tuple[dict[Way, float], dict[Way, list[float]]]:
    """Seconds of the first step of each way for which there is time, and those that were not given up."""
    first: dict[Way, float] = {}
    turns: dict[Way, list[float]] = {}
    for way, step in steps.items():
        best = min(first.values(), default=math.inf)
        if first and time.perf_counter() - began + MAX_RATIO * best > limit(best):
            break
        first[way] = seconds_of(step)
        if first[way] <= MAX_RATIO * best:
            turns[way] = []
    return first, turns


def seconds_of(step: Callable[[], object]) -> float:
    """Seconds that one call of `step` takes."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


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
