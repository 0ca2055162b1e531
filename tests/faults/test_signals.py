"""Asked to stop, a command saves and says how to go on; asked twice, it leaves (reliability P6)."""

import itertools
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import residua as python
from command import residua, start, succeeded, wait_for
from few import few_of
from ranks import apart, begin, children_of, end
from residua.cli.processes import ENDED
from residua.cli.progress import Stopper
from residua.cli.terminal import console
from residua.runs import checkpoint
from residua.runs.run import Run, open_run
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data
from residua.training import loop, validate
from residua.weights import store
from small import file_of, rows, weights


@pytest.mark.parametrize("asked", few_of([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], [signal.SIGTERM]))
def test_a_stopped_command_says_how_to_go_on_and_loses_no_bit(
    asked: signal.Signals, photos: Path, run_recipe: Path, clean: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", run_recipe, "-o", run)
    wait_for(run, "checkpoints/state-*", process)
    process.send_signal(asked)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 75, out + error
    assert error == ""
    assert f"next: residua resume {run}" in out
    assert f"saved in {run}" in out
    assert not open_run(run).finished
    python.resume(run)
    assert weights(run) == weights(clean)
    assert rows(run) == rows(clean)


PLACES: dict[str, tuple[object, str]] = {
    "a step": (loop, "backward"),
    "judging": (validate, "evaluate"),
    "writing a state": (store, "_write"),
    "renaming it": (os, "replace"),
    "writing a row": (Run, "append_metrics"),
}


@pytest.mark.parametrize("place", PLACES)
@apart
def test_wherever_it_is_when_asked_it_goes_on_with_the_same_bits(
    place: str, trained: Callable[..., Run], short: Path, short_clean: Run, tmp_path: Path
) -> None:
    owner, name = PLACES[place]
    act, calls = getattr(owner, name), itertools.count()

    def asking(*given: Any, **named: Any) -> Any:
        if next(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return act(*given, **named)

    stopper = Stopper(console())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, asking)
        run = trained(tmp_path / "run", stopper, recipe=short)
    assert stopper()
    assert not run.finished
    assert checkpoint.load_last(run.checkpoints)
    python.resume(run.path)
    assert (weights(run), rows(run)) == (weights(short_clean), rows(short_clean))


def test_asked_twice_it_leaves_at_once_and_still_can_go_on(
    photos: Path, run_recipe: Path, clean: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", run_recipe, "-o", run)
    wait_for(run, "checkpoints/state-*", process)
    process.send_signal(signal.SIGSTOP)  # so that both reach it before its next step
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped after step" not in out
    python.resume(run)
    assert weights(run) == weights(clean)


def test_processes_that_leave_at_once_tell_their_launcher_that_they_do(tmp_path: Path) -> None:
    def leave(_rank: int) -> None:
        os.environ[ENDED] = str(tmp_path)
        Stopper(console())
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    assert end(begin(2, leave)) == [0, 0]
    assert [path.read_text() for path in tmp_path.iterdir()] == [str(128 + signal.SIGTERM)] * 2


@pytest.mark.battery
def test_asked_while_no_image_comes_it_saves_what_it_has(photos: Path, clean: Run, tmp_path: Path) -> None:
    run_recipe = replace(
        clean.recipe,
        augment=Augment("resized_crop"),
        data=Data("", num_workers=2, resident_bytes=0),
        budget=Budget(epochs=3, batch_size=2, save_seconds=1000.0),
    )
    file, run, whole = file_of(run_recipe, tmp_path / "recipe.json"), tmp_path / "run", tmp_path / "whole"
    process = start("train", photos, "--recipe", file, "-o", run)
    wait_for(run, "checkpoints/state-*", process)
    time.sleep(0.1)  # so that it has learned from some images since
    for worker in children_of(process.pid):
        os.kill(worker, signal.SIGSTOP)
    time.sleep(1)  # until it has used what they made before
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 75, out + error
    assert error == ""
    assert not open_run(run).finished
    (step,) = re.findall(r"stopped after step (\d+)", out)
    state = checkpoint.load_last(open_run(run).checkpoints)
    assert state
    assert checkpoint.step_in_name(state.path) == int(step)
    python.resume(run)
    succeeded(residua("train", photos, "--recipe", file, "-o", whole))
    assert (weights(open_run(run)), rows(open_run(run))) == (weights(open_run(whole)), rows(open_run(whole)))


def test_a_signal_for_its_whole_group_leaves_it_the_processes_that_decode(
    photos: Path, clean: Run, tmp_path: Path
) -> None:
    long = replace(clean.recipe, augment=Augment("resized_crop"), data=Data("", num_workers=2))
    run_recipe, run = file_of(long, tmp_path / "recipe.json"), tmp_path / "run"
    process = start("train", photos, "--recipe", run_recipe, "-o", run, start_new_session=True)
    wait_for(run, "checkpoints/state-*", process)
    os.killpg(process.pid, signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 75, out + error
    assert error == ""
    python.resume(run)
    assert open_run(run).finished
