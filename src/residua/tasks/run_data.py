"""The examples of a run: opened once, what cannot be read left out once, the same again at every resume."""

import csv
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from residua import tasks
from residua.data.listing import SourceListing
from residua.data.sources.table import absolute
from residua.errors import DataError
from residua.runs.run import Run, write
from residua.spec.recipe import Data
from residua.tasks.kind import Kind, Unreadable
from residua.training.task import Dataset

QUARANTINE = "quarantine.csv"
"""In a run with `data.bad=quarantine`: what was left out, for people, to repair or remove by hand."""


def open_readable(kind: Kind, data: Data, given: SourceListing | None = None) -> tuple[Dataset, Unreadable]:
    """The examples of `data`, or those `given`, and those left out.

    With `bad="error"` DataError names the first that is bad. Otherwise every example is decoded once, now, so
    that no process meets one later by luck.
    """
    bad = {} if data.bad == "error" else kind.unreadable(data, given)
    return kind.open(data, without=bad, given=given), bad


def identity(sets: Dataset, unreadable: Unreadable) -> dict[str, Any]:
    """What must not change during a run: classes, counts, a digest of labels and names or pixels.

    The digest covers which images are held out: it is how the split travels in the run.
    """
    digest = hashlib.sha256()
    for split in (sets.train, sets.test):
        digest.update(split.identity())
    return {
        "classes": list(sets.train.classes),
        "train": len(sets.train),
        "test": len(sets.test),
        "digest": digest.hexdigest(),
        "unreadable": dict(sorted(unreadable.items())),
    }


def reopen(run: Run, given: SourceListing | None = None, *, source: str = "") -> Any:
    """The examples of `run`, as its task opens them, but for those it left out when it began.

    `source` is where they are now, if they were moved. DataError when they are no longer the same in the same
    split.
    """
    data = run.recipe.data
    data = replace(data, source=source or data.source)
    try:
        then = json.loads((file := run.path / "data.json").read_text("utf-8"))
    except ValueError:
        lost = f"{file} is damaged, so it cannot be told whether they are the same examples"
        raise DataError(f"{lost}: put it back, or train anew") from None
    unreadable = then.setdefault("unreadable", {})
    sets = tasks.of(data.source).open(data, without=unreadable, given=given)
    now = identity(sets, unreadable)
    if now != then:
        odd = sorted(set(now["classes"]) ^ set(then["classes"]))
        parts = ", ".join([name for name in now if now[name] != then.get(name)] + odd[:5])
        raise DataError(f"{data.source} changed since {run.path} began ({parts}): put it back, or train anew")
    return sets


def own(kind: Kind, path: Path, data: str | None) -> Any:
    """The examples of the run at `path`, of `kind`, where `data` is their source or None.

    None where others are meant. ValueError where nobody says which, or for `data` of another kind.
    """
    if data is not None and type(tasks.of(data)) is not type(kind):
        raise ValueError(f"{path} {kind.does}: give {kind.wants}")
    recipe = Run(path).recipe if (path / "recipe.json").is_file() else None
    if data is None and recipe is None:
        raise ValueError(f"{path} does not say what to judge by: give {kind.wants}")
    is_own = recipe is not None and (data is None or absolute(data) == recipe.data.source)
    return reopen(Run(path)) if is_own else None


def list_quarantined(run: Run, unreadable: Unreadable) -> None:
    """Write what `run` left out as a table. Nothing is moved or deleted."""
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("path", "reason"), *sorted(unreadable.items())])
    write(run.path / QUARANTINE, table.getvalue())
