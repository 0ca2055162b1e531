"""Commands in two processes: asked to stop, judging, and beside others (P6, P7, F13)."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from command import LIMIT, TWO, begun, complaint, ended, python, residua, send, start, succeeded, torchrun
from ranks import children_of, free_port, lives, together
from residua.jobs.train import fit_run, resume, start_or_join
from residua.jobs.train_request import TrainRequest
from residua.runs.checkpoint import load_newest, step_in_name
from residua.runs.run import Run, open_run
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data
from residua.training.processes.world import World
from small import arch, file_of, recipe, rows, weights

pytestmark = pytest.mark.timeout(600)


@pytest.mark.battery
def test_two_processes_asked_to_stop_save_once_and_go_on_as_two_unless_forced(
    photos: Path, often: Path, twice: Run, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", often, "-o", run, *TWO)
    ranks = begun(run, process)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 75, out + error
    assert out.count("stopped after step") == 1
    assert out.count(f"next: residua resume {run}") == 1
    assert not any(map(lives, ranks))
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    succeeded(residua("resume", run, *TWO))
    assert weights(run) == weights(twice)
    assert rows(run) == rows(twice)
    line = complaint(residua("resume", moved), 2)
    for words in ("processes is 1, was 2", "not be bit-identical"):
        assert words in line
    out = succeeded(residua("resume", moved, "--force-environment"))
    for words in ("processes is 1, was 2", "not be bit-identical"):
        assert words in out
    moves = json.loads((moved / "environment.json").read_text())["moves"]
    assert moves[0]["moved"] == ["processes is 1, was 2"]


@pytest.mark.battery  # P6: within its grace of 20 s
def test_torchrun_asked_to_stop_while_one_rank_waits_for_images_has_all_save_that_step(
    photos: Path, tmp_path: Path
) -> None:
    slow = recipe(
        "",
        arch=arch(),
        augment=Augment("resized_crop"),
        data=Data("", num_workers=1, resident_bytes=0),
        budget=Budget(epochs=6, batch_size=6, save_seconds=1000.0),
    )
    run_recipe, run = file_of(slow, tmp_path / "recipe.json"), tmp_path / "run"
    process = torchrun("train", photos, "--recipe", run_recipe, "-o", run, restarts=1)
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
    saved = load_newest(run / "checkpoints")
    assert saved
    assert step_in_name(saved.path) == int(step)
    for file in (run / "recipe.json", run_recipe):  # the rest is quicker without workers, and the same
        file.write_text(file.read_text().replace('"num_workers": 1', '"num_workers": 0'))
    whole = tmp_path / "whole"

    def train(world: World) -> None:
        resume(run, world=world)
        fit_run(
            *start_or_join(TrainRequest(str(photos), recipe=str(run_recipe)), whole, world=world), world=world
        )

    together(2, train)
    assert (weights(open_run(run)), rows(open_run(run))) == (weights(open_run(whole)), rows(open_run(whole)))


def test_an_error_of_the_user_is_one_line_and_starts_nothing_anew(photos: Path, tmp_path: Path) -> None:
    words = ("train", photos, "-m", "cifar_resnet_20", "-o", tmp_path / "run", *TWO)
    assert "did you mean cifar_resnet20" in complaint(residua(*words), 2)
    assert not (tmp_path / "run").exists()


LAUNCHED = """
import sys
from residua.cli import main
from residua.training.processes import launch
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


@pytest.mark.battery
def test_a_second_launcher_is_told_who_trains_and_a_killed_one_leaves_no_process(
    photos: Path, tmp_path: Path
) -> None:
    long = recipe("", arch=arch(), budget=Budget(epochs=100_000, batch_size=6, save_seconds=0.0))
    run_recipe, run = file_of(long, tmp_path / "recipe.json"), tmp_path / "run"
    first = start("train", photos, "--recipe", run_recipe, "-o", run, *TWO)
    ranks = begun(run, first)
    try:
        send(ranks, signal.SIGSTOP)  # they hold the run no less, and leave the cores to the others
        line = complaint(residua("resume", run, *TWO), 3)
        assert str(run) in line
        assert any(f"process {rank} on" in line for rank in ranks)
        second = torchrun("resume", run, restarts=0)
        _, error = second.communicate(timeout=LIMIT)
        assert second.returncode == 1
        assert error.count(f"residua: {run} is being written") == 1
        assert first.returncode is None
        send(ranks, signal.SIGCONT)
        first.kill()
        limit = time.monotonic() + 30
        while any(map(lives, ranks)):
            assert time.monotonic() < limit
            time.sleep(0.1)
    finally:
        send([first.pid, *ranks], signal.SIGKILL)
        first.communicate()
    saved = load_newest(run / "checkpoints")
    assert saved is not None
    assert step_in_name(saved.path) >= 3
