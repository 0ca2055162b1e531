"""Commands in two processes, stopped in every way that a launcher survives (P8, F12)."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from fault_injection import fault_time, start_with_fault

from command import LIMIT, Command, begun, ended, launched, send, torchrun, wait_for
from ranks import children_of, lives
from residua.runs.checkpoint import list_checkpoints, load_newest, step_in_name
from residua.runs.run import Run
from residua.training.processes.world import STALL
from small import rows, weights

pytestmark = pytest.mark.timeout(600)
SOON = 60.0
"""Seconds after a fault in which ranks learn on, or the job is over (P8)."""


def reached(run: Path) -> int:
    """The step of the newest state."""
    return step_in_name(list_checkpoints(run / "checkpoints")[0])


class Fault(NamedTuple):
    """What was done to a job."""

    run: Path
    process: Command
    since: float
    """At which `time.monotonic()`."""
    step: int
    """What was saved then."""


def sent(run: Path, process: Command, rank: int, number: signal.Signals, *, after: float = 0.0) -> Fault:
    """A signal for one rank, `after` seconds after three states were saved."""
    ranks = begun(run, process)
    time.sleep(after)
    os.kill(ranks[rank], number)
    return Fault(run, process, time.monotonic(), reached(run))


def recovered(fault: Fault, undisturbed: Run, *, within: float = LIMIT) -> None:
    """New ranks go on `within` so many seconds, and end as those that nothing disturbed."""
    # the old ranks may save one more state
    while fault.process.returncode is None and reached(fault.run) < fault.step + 2:
        assert time.monotonic() < fault.since + within
        time.sleep(0.02)
    assert time.monotonic() < fault.since + within
    assert "all 2 start again" in ended(fault.process)
    assert weights(fault.run) == weights(undisturbed)
    assert rows(fault.run) == rows(undisturbed)
    assert (fault.run / "report.html").exists()
    assert not list(fault.run.rglob("*.tmp"))


def stall(words: tuple[object, ...], run: Path, rank: int) -> Fault:
    process = launched(*words, "-o", run, env=os.environ | {STALL: "10"})
    return sent(run, process, rank, signal.SIGSTOP)


@pytest.fixture(scope="module")
def words(photos: Path, often: Path) -> tuple[object, ...]:
    return ("train", photos, "--recipe", often)


SAVING = [
    f"kill {place}"
    for place in ("before sync", "after sync", "before rename", "after rename", "before prune")
]
RARE = [(fault, trial) for fault in ("kill 0", "kill 1", "raise", "save") for trial in range(1, 11)]
FAULTS = [
    pytest.param(launched, "kill 1", 0, marks=pytest.mark.battery),
    pytest.param(torchrun, "kill 0", 0, marks=pytest.mark.battery),
    pytest.param(launched, "save", 0, marks=pytest.mark.battery),
    *(pytest.param((launched, torchrun)[n % 2], fault, n, marks=pytest.mark.battery) for fault, n in RARE),
]


@pytest.mark.parametrize(("begin", "fault", "trial"), FAULTS)
def test_a_rank_that_is_hurt_is_replaced_and_no_bit_is_lost(
    begin: Callable[..., Command],
    fault: str,
    trial: int,
    words: tuple[object, ...],
    twice: Run,
    tmp_path: Path,
) -> None:
    """`kill` comes by chance, in up to 0.3 s; an error and what hits a save are aimed at their very call."""
    run, mark, chance = tmp_path / "run", tmp_path / "mark", random.Random(f"{fault} {trial}")
    words = (*words, "-o", run)
    if fault.startswith("kill"):
        later = chance.uniform(0, 0.3)
        recovered(sent(run, begin(*words), int(fault[-1]), signal.SIGKILL, after=later), twice)
        return
    raised = fault == "raise"
    aim = f"raise after step {3 + trial}" if raised else f"{SAVING[trial % len(SAVING)]} {2 + trial}"
    process = start_with_fault(mark, aim, *words, begin=begin, rank=trial // 2 % 2 if raised else 0)
    wait_for(tmp_path, mark.name, process)
    recovered(Fault(run, process, fault_time(mark), reached(run)), twice)


@pytest.mark.battery
@pytest.mark.parametrize("rank", [1, 0])
def test_without_restarts_a_killed_rank_ends_the_job(
    rank: int, words: tuple[object, ...], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = torchrun(*words, "-o", run, restarts=0)
    ranks = begun(run, process)
    os.kill(ranks[rank], signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    assert not any(map(lives, ranks))
    state = load_newest(run / "checkpoints")
    assert state
    assert state.damaged == ()


@pytest.mark.battery
@pytest.mark.parametrize("half", range(2))
def test_ranks_that_stall_in_five_jobs_at_once_are_replaced(
    half: int, words: tuple[object, ...], twice: Run, tmp_path: Path
) -> None:
    """At once, because all of them only wait."""
    for fault in [stall(words, tmp_path / f"{n}", rank=(n + half) % 2) for n in range(5)]:
        recovered(fault, twice, within=SOON)


@pytest.mark.battery
def test_a_stalled_rank_is_replaced(words: tuple[object, ...], twice: Run, tmp_path: Path) -> None:
    fault = stall(words, tmp_path / "run", 1)
    ranks = children_of(fault.process.pid)
    try:
        recovered(fault, twice)
    finally:
        send(ranks, signal.SIGKILL)
        fault.process.kill()
