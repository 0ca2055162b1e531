"""Commands in two processes, hurt in every way that a launcher survives (P6, P7, P8, F12, F13)."""

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from command import LIMIT, complaint, python, residua, start, succeeded, wait_for
from hurt import hurt, when
from nursery import Forked
from ranks import children_of, free_port, lives, together
from residua.jobs.prepare import Wish
from residua.jobs.train import enter, resume, work
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data
from residua.training.checkpoint import newest, states, step_of
from residua.training.run import Run, open_run
from residua.training.world import STALL, World
from small import arch, file_of, recipe, rows, weights

pytestmark = pytest.mark.timeout(600)
TWO = ("--processes", 2)
SOON = 60.0
"""Seconds after a fault in which ranks learn on, or the job is over (P8)."""


@pytest.fixture(scope="module")
def made(photos: Path) -> Path:
    """A recipe of 40 steps in 10 epochs that saves after every step."""
    short = recipe("", arch=arch(), budget=Budget(epochs=10, batch=6, save_seconds=0.0))
    return file_of(short, photos.parent / "ranks.json")


@pytest.fixture(scope="module")
def twice(photos: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of two processes that nothing disturbed."""
    path = tmp_path_factory.mktemp("twice") / "run"

    def train(world: World) -> None:
        run, prepared = enter(Wish(str(photos), recipe=str(made)), path, world=world)
        work(run, prepared, world=world)

    together(2, train)
    return open_run(path)


def launched(*words: object, module: str = "residua", **options: Any) -> Forked:
    """Two processes that our own launcher begins."""
    return start(*words, *TWO, module=module, **options)


def torchrun(*words: object, restarts: int = 2, module: str = "residua", **options: Any) -> Forked:
    launcher = ("--standalone", "--nproc-per-node", 2, "--max-restarts", restarts, "-m", module)
    return start(*launcher, *words, module="torch.distributed.run", **options)


def begun(run: Path, process: Forked) -> list[int]:
    """The ranks of `process`, once they have saved three states."""
    wait_for(run, "checkpoints/state-*[3-9].safetensors", process)
    return sorted(children_of(process.pid))


def send(ranks: list[int], number: signal.Signals) -> None:
    for rank in filter(lives, ranks):
        os.kill(rank, number)


def ended(process: Forked) -> str:
    out, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + error
    return out


def reached(run: Path) -> int:
    """The step of the newest state."""
    return step_of(states(run / "checkpoints")[0])


class Fault(NamedTuple):
    """What was done to a job."""

    run: Path
    process: Forked
    since: float
    """At which `time.monotonic()`."""
    step: int
    """What was saved then."""


def sent(run: Path, process: Forked, rank: int, number: signal.Signals, *, after: float = 0.0) -> Fault:
    """A signal for one rank, `after` seconds after three states were saved."""
    ranks = begun(run, process)
    time.sleep(after)
    os.kill(ranks[rank], number)
    return Fault(run, process, time.monotonic(), reached(run))


def recovered(fault: Fault, undisturbed: Run) -> None:
    """New ranks go on `SOON`, and end as those that nothing disturbed."""
    while fault.process.poll() is None and reached(fault.run) < fault.step + 2:  # the old may save one more
        assert time.monotonic() < fault.since + SOON
        time.sleep(0.02)
    assert time.monotonic() < fault.since + SOON
    assert "a process died or stalled: all 2 start again" in ended(fault.process)
    assert weights(fault.run) == weights(undisturbed)
    assert rows(fault.run) == rows(undisturbed)
    assert (fault.run / "report.html").exists()
    assert not list(fault.run.rglob("*.tmp"))


def stall(words: tuple[object, ...], run: Path, rank: int) -> Fault:
    process = launched(*words, "-o", run, env=os.environ | {STALL: "10"})
    return sent(run, process, rank, signal.SIGSTOP)


@pytest.fixture(scope="module")
def words(photos: Path, made: Path) -> tuple[object, ...]:
    return ("train", photos, "--recipe", made)


@pytest.fixture(scope="module")
def stalled(words: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fault]:
    """A run of which one rank stands still, and what becomes of it while other tests run."""
    fault = stall(words, tmp_path_factory.mktemp("stalled") / "run", 1)
    ranks = children_of(fault.process.pid)
    yield fault
    send(ranks, signal.SIGKILL)
    fault.process.kill()


SAVING = [
    f"kill {place}"
    for place in ("before sync", "after sync", "before rename", "after rename", "before prune")
]
RARE = [(fault, trial) for fault in ("kill 0", "kill 1", "raise", "save") for trial in range(1, 11)]
FAULTS = [
    pytest.param(launched, "kill 1", 0),
    pytest.param(torchrun, "kill 0", 0),
    pytest.param(launched, "save", 0),
    *(pytest.param((launched, torchrun)[n % 2], fault, n, marks=pytest.mark.battery) for fault, n in RARE),
]


@pytest.mark.usefixtures("stalled")
@pytest.mark.parametrize(("begin", "fault", "trial"), FAULTS)
def test_a_rank_that_is_hurt_is_replaced_and_no_bit_is_lost(
    begin: Callable[..., Forked],
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
    process = hurt(mark, aim, *words, begin=begin, rank=trial // 2 % 2 if raised else 0)
    wait_for(tmp_path, mark.name, process)
    recovered(Fault(run, process, when(mark), reached(run)), twice)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.battery)])
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
    state = newest(run / "checkpoints")
    assert state
    assert state.refused == ()


def test_two_processes_asked_to_stop_save_once_and_go_on_as_two_unless_forced(
    photos: Path, made: Path, twice: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", made, "-o", run, *TWO)
    ranks = begun(run, process)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 75, out + error
    assert out.count("stopped after step") == 1
    assert out.count(f"next: residua resume {run}") == 1
    assert not any(map(lives, ranks))
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    succeeded(residua("resume", run, *TWO, ranks=False))
    assert weights(run) == weights(twice)
    assert rows(run) == rows(twice)
    line = complaint(residua("resume", moved), 2)
    assert "processes is 1, was 2: the rest would not equal an uninterrupted run" in line
    out = succeeded(residua("resume", moved, "--force-environment"))
    assert "processes is 1, was 2: the rest will not equal" in out
    moves = json.loads((moved / "environment.json").read_text())["moves"]
    assert moves[0]["moved"] == ["processes is 1, was 2"]


def test_torchrun_asked_to_stop_while_one_rank_waits_for_images_has_all_save_that_step(
    photos: Path, tmp_path: Path
) -> None:
    slow = recipe(
        "",
        arch=arch(),
        augment=Augment("resized_crop"),
        data=Data("", workers=1, resident_bytes=0),
        budget=Budget(epochs=6, batch=6, save_seconds=1000.0),
    )
    made, run = file_of(slow, tmp_path / "recipe.json"), tmp_path / "run"
    process = torchrun("train", photos, "--recipe", made, "-o", run, restarts=1)
    ranks = begun(run, process)
    send(children_of(ranks[1]), signal.SIGSTOP)
    time.sleep(1)  # until it has used what they made before
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=LIMIT)
    assert time.monotonic() - asked < 20
    assert process.returncode == 1, out + error  # torchrun's own, whatever its ranks say
    assert not any(map(lives, ranks))
    (step,) = re.findall(r"stopped after step (\d+)", out)
    saved = newest(run / "checkpoints")
    assert saved
    assert step_of(saved.path) == int(step)
    for file in (run / "recipe.json", made):  # the rest is quicker without workers, and the same
        file.write_text(file.read_text().replace('"workers": 1', '"workers": 0'))
    whole = tmp_path / "whole"

    def train(world: World) -> None:
        resume(run, world=world)
        work(*enter(Wish(str(photos), recipe=str(made)), whole, world=world), world=world)

    together(2, train)
    assert (weights(open_run(run)), rows(open_run(run))) == (weights(open_run(whole)), rows(open_run(whole)))


def test_an_error_of_the_user_is_one_line_and_starts_nothing_anew(photos: Path, tmp_path: Path) -> None:
    words = ("train", photos, "-m", "cifar_resnet_20", "-o", tmp_path / "run", *TWO)
    assert "did you mean cifar_resnet20" in complaint(residua(*words), 2)
    assert not (tmp_path / "run").exists()


LAUNCHED = """
import sys
from residua.cli import main
from residua.training import launch
launch.launch = lambda words, processes, *, logs: print(processes, *words) or 0
sys.argv = ["residua", "evaluate", "RUN", "--json", "--processes", "2"]
main()
"""


def test_two_processes_judge_as_one_and_one_of_them_tells(twice: Run, tmp_path: Path) -> None:
    words = ("evaluate", twice.path, "--json", *TWO)
    assert succeeded(python("-c", LAUNCHED)) == "2 evaluate RUN --json --processes 2\n"
    place = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}
    ranks, folders = [], [tmp_path / "0", tmp_path / "1"]
    for rank, folder in enumerate(folders):
        folder.mkdir()
        more = ("--predictions", "said.csv", "-o", "page.html")
        ranks.append(start(*words, *more, env=place | {"RANK": str(rank)}, cwd=folder))
    first, second = map(ended, ranks)
    assert json.loads(first) == json.loads(succeeded(residua(*words[:-2])))
    assert second == ""
    assert sorted(os.listdir(folders[0])) == ["page.html", "said.csv"]
    assert os.listdir(folders[1]) == []


def test_a_second_launcher_is_told_who_trains_and_a_killed_one_leaves_no_process(
    photos: Path, tmp_path: Path
) -> None:
    long = recipe("", arch=arch(), budget=Budget(epochs=100_000, batch=6, save_seconds=0.0))
    made, run = file_of(long, tmp_path / "recipe.json"), tmp_path / "run"
    first = start("train", photos, "--recipe", made, "-o", run, *TWO)
    ranks = begun(run, first)
    try:
        send(ranks, signal.SIGSTOP)  # they hold the run no less, and leave the cores to the others
        line = complaint(residua("resume", run, *TWO), 3)
        assert any(f"{run} is being written by process {rank} on" in line for rank in ranks)
        second = torchrun("resume", run, restarts=0, ranks=False)
        _, error = second.communicate(timeout=LIMIT)
        assert second.returncode == 1
        assert error.count(f"residua: {run} is being written by process") == 1
        assert first.poll() is None
        send(ranks, signal.SIGCONT)
        first.kill()
        limit = time.monotonic() + 30
        while any(map(lives, ranks)):
            assert time.monotonic() < limit
            time.sleep(0.1)
    finally:
        send([first.pid, *ranks], signal.SIGKILL)
        first.communicate()
    saved = newest(run / "checkpoints")
    assert saved is not None
    assert step_of(saved.path) >= 3


@pytest.mark.battery
@pytest.mark.parametrize("half", range(2))
def test_ranks_that_stall_in_five_jobs_at_once_are_replaced(
    half: int, words: tuple[object, ...], twice: Run, tmp_path: Path
) -> None:
    """At once, because all of them only wait."""
    for fault in [stall(words, tmp_path / f"{n}", rank=(n + half) % 2) for n in range(5)]:
        recovered(fault, twice)


def test_a_stalled_rank_is_replaced(stalled: Fault, twice: Run) -> None:
    """Last, for a launcher gives who stands still half a minute to leave."""
    recovered(stalled, twice)
