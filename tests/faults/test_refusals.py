"""A full disk, a closed folder and numbers that are none: one line, and what was good stays good."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import disks
import pytest
import torch

import residua as python
from command import complaint, residua, start, wait_for
from few import few_of
from ranks import apart
from residua.cli.failures import CODES
from residua.errors import NonFiniteError
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run
from residua.jobs.train_request import TrainRequest
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.spec.recipe import Budget
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.weights.store import read
from small import after, arch, file_of, recipe, rows, weights


@pytest.mark.parametrize(
    ("share", "file"),
    [
        (0.25, "best.safetensors"),
        pytest.param(0.75, "state-0000000", marks=pytest.mark.battery),
    ],
)
def test_a_full_disk_costs_no_state_and_training_goes_on_afterwards(
    share: float, file: str, trained: Callable[..., Run], clean: Run, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", after(10))
    before = checkpoint.list_checkpoints(run.checkpoints)
    room = int(share * before[0].stat().st_size)
    line = complaint(residua("resume", run.path, largest_file=room), 7)
    assert re.search(r"too large .*[\d,]+ bytes of \S+ \(errno 27\)", line)
    assert file in line
    assert checkpoint.list_checkpoints(run.checkpoints) == before
    assert checkpoint.load_newest(run.checkpoints) is not None
    assert not list(run.path.rglob("*.tmp"))
    python.resume(run.path)
    assert weights(run) == weights(clean)
    assert rows(run) == rows(clean)


@pytest.mark.parametrize("step", few_of([2, 1], [2]))
@disks.needed
@apart
def test_a_run_goes_on_where_a_disk_of_any_size_ended_it(step: int, photos: Path, tmp_path: Path) -> None:
    disks.unshare()
    run_recipe = recipe("", arch=arch(), budget=Budget(epochs=2, batch_size=6, save_seconds=0.0))
    train_request = TrainRequest(str(photos), recipe=str(file_of(run_recipe, tmp_path / "recipe.json")))

    def train(path: Path) -> Run:
        prepared = prepare(train_request)
        run = create_run(prepared, path)
        fit_run(run, prepared)
        return run

    whole = train(tmp_path / "whole")
    held = sum(file.stat().st_size for file in whole.path.rglob("*"))
    full: list[tuple[str, int | None]] = []
    for tenth in range(step, 13, step):
        disk = tmp_path / str(tenth)
        disk.mkdir()
        disks.mount(disk, held * tenth // 10)
        run = Run(disk / "run")
        try:
            train(run.path)
        except OSError as error:
            full.append((Path(error.filename).name, error.errno))
        assert not list(disk.rglob("*.tmp"))
        for state in checkpoint.list_checkpoints(run.checkpoints):
            read(state)
        disks.mount(disk, 2 * held, again=True)
        if (run.path / "recipe.json").exists():
            python.resume(run.path)
        else:
            train(run.path)
        assert (weights(run), rows(run)) == (weights(whole), rows(whole))
        assert (run.path / "report.html").exists()
    assert len(set(full)) > 3
    assert {number for _, number in full} == {errno.ENOSPC}
    assert run.finished


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(trained: Callable[..., Run], tmp_path: Path) -> None:
    run = trained(tmp_path / "run", after(20))
    before = checkpoint.list_checkpoints(run.checkpoints)
    run.checkpoints.chmod(0o500)
    try:
        line = complaint(residua("resume", run.path), 7)
    finally:
        run.checkpoints.chmod(0o700)
    assert "Permission denied" in line
    assert str(run.checkpoints) in line
    assert checkpoint.list_checkpoints(run.checkpoints) == before


def test_a_folder_that_vanishes_while_a_run_goes_on_is_named(
    photos: Path, run_recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", run_recipe, "-o", run)
    wait_for(run, "checkpoints/state-*", process)
    (run / "checkpoints").rename(tmp_path / "elsewhere")  # at once: a file may be written this moment
    _, error = process.communicate(timeout=60)
    assert process.returncode == 7
    assert re.fullmatch(rf"residua: .*{run}/checkpoints/[\w.-]+.safetensors .*\(errno 2\)\n", error)


def test_a_batch_that_does_not_fit_is_told_with_one_that_may(
    trained: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(ClassifyLearn, "loss_fn", lambda *_: full)
    with pytest.raises(MemoryError, match=r"batch of 6 images .*cpu.*budget.batch_size=3"):
        trained(tmp_path / "run")
    assert CODES["MemoryError"] == 7


def test_a_run_below_a_file_is_refused(photos: Path, run_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    line = complaint(residua("train", photos, "--recipe", run_recipe, "-o", tmp_path / "file" / "run"), 7)
    assert "Not a directory" in line
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("loop", "symbolic links"),
        ("loop/run", "symbolic links"),
        (300 * "n", "name too long"),
        ("/".join(30 * [200 * "n"]), "name too long"),
    ],
    ids=["loop", "below a loop", "long name", "long path"],
)
def test_a_run_where_no_folder_can_be_is_refused(place: str, said: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    run = tmp_path / place
    for words in (("train", photos, "-m", "cifar_resnet20", "-o", run), ("resume", run)):
        assert said in complaint(residua(*words), 7)
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_a_file_is_no_folder_for_a_run(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    line = complaint(residua("train", photos, "-m", "cifar_resnet20", "-o", tmp_path / "file"), 2)
    for word in ("no folder", "-o"):
        assert word in line
    assert (tmp_path / "file").read_text() == "mine"


def test_a_rate_beyond_reason_ends_in_one_line_and_saves_nothing_that_is_no_number(
    photos: Path, run_recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("train", photos, "--recipe", run_recipe, "--set", "optim.lr=1e20", "-o", run)
    line = complaint(residua(*words), 6)
    assert "--set optim.lr" in line
    assert "step" in line
    for path in checkpoint.list_checkpoints(run / "checkpoints"):
        result = checkpoint.load_weights(path, "auto")[0].state_dict().values()
        assert all(torch.isfinite(value).all() for value in result)
    assert rows(run) == []


def test_a_network_of_nans_is_not_judged(trained: Callable[..., Run], photos: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", after(3))
    state = checkpoint.load_newest(run.checkpoints)
    assert state is not None
    tensors = dict(state.tensors)
    tensors["model.head.linear1.bias"] = torch.full((3,), float("nan"))
    checkpoint.publish(state.path, tensors, state.facts)
    with pytest.raises(NonFiniteError, match="NaN"):
        python.evaluate(run)
    assert CODES["NonFiniteError"] == 5
