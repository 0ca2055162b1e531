"""Runs as training writes them, with metrics of our choice."""

import shutil
from pathlib import Path

from residua.runs.run import create
from small import recipe


def metrics_row(epoch: int, error: float, **more: float) -> dict[str, float]:
    """A row of metrics as training writes it."""
    return {
        "epoch": epoch,
        "step": 4 * epoch,
        "lr": 0.05,
        "train_loss": error / 50,
        "train_error": error * 0.8,
        "test_loss": error / 40,
        "test_error": error,
        "images_per_second": 480.0,
        **more,
    }


def write_run(path: Path, *, errors: list[float], seed: int = 0, finished: bool = True) -> Path:
    """A run with one row for each error, written as training writes it."""
    identity = {"classes": ["a", "b"], "train": 24, "test": 200, "digest": "0" * 64}
    run = create(path, recipe(seed=seed), identity=identity)
    for epoch, error in enumerate(errors, 1):
        run.append_metrics(metrics_row(epoch, error))
    if finished:
        run.mark_finished(metrics_row(len(errors), errors[-1]))
    return path


def folder_of_runs(folder: Path, trained: Path) -> Path:
    """A trained run, two seeds of a recipe, a stopped run, and one whose name is markup."""
    folder.mkdir()
    shutil.copytree(trained, folder / "colours")
    write_run(folder / "again-1", errors=[60.0, 30.0, 12.0], seed=1)
    write_run(folder / "again-2", errors=[62.0, 33.0, 10.0], seed=2)
    write_run(folder / "group" / "stopped", errors=[70.0], finished=False)
    write_run(folder / "<img src=x onerror=alert(1)>", errors=[50.0, 40.0])
    return folder
