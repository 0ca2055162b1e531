"""Killed at any moment, a run loses nothing but time (reliability P1, F1, F2)."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from command import residua, start, succeeded, wait_for
from residua.spec.recipe import Budget
from residua.training import checkpoint
from residua.training.run import Run, create, open_run
from residua.weights.store import read
from small import colours, fresh, go, recipe, rows, weights


def forked(work: Callable[[], object]) -> int:
    """The number of a child process that does `work`."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


@pytest.mark.parametrize("seed", range(3))
def test_every_kill_leaves_good_states_and_the_last_child_the_clean_weights(
    seed: int, tmp_path: Path
) -> None:
    data = colours()
    made = recipe(budget=Budget(epochs=4, batch=6, save_seconds=0.0))
    began = time.monotonic()
    whole = fresh(tmp_path / "whole", made, data)
    lasted = time.monotonic() - began
    run, chance, reached = create(tmp_path / "run", made, identity={}), random.Random(seed), 0
    for _ in range(6):
        child = forked(lambda: go(run, data))
        time.sleep(chance.uniform(0, 0.7 * lasted))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for path in checkpoint.states(run.checkpoints):
            read(path)
        state = checkpoint.newest(run.checkpoints)
        step = state.facts["progress"]["step"] if state else 0
        assert step >= reached
        reached = step
    assert os.waitpid(forked(lambda: run.finished or go(run, data)), 0)[1] == 0
    assert weights(run) == weights(whole)
    assert rows(run) == rows(whole)
    assert run.finished
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_command_killed_again_and_again_ends_as_one_that_was_not(
    photos: Path, made: Path, clean: Run, tmp_path: Path
) -> None:
    run, chance = tmp_path / "run", random.Random(1)
    words: tuple[object, ...] = ("train", photos, "--recipe", made, "-o", run)
    for _ in range(2):
        process = start(*words)
        before = checkpoint.states(run / "checkpoints")[:1]
        newer = f"checkpoints/state-{int(before[0].stem[-9:]) + 1 if before else 0:09d}"
        wait_for(run, f"{newer[:-1]}*", process)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.communicate()
        words = ("resume", run)
    out = succeeded(residua("resume", run))
    assert "next: " in out
    assert weights(run) == weights(clean)
    assert rows(run) == rows(clean)
    assert open_run(run).finished
