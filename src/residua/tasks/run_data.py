"""The examples of a run: opened once, unreadable ones left out once, and the same again at every resume."""

import csv
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from residua.data.dataset import Dataset
from residua.data.listing import SourceListing
from residua.data.sources.table import Holds, holds, parse_source
from residua.errors import ConfigError, DataError
from residua.files import write_file
from residua.runs.run import Run
from residua.spec.recipe import Data
from residua.tasks.data_task import DataTask, Unreadable

QUARANTINE = "quarantine.csv"
"""In a run with `data.bad=quarantine`: the examples that were left out, for the user to repair or remove."""

DatasetT = TypeVar("DatasetT", bound=Dataset)


def open_readable(
    task: DataTask[DatasetT], data: Data, listing: SourceListing | None = None, *, workers: int = 0
) -> tuple[DatasetT, Unreadable]:
    """Open the examples of `data` that can be read.

    Args:
        task: The task of the source.
        data: The source and its settings; unless `data.bad` is `error`, every example is decoded once, now.
        listing: The examples themselves, where they are Python objects.
        workers: Processes that decode.

    Returns:
        The dataset, and the examples that were left out.

    Raises:
        DataError: The examples cannot be used, or with `bad="error"` one of them cannot be read.
    """
    unreadable = {} if data.bad == "error" else task.unreadable(data, workers=workers, listing=listing)
    return task.open(data, without=unreadable, listing=listing), unreadable


def identity(dataset: Dataset, unreadable: Unreadable) -> dict[str, Any]:
    """What must not change during a run: classes, counts, and a digest of labels and names or pixels.

    The digest depends on the split, so that it proves that the same examples are held out.
    """
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.test):
        digest.update(split.identity())
    return {
        "classes": list(dataset.train.classes),
        "train": len(dataset.train),
        "test": len(dataset.test),
        "digest": digest.hexdigest(),
        "unreadable": dict(sorted(unreadable.items())),
    }


def reopen(
    run: Run, task: DataTask[DatasetT], listing: SourceListing | None = None, *, source: str = ""
) -> DatasetT:
    """Open the examples of a run again, without those that it left out when it began.

    Args:
        run: The run.
        task: The task of its source.
        listing: The examples themselves, where they are Python objects.
        source: Where the examples are now, if they were moved.

    Returns:
        The dataset, as `task` opens it.

    Raises:
        DataError: The examples, or their split, are no longer those of the run.
    """
    data = run.recipe.data
    data = replace(data, source=source or data.source)
    try:
        before = json.loads((file := run.path / "data.json").read_text("utf-8"))
    except ValueError:
        problem = f"{file} is damaged, so it cannot be checked that the examples are the same"
        raise DataError(f"{problem}: put it back, or train again") from None
    unreadable = before.setdefault("unreadable", {})
    dataset = task.open(data, without=unreadable, listing=listing)
    now = identity(dataset, unreadable)
    if now != before:
        odd = sorted(set(now["classes"]) ^ set(before["classes"]))
        parts = ", ".join([name for name in now if now[name] != before.get(name)] + odd[:5])
        raise DataError(
            f"{data.source} changed since {run.path} began ({parts}): put it back, or train again"
        )
    return dataset


def run_dataset(
    path: Path, data: str | None, task: DataTask[DatasetT], *, inputs: Holds, usage: str
) -> DatasetT | None:
    """The dataset of the run at `path`, where an evaluation on `data` means the run's own examples.

    Args:
        path: A run, a saved folder or a checkpoint file.
        data: The source to evaluate on; None means the run's own.
        task: The data of the network's task.
        inputs: What the network reads.
        usage: The option with which such data are given, for messages.

    Returns:
        The dataset; None where `data` are other examples.

    Raises:
        ConfigError: `data` is missing for a file that is no run, or belongs to another task.
        DataError: The run's examples changed.
    """
    if data is not None and holds(data) != inputs:
        does = {"images": "reads images", "clips": "reads clips", "boxes": "finds boxes"}[inputs]
        raise ConfigError(f"{path} {does}: give {usage}")
    recipe = Run(path).recipe if (path / "recipe.json").is_file() else None
    if data is None and recipe is None:
        raise ConfigError(f"{path} is not a run, so it has no examples of its own: give {usage}")
    is_own = recipe is not None and (data is None or str(parse_source(data).absolute()) == recipe.data.source)
    return reopen(Run(path), task) if is_own else None


def list_quarantined(run: Run, unreadable: Unreadable) -> None:
    """Write the examples that `run` left out as a table; no file is moved or deleted."""
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("path", "reason"), *sorted(unreadable.items())])
    write_file(run.path / QUARANTINE, table.getvalue())
