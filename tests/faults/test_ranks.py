"""Commands in two processes, hurt in every way that a launcher survives (P6, P7, P8, F12, F13)."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from command import LIMIT, complaint, residua, start, succeeded, wait_for
from nursery import Forked
from ranks import children_of, together
from residua.jobs.prepare import Wish
from residua.jobs.train import enter, work
from residua.spec.recipe import Budget
from residua.training.checkpoint import newest, step_of
from residua.training.run import Run, open_run
from residua.training.world import STALL, World
from small import arch, file_of, recipe, rows, weights

pytestmark = pytest.mark.timeout(600)
TWO = ("--processes", 2)


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


def torchrun(*words: object, restarts: int) -> Forked:
    launcher = ("--standalone", "--nproc-per-node", 2, "--max-restarts", restarts, "-m", "residua")
    return start(*launcher, *words, module="torch.distributed.run")


def begun(run: Path, process: Forked) -> list[int]:
    """The ranks of `process`, once they have saved three states."""
    wait_for(run, "checkpoints/state-00000000[3-9]*", process)
    return sorted(children_of(process.pid))


def ended(process: Forked) -> str:
    out, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + error
    return out


def test_a_killed_rank_is_replaced_and_no_bit_is_lost(
    photos: Path, made: Path, twice: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", made, "-o", run, *TWO)
    os.kill(begun(run, process)[1], signal.SIGKILL)
    assert "a process died or stalled: all 2 start again" in ended(process)
    assert weights(run) == weights(twice)
    assert rows(run) == rows(twice)
    assert (run / "report.html").exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_stalled_rank_is_replaced(photos: Path, made: Path, twice: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick = os.environ | {STALL: "5"}
    process = start("train", photos, "--recipe", made, "-o", run, *TWO, env=quick)
    os.kill(begun(run, process)[1], signal.SIGSTOP)
    assert "a process died or stalled" in ended(process)
    assert weights(run) == weights(twice)
    assert rows(run) == rows(twice)


def test_under_plain_torchrun_a_killed_rank_is_replaced_too(
    photos: Path, made: Path, twice: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = torchrun("train", photos, "--recipe", made, "-o", run, restarts=2)
    os.kill(begun(run, process)[0], signal.SIGKILL)
    ended(process)
    assert weights(run) == weights(twice)
    assert rows(run) == rows(twice)


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
    assert not any(Path(f"/proc/{rank}").exists() for rank in ranks)
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    succeeded(residua("resume", run, *TWO))
    assert weights(run) == weights(twice)
    assert rows(run) == rows(twice)
    line = complaint(residua("resume", moved), 2)
    assert "processes is 1, was 2: the rest would not equal an uninterrupted run" in line
    out = succeeded(residua("resume", moved, "--force-environment"))
    assert "processes is 1, was 2: the rest will not equal" in out
    moves = json.loads((moved / "environment.json").read_text())["moves"]
    assert moves[0]["moved"] == ["processes is 1, was 2"]


def test_a_killed_launcher_leaves_no_process(photos: Path, made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", made, "-o", run, *TWO)
    ranks = begun(run, process)
    process.kill()
    process.communicate()
    limit = time.monotonic() + 30
    while any(Path(f"/proc/{rank}").exists() for rank in ranks):
        assert time.monotonic() < limit
        time.sleep(0.1)
    saved = newest(run / "checkpoints")
    assert saved is not None
    assert step_of(saved.path) >= 3


def test_an_error_of_the_user_is_one_line_and_starts_nothing_anew(photos: Path, tmp_path: Path) -> None:
    words = ("train", photos, "-m", "cifar_resnet_20", "-o", tmp_path / "run", *TWO)
    assert "did you mean cifar_resnet20" in complaint(residua(*words), 2)
    assert not (tmp_path / "run").exists()


def test_two_processes_judge_as_one_and_print_one_document(twice: Run) -> None:
    alone = json.loads(succeeded(residua("evaluate", twice.path, "--json")))
    assert json.loads(succeeded(residua("evaluate", twice.path, "--json", *TWO))) == alone


def test_a_second_launcher_is_told_who_trains(photos: Path, tmp_path: Path) -> None:
    long = recipe("", arch=arch(), budget=Budget(epochs=100_000, batch=6, save_seconds=0.1))
    made, run = file_of(long, tmp_path / "recipe.json"), tmp_path / "run"
    first = start("train", photos, "--recipe", made, "-o", run, *TWO)
    wait_for(run, "checkpoints/state-*.safetensors", first)
    leader = []
    try:
        leader = children_of(first.pid)
        for rank in leader:
            os.kill(rank, signal.SIGSTOP)  # it holds the run no less, and leaves the cores to the others
        line = complaint(residua("resume", run, *TWO), 3)
        assert any(f"{run} is being written by process {rank} on" in line for rank in leader)
        second = torchrun("resume", run, restarts=0)
        _, error = second.communicate(timeout=LIMIT)
        assert second.returncode == 1
        assert error.count(f"residua: {run} is being written by process") == 1
        assert first.poll() is None
    finally:
        for process in (first.pid, *leader):
            os.kill(process, signal.SIGKILL)
        first.communicate()
