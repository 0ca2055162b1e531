"""Killed at any moment, a run loses nothing but time (reliability P1, F1, F2).

`make battery` kills by the hundred.
"""

import os
import random
import re
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_injection import start_with_fault

import residua as python
from command import residua, start, succeeded, wait_for
from few import few_of
from ranks import children_of
from residua.files import remove_temporary_files
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run
from residua.jobs.train_request import TrainRequest
from residua.nn.network import build
from residua.runs import checkpoint
from residua.runs.checkpoint import Progress
from residua.runs.run import Run, create, open_run
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data
from residua.training import optim
from residua.weights.store import read
from small import arch, colours, file_of, fresh, go, recipe, rows, weights


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


@pytest.mark.parametrize("seed", few_of(range(3), (0,)))
def test_every_kill_leaves_good_states_and_the_last_child_the_clean_weights(
    seed: int, tmp_path: Path
) -> None:
    data = colours()
    run_recipe = recipe(budget=Budget(epochs=4, batch_size=6, save_seconds=0.0))
    began = time.monotonic()
    whole = fresh(tmp_path / "whole", run_recipe, data)
    lasted = time.monotonic() - began
    run, chance, reached = create(tmp_path / "run", run_recipe, identity={}), random.Random(seed), 0
    for _ in range(6):
        child = forked(lambda: go(run, data))
        time.sleep(chance.uniform(0, 0.7 * lasted))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for path in checkpoint.list_checkpoints(run.checkpoints):
            read(path)
        state = checkpoint.load_newest(run.checkpoints)
        step = state.facts["progress"]["step"] if state else 0
        assert step >= reached
        reached = step
    assert os.waitpid(forked(lambda: run.finished or go(run, data)), 0)[1] == 0
    assert weights(run) == weights(whole)
    assert rows(run) == rows(whole)
    assert run.finished
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=pytest.mark.battery)])
def test_no_state_that_was_reported_is_lost_to_a_kill(kills: int, tmp_path: Path) -> None:
    network = build(arch())
    optimizer = optim.make_optimizer(network, recipe().optim)
    (messages, said), chance, reached = os.pipe(), random.Random(0), 0

    def save() -> None:
        for step in range(reached + 1, 10**6):
            checkpoint.save(tmp_path, network, optimizer, Progress(step))
            os.write(said, step.to_bytes(4, "little"))

    for _ in range(kills):
        child = forked(save)
        saved = [int.from_bytes(os.read(messages, 4), "little")]
        time.sleep(chance.uniform(0, 0.02))  # saving takes some milliseconds
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while select.select([messages], [], [], 0)[0]:
            saved.append(int.from_bytes(os.read(messages, 4), "little"))
        remove_temporary_files(tmp_path)
        state = checkpoint.load_newest(tmp_path)
        assert state
        assert state.damaged == ()
        reached = checkpoint.step_in_name(state.path)
        assert reached >= saved[-1]
        assert len(list(tmp_path.iterdir())) <= checkpoint.KEEP + 1  # killed before it dropped the oldest


@pytest.mark.battery
def test_a_killed_worker_ends_the_run_in_a_line_and_no_bit_is_lost(photos: Path, tmp_path: Path) -> None:
    run_recipe = recipe(
        str(photos),
        augment=Augment("resized_crop"),
        data=Data(str(photos), num_workers=2, resident_bytes=0),
        budget=Budget(epochs=60, batch_size=6, save_seconds=0.1),
    )
    run, file = tmp_path / "run", file_of(run_recipe, tmp_path / "recipe.json")
    process = start("train", photos, "--recipe", file, "-o", run)
    wait_for(run, "checkpoints/state-*", process)
    workers = children_of(process.pid)
    os.kill(workers[0], signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 7, error
    said = r"residua: .*worker .*Killed.* step \d+: .*`residua resume`.*\n"
    assert re.fullmatch(said, error)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    text = (run / "recipe.json").read_text()
    (run / "recipe.json").write_text(text.replace('"num_workers": 2', '"num_workers": 0'))
    python.resume(run)
    prepared = prepare(TrainRequest(str(photos), recipe=str(file), changes=(("data.num_workers", "0"),)))
    whole = create_run(prepared, tmp_path / "whole")
    fit_run(whole, prepared)
    assert (weights(run), rows(run)) == (weights(whole), rows(whole))


CHANCE = "by chance"
CHAINS = {
    "now and then": (CHANCE, CHANCE, "kill before judging 2"),
    "judging": ("kill before judging 3", CHANCE, "kill after judging 2", CHANCE, CHANCE),
    "the roll of an epoch": (
        "kill before best 1",
        "kill after best 1",
        "kill before row 1",
        "kill after row 1",
        CHANCE,
    ),
    "prune": ("kill before prune 1", "kill after prune 3", CHANCE, "kill before prune 4", CHANCE),
    "a state's way to the disk": (
        "kill before sync 3",
        "kill after sync 4",
        "kill before rename 5",
        "kill after rename 2",
        CHANCE,
    ),
    "the end": (CHANCE, CHANCE, CHANCE, "kill before end 1", "kill after end 1"),
}
"""Where each of the processes that follow each other is killed."""


@pytest.mark.battery
@pytest.mark.parametrize("chain", CHAINS)
def test_a_command_killed_again_and_again_ends_as_one_that_was_not(
    chain: str, photos: Path, run_recipe: Path, clean: Run, tmp_path: Path
) -> None:
    """What is aimed dies at that very call; `CHANCE` is up to 0.1 s, some 25 steps, after a new state."""
    run, chance = tmp_path / "run", random.Random(chain)
    words: tuple[object, ...] = ("train", photos, "--recipe", run_recipe, "-o", run)
    for place, aim in enumerate(CHAINS[chain]):
        if aim == CHANCE:
            process = start(*words)
            before = checkpoint.list_checkpoints(run / "checkpoints")[:1]
            newer = f"checkpoints/state-{int(before[0].stem[-9:]) + 1 if before else 0:09d}"
            wait_for(run, f"{newer[:-1]}*", process)
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
        else:
            process = start_with_fault(tmp_path / f"mark-{place}", aim, *words, begin=start)
        _, error = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, error
        words = ("resume", run)
    out = succeeded(residua("resume", run))
    assert "next: " in out
    assert weights(run) == weights(clean)
    assert rows(run) == rows(clean)
    assert open_run(run).finished
    assert (run / "report.html").exists()
    assert not list(tmp_path.rglob("*.tmp"))
