"""A full disk, a closed folder and numbers that are none: one line, and what was good stays good."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import residua as python
from command import complaint, residua, start, wait_for
from residua.cli.failures import CODES
from residua.measure.evaluate import NotFinite
from residua.tasks.classify.task import Classify
from residua.training import checkpoint
from residua.training.run import Run
from small import after, rows, weights


@pytest.mark.parametrize(("share", "file"), [(0.25, "best.safetensors"), (0.75, "state-0000000")])
def test_a_full_disk_costs_no_state_and_training_goes_on_afterwards(
    share: float, file: str, trained: Callable[..., Run], clean: Run, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", after(20))
    before = checkpoint.states(run.checkpoints)
    room = int(share * before[0].stat().st_size)
    line = complaint(residua("resume", run.path, largest_file=room), 7)
    assert re.search(r"File too large for the [\d,]+ bytes of \S+ \(errno 27\)", line)
    assert file in line
    assert checkpoint.states(run.checkpoints) == before
    assert checkpoint.newest(run.checkpoints) is not None
    assert not list(run.path.rglob("*.tmp"))
    python.resume(run.path)
    assert weights(run) == weights(clean)
    assert rows(run) == rows(clean)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(trained: Callable[..., Run], tmp_path: Path) -> None:
    run = trained(tmp_path / "run", after(20))
    before = checkpoint.states(run.checkpoints)
    run.checkpoints.chmod(0o500)
    try:
        line = complaint(residua("resume", run.path), 7)
    finally:
        run.checkpoints.chmod(0o700)
    assert "Permission denied" in line
    assert str(run.checkpoints) in line
    assert checkpoint.states(run.checkpoints) == before


def test_a_folder_that_vanishes_while_a_run_goes_on_is_named(
    photos: Path, made: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", photos, "--recipe", made, "-o", run)
    wait_for(run, "checkpoints/state-*", process)
    shutil.rmtree(run / "checkpoints")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 7
    assert re.fullmatch(
        rf"residua: No such file or directory {run}/checkpoints/[\w.-]+.safetensors \(errno 2\)\n", error
    )


def test_a_batch_that_does_not_fit_is_told_with_one_that_may(
    trained: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(Classify, "objective", lambda *_: full)
    with pytest.raises(MemoryError, match=r"a batch of 6 images .* memory of cpu: .*--set budget.batch=3"):
        trained(tmp_path / "run")
    assert CODES["MemoryError"] == 7


def test_a_run_below_a_file_is_refused(photos: Path, made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    line = complaint(residua("train", photos, "--recipe", made, "-o", tmp_path / "file" / "run"), 7)
    assert "Not a directory" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_a_rate_beyond_reason_ends_in_one_line_and_saves_nothing_that_is_no_number(
    photos: Path, made: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("train", photos, "--recipe", made, "--set", "optim.rate=1e20", "-o", run)
    line = complaint(residua(*words), 6)
    assert "try a lower --set optim.rate" in line
    assert "step" in line
    for path in checkpoint.states(run / "checkpoints"):
        found = checkpoint.network_of(path).state_dict().values()
        assert all(torch.isfinite(value).all() for value in found)
    assert rows(run) == []


def test_a_network_of_nans_is_not_judged(trained: Callable[..., Run], photos: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", after(3))
    state = checkpoint.newest(run.checkpoints)
    assert state is not None
    tensors = dict(state.tensors)
    tensors["model.head.linear1.bias"] = torch.full((3,), float("nan"))
    checkpoint.publish(state.path, tensors, state.facts)
    with pytest.raises(NotFinite, match="NaN"):
        python.evaluate(run)
    assert CODES["NotFinite"] == 5
