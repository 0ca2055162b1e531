"""The examples of a run: opened once, unreadable ones left out once, and the same again at every resume."""

import base64
import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from residua.data.dataset import Dataset
from residua.data.decode import printable_path
from residua.data.fingerprints import BYTES, Fingerprints
from residua.data.listing import SourceListing
from residua.data.open import check_is_local
from residua.data.sources.table import Holds, holds, parse_source
from residua.data.table_cells import csv_text
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
    """What must not change during a run: classes, counts, a digest of labels and names or pixels, and files.

    The digest depends on the split, so that it proves that the same examples are held out. The fingerprints
    of all files, in base64, show which of them was replaced.
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
        "fingerprints": base64.b64encode(b"".join(mark for _, mark in _fingerprints(dataset))).decode(),
    }


def reopen(
    run: Run, task: DataTask[DatasetT], listing: SourceListing | None = None, *, source: str = ""
) -> DatasetT:
    """Open the examples of a run again, without those that it left out when it began.

    Args:
        run: The run.
        task: The task of its source.
        listing: The examples themselves, where they are Python objects.
        source: Where the examples are, if the user says so. The network is used for no others.

    Returns:
        The dataset, as `task` opens it.

    Raises:
        ConfigError: The run names examples on another machine, and `source` is not given.
        DataError: The examples, their split or their files are no longer those of the run.
        CheckpointError: As `Run.identity`.
    """
    data = run.recipe.data
    if not source:
        check_is_local(data.source, named_by=run.path)
    data = replace(data, source=source or data.source)
    before = run.identity
    unreadable = before.setdefault("unreadable", {})
    dataset = task.open(data, without=unreadable, listing=listing)
    now = identity(dataset, unreadable)
    before.setdefault("fingerprints", now["fingerprints"])  # earlier versions recorded none
    if now != before:
        parts = _differences(before, now, dataset)
        raise DataError(
            f"{data.source} changed since {run.path} began ({parts}): put it back, or train again"
        )
    return dataset


def _fingerprints(dataset: Dataset) -> Fingerprints:
    yield from dataset.train.fingerprints()
    yield from dataset.test.fingerprints()


def _differences(before: dict[str, Any], now: dict[str, Any], dataset: Dataset) -> str:
    """What of the recorded identity `before` changed; where only files did, their number and the first."""
    names = [name for name in now if now[name] != before.get(name)]
    if names != ["fingerprints"]:
        odd = sorted(set(now["classes"]) ^ set(before["classes"]))
        return ", ".join([name for name in names if name != "fingerprints"] + odd[:5])
    then = b""
    with suppress(TypeError, ValueError):  # the record itself may be damaged
        then = base64.b64decode(before["fingerprints"])
    files = enumerate(_fingerprints(dataset))
    replaced = [name for i, (name, mark) in files if then[i * BYTES : (i + 1) * BYTES] != mark]
    return f"{len(replaced)} of its files, e.g. {printable_path(replaced[0])}" if replaced else names[0]


def run_dataset(
    path: Path, data: str | SourceListing | None, task: DataTask[DatasetT], *, inputs: Holds, usage: str
) -> DatasetT | None:
    """The dataset of the run at `path`, where an evaluation on `data` means the run's own examples.

    Args:
        path: A run, a saved folder or a checkpoint file.
        data: The examples to evaluate on; None means the run's own.
        task: The data of the network's task.
        inputs: What the network reads.
        usage: The option with which such data are given, for messages.

    Returns:
        The dataset; None where `data` are other examples.

    Raises:
        ConfigError: `data` is missing for a file that is no run or for a run on another machine's examples,
            or belongs to another task.
        DataError: The run's examples changed.
    """
    if isinstance(data, SourceListing):
        data = data.source
    if data is not None and holds(data) != inputs:
        does = {"images": "reads images", "clips": "reads clips", "boxes": "finds boxes"}[inputs]
        raise ConfigError(f"{path} {does}: give {usage}")
    recipe = Run(path).recipe if (path / "recipe.json").is_file() else None
    if data is None and recipe is None:
        raise ConfigError(f"{path} is not a run, so it has no examples of its own: give {usage}")
    source = "" if data is None else str(parse_source(data).absolute())
    is_own = recipe is not None and source in ("", recipe.data.source)
    return reopen(Run(path), task, source=source) if is_own else None


def list_quarantined(run: Run, unreadable: Unreadable) -> None:
    """Write the examples that `run` left out as a table; no file is moved or deleted."""
    write_file(run.path / QUARANTINE, csv_text([("path", "reason"), *sorted(unreadable.items())]))
