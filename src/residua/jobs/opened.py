"""The images of a run: opened once, what cannot be read left out once, and the same again at every resume."""

import csv
import hashlib
import io
import json
from typing import Any

from residua.data.decode import DataError
from residua.data.found import Found, settle
from residua.data.scan import scan
from residua.data.sources import Dataset, find, open_dataset
from residua.spec.recipe import Data
from residua.training import world
from residua.training.run import Run, write

QUARANTINE = "quarantine.csv"
"""In a run with `data.bad=quarantine`: what was left out, for people, to repair or remove by hand."""
MOST_WORKERS = 8
"""More processes than this wait for the disk."""

Unreadable = dict[str, str]
"""Titles of images that cannot be decoded, and why."""


def open_readable(data: Data, given: Found | None = None) -> tuple[Dataset, Unreadable]:
    """The images of `data`, or those `given`, and those left out.

    With `bad="error"` DataError names the first that is bad. Otherwise every image is decoded once, now, so
    that no process meets one later by luck.
    """
    if data.bad == "error":
        return _opened(data, given, {}), {}
    splits = (given or find(data.source)).splits
    reasons = scan(splits, workers=min(MOST_WORKERS, world.cores())).reasons
    bad: Unreadable = {}
    start = 0
    for images in splits:
        here = {place - start: why for place, why in reasons.items() if 0 <= place - start < len(images)}
        bad |= {images.title(i): why for i, why in here.items()}
        start += len(images)
    return _opened(data, given, bad), bad


def identity(dataset: Dataset, unreadable: Unreadable) -> dict[str, Any]:
    """What must not change during a run: classes, counts, a digest of labels and names or pixels.

    The digest covers which images are held out: it is how the split travels in the run.
    """
    digest = hashlib.sha256()
    for images in (dataset.train, dataset.test):
        digest.update(images.identity())
    return {
        "classes": list(dataset.train.classes),
        "train": len(dataset.train),
        "test": len(dataset.test),
        "digest": digest.hexdigest(),
        "unreadable": dict(sorted(unreadable.items())),
    }


def reopen(run: Run, given: Found | None = None) -> Dataset:
    """The images of `run`, without those it left out when it began, whatever they are today.

    DataError when they are no longer the same images in the same split.
    """
    data = run.recipe.data
    then = json.loads((run.path / "data.json").read_text("utf-8"))
    unreadable = then.setdefault("unreadable", {})
    dataset = _opened(data, given, unreadable)
    now = identity(dataset, unreadable)
    if now != then:
        odd = sorted(set(now["classes"]) ^ set(then["classes"]))
        parts = ", ".join([name for name in now if now[name] != then.get(name)] + odd[:5])
        raise DataError(f"{data.source} changed since {run.path} began ({parts}): put it back, or train anew")
    return dataset


def _opened(data: Data, given: Found | None, without: Unreadable) -> Dataset:
    if given is not None:
        return settle(given, holdout=data.holdout, without=without)
    return open_dataset(data.source, holdout=data.holdout, without=without)


def list_quarantined(run: Run, unreadable: Unreadable) -> None:
    """Write what `run` left out as a table. Nothing is moved or deleted."""
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("path", "reason"), *sorted(unreadable.items())])
    write(run.path / QUARANTINE, table.getvalue())
