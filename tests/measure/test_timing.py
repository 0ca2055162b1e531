"""Ways that are timed in turns on a machine that is busy now and then: the right one is taken."""

import random
from collections.abc import Callable, Mapping

import pytest

from residua.measure import timing
from residua.measure.timing import MAX_RATIO, MIN_TURNS, Timing, fastest, time_in_turns

RESNET50 = {"off": 32 / 9.5, "blocks": 32 / 9.0, "whole": 32 / 10.6}
"""Seconds of a step on a quiet machine."""
Steps = Mapping[str, Callable[[], None]]


def timed(machine: "Machine", *, worth: float, seconds: float) -> Timing[str]:
    """What `time_in_turns` measures in at most so many seconds."""
    return time_in_turns(machine.steps(), worth=worth, limit=lambda _: seconds)


class Machine:
    """A clock, and steps that take `seconds` on it, times what `busy` says of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: Mapping[str, float]) -> None:
        self.now, self.seconds, self.turns = 0.0, seconds, list[str]()
        self.busy: Callable[[str, int], float] = lambda way, nth: 1.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def steps(self) -> Steps:
        return {way: lambda way=way: self._step(way) for way in self.seconds}

    def _step(self, way: str) -> None:
        self.now += self.seconds[way] * self.busy(way, self.turns.count(way))
        self.turns.append(way)


def best_of_three(steps: Steps, clock: Callable[[], float], *, worth: float) -> str:
    """What was chosen before: the best turn of three, in one order, after a first one."""
    best = dict.fromkeys(steps, float("inf"))
    for turn in range(4):
        for way, step in steps.items():
            start = clock()
            step()
            best[way] = min(best[way], clock() - start) if turn else best[way]
    winner = min(best, key=lambda way: best[way])
    first = next(iter(best))
    return winner if best[first] > worth * best[winner] else first


def test_a_neighbour_that_hits_some_ways_for_some_turns_does_not_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What once chose blocks: another process slowed the other two for the three turns that counted."""
    machine = Machine(monkeypatch, RESNET50)
    machine.busy = lambda way, nth: 1.4 if way != "blocks" and nth < 4 else 1.0
    assert best_of_three(machine.steps(), lambda: machine.now, worth=1.15) == "blocks"
    machine.turns.clear()
    result = timed(machine, worth=1.05, seconds=60 * 60)
    assert fastest(result.turns, worth=1.05) == "whole"


@pytest.mark.parametrize("seconds", [150.0, 1e6])
def test_chance_seldom_makes_a_slower_way_win(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second step is slowed by half, by chance; blocks is never right, nor taken for it but rarely."""
    draw, wrong, wrong_before, times = random.Random(0), 0, 0, 400
    two = {way: RESNET50[way] for way in ("off", "blocks")}
    for _ in range(times):
        machine = Machine(monkeypatch, two)
        machine.busy = lambda way, nth: draw.choice((1.0, 1.5))
        wrong += fastest(timed(machine, worth=1.05, seconds=seconds).turns, worth=1.05) == "blocks"
        wrong_before += best_of_three(machine.steps(), lambda at=machine: at.now, worth=1.15) == "blocks"
    most = 0.0025 if seconds < 1e6 else 0.005
    assert wrong <= most * times < wrong_before


def test_a_faster_way_is_found_on_a_machine_that_is_busy_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw, right = random.Random(0), 0
    for _ in range(100):
        machine = Machine(monkeypatch, RESNET50)
        machine.busy = lambda way, nth: 1.5 if draw.random() < 0.1 else 1.0
        right += fastest(timed(machine, worth=1.05, seconds=1e4).turns, worth=1.05) == "whole"
    assert right == 100


@pytest.mark.parametrize(("gain", "winner"), [(1.06, "b"), (1.04, "a")])
def test_a_way_must_be_worth_it(gain: float, winner: str) -> None:
    assert fastest({"a": [gain] * 8, "b": [1.0] * 8}, worth=1.05) == winner


@pytest.mark.parametrize(("wins", "turns", "winner"), [(5, 5, "b"), (7, 8, "b"), (6, 8, "a"), (30, 45, "b")])
def test_a_way_must_win_more_turns_than_chance_would_give(wins: int, turns: int, winner: str) -> None:
    assert fastest({"a": [2.0] * wins + [0.9] * (turns - wins), "b": [1.0] * turns}, worth=1.05) == winner


def test_a_machine_that_is_disturbed_for_some_seconds_is_looked_at_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What once kept float32: nine turns of two seconds in all, half of them disturbed."""
    machine = Machine(monkeypatch, {"float32": 0.055, "bfloat16": 0.037})
    draw, right = random.Random(0), 0
    for _ in range(100):
        machine.turns.clear()
        machine.busy = lambda way, nth: draw.choice((1.0, 2.0)) if nth < 20 else 1.0
        result = timed(machine, worth=1.15, seconds=10.0)
        right += fastest(result.turns, worth=1.15) == "bfloat16"
    assert right >= 98


def test_a_third_way_must_beat_the_second_not_the_first_alone() -> None:
    result = {"off": [1.2] * 5, "blocks": [1.0] * 5, "whole": [0.99] * 5}
    assert fastest(result, worth=1.05) == "blocks"


def test_the_first_turn_is_not_counted_and_the_order_turns_round(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {"a": 1.0, "b": 1.0})
    machine.busy = lambda way, nth: 100.0 if nth == 0 else 1.0
    result = timed(machine, worth=1.05, seconds=1000)
    assert result.turns == {"a": [1.0] * MIN_TURNS, "b": [1.0] * MIN_TURNS}
    assert result.first == {"a": 100.0, "b": 100.0}
    assert result.is_answer
    assert machine.turns[:6] == ["a", "b", "b", "a", "a", "b"]


@pytest.mark.parametrize(("seconds", "turns"), [(14.0, MIN_TURNS), (16.0, 6), (124.0, 54)])
def test_what_timing_costs_is_bounded(seconds: float, turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {"a": 0.9, "b": 0.9})
    machine.busy = lambda way, nth: 1.0 + 0.5 * ((nth + (way == "a")) % 2)  # each is faster every other turn
    result = timed(machine, worth=1.05, seconds=seconds)
    assert len(result.turns["a"]) == turns
    assert machine.now <= seconds


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0])
def test_no_limit_is_exceeded_but_by_the_first_step(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five turns were taken before, whatever the limit was: 40 seconds here."""
    machine = Machine(monkeypatch, {"a": 1.0, "b": 1.5, "c": 1.2, "d": 4.0})
    result = timed(machine, worth=1.05, seconds=seconds)
    assert machine.now <= max(1.0, seconds)
    if not result.is_answer:
        assert fastest(result.turns, worth=1.05) == "a"


def test_turns_that_cannot_be_enough_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {"a": 1.0, "b": 1.0})
    result = timed(machine, worth=1.05, seconds=8.0)
    assert machine.now == 4.0  # after one more turn it is known that five take 10 seconds more
    assert not result.is_answer


def test_the_limit_follows_the_fastest_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step warms the process up, so that the run seems longer than it is."""
    machine = Machine(monkeypatch, {"a": 1.0, "b": 1.0})
    machine.busy = lambda way, nth: 10.0 if not machine.turns else 1.0
    time_in_turns(machine.steps(), worth=1.05, limit=lambda step: 9.0 * step)
    assert machine.turns == ["a", "b"]


@pytest.mark.parametrize("ratio", [MAX_RATIO - 0.1, MAX_RATIO + 0.1])
def test_a_way_is_given_up_after_its_first_slow_step(ratio: float, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {"float32": 1.0, "bfloat16": ratio})
    result = timed(machine, worth=1.05, seconds=1000)
    is_slow = ratio > MAX_RATIO
    assert machine.turns.count("bfloat16") == (1 if is_slow else 1 + MIN_TURNS)
    assert ("bfloat16" in result.turns) != is_slow
    assert fastest(result.turns, worth=1.05) == "float32"
    assert result.is_answer
    assert result.rates(32) == pytest.approx({"float32": 32.0, "bfloat16": 32 / ratio})


def test_rates_are_those_of_the_middle_turn() -> None:
    assert Timing({"a": 9.0}, {"a": [1.0, 2.0, 40.0]}).rates(8) == {"a": 4.0}
    assert Timing({"a": 4.0}, {"a": list[float]()}).rates(8) == {"a": 2.0}
