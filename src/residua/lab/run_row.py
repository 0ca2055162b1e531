"""RunRow: what the table shows of a run, from its files, which may be damaged or written by somebody else.

The recipe is read without checking every field, because a table of 1,000 runs must be there in a second; each
value that is taken is checked on its own. Whoever trains or opens the run checks all of it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from residua.errors import ResiduaError
from residua.files import read_file
from residua.lab.columns import METRICS, Numbers, parse_rows
from residua.lab.lock_holders import LockHolders
from residua.measure.score import wilson
from residua.runs.run import DATA, DIVERGED, RECIPE
from residua.spec.record import parse_json

TAIL_BYTES = 8 << 10
"""Bytes at the end of the metrics that are read for the latest row."""
SPARK_POINTS = 48
"""Points of the small curve in the table."""
SCORES = (("ema_test_error", True), ("test_error", True), ("ema_test_map50", False), ("test_map50", False))
"""Metrics that a run is judged by, the first that it has, and whether a lower one is better."""
_FILES = (RECIPE, DATA, METRICS, "finished.json", DIVERGED)


@dataclass(frozen=True, slots=True)
class Best:
    """The best score of a run so far."""

    value: float
    """In percent."""
    step: int
    """When it was measured."""
    low: float | None = None
    """Lower end of Wilson's 95 % interval; None where the score is no share of examples."""
    high: float | None = None
    """Its upper end."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in the table."""

    name: str
    """Relative path."""
    state: str = "stopped"
    """`running`, `stopped`, `diverged`, `finished` or `damaged`."""
    problem: str = ""
    """What is damaged."""
    network: str = ""
    """Name of the network."""
    recipe: str = ""
    """Name of the recipe."""
    group: str = ""
    """Digest of the recipe without its seed: equal for runs that differ by seed alone."""
    data: str = ""
    """Last part of the source."""
    seed: int = 0
    """Its seed."""
    batch_size: int = 0
    """Images of a step."""
    epochs: int = 0
    """Epochs planned; 0 when unknown."""
    epoch: float = 0.0
    """Epochs finished."""
    step: int = 0
    """Steps of the latest row."""
    metric: str = ""
    """Metric that the score is of."""
    is_lower_better: bool = True
    """Whether a lower score is the better one."""
    latest: float | None = None
    """The score in the latest row."""
    best: Best | None = None
    """The best score; None before the metrics were read."""
    spark: tuple[float, ...] = ()
    """The score over time, few points."""
    num_rows: int | None = None
    """Rows of metrics; None before they were read."""
    num_test: int = 0
    """Examples that the score was measured on; 0 when unknown."""
    seconds_left: float | None = None
    """Of a running run, predicted from the speed of its latest epoch."""
    updated: float = 0.0
    """When its metrics, or its recipe, were written, in seconds since 1970."""
    metrics_bytes: int = 0
    """Size of the metrics."""


FileVersions = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of each file that a row is made of."""


def file_versions(run: Path) -> FileVersions:
    """What tells whether a file of a run has changed."""
    versions: list[tuple[int, int, int] | None] = []
    for name in _FILES:
        try:
            status = os.stat(run / name, follow_symlinks=False)
            versions.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            versions.append(None)
    return tuple(versions)


def read_run_row(path: Path, name: str, versions: FileVersions, holders: LockHolders) -> RunRow:
    """A run as its small files and its latest metrics show it; the best score comes with `with_columns`.

    Args:
        path: The run directory.
        name: Its name.
        versions: From `file_versions`.
        holders: Who writes runs.
    """
    recipe_version, _, metrics_version, finished, diverged = versions
    times = [version[2] for version in (metrics_version, recipe_version) if version]
    row = RunRow(name, updated=times[0] / 1e9 if times else 0.0)
    try:
        recipe = parse_json(read_file(path / RECIPE))
    except (OSError, ValueError, ResiduaError):
        return replace(row, state="damaged", problem=f"{RECIPE} cannot be read")
    row = replace(row, **_recipe_facts(recipe), num_test=_num_test(path, recipe))
    if metrics_version:
        row = _with_latest(replace(row, metrics_bytes=metrics_version[1]), path)
    state = "finished" if finished else "diverged" if diverged else "stopped"
    if holders.process_of(path / ".lock"):
        state = "running"
    return replace(row, state=state, seconds_left=row.seconds_left if state == "running" else None)


def with_columns(row: RunRow, columns: Mapping[str, Numbers]) -> RunRow:
    """A row with the best score and the small curve.

    Args:
        row: From `read_run_row`.
        columns: At least `step` and the metric of the row, as far as the run has them.
    """
    steps, scores = columns.get("step"), columns.get(row.metric)
    if steps is None or scores is None or not len(steps):
        return replace(row, num_rows=0 if steps is None else len(steps))
    is_known = np.isfinite(scores)
    if not is_known.any():
        return replace(row, num_rows=len(steps))
    known, at = scores[is_known], steps[is_known]
    place = int(known.argmin() if row.is_lower_better else known.argmax())
    value = float(known[place])
    low, high = _interval(value, row)
    picks = np.linspace(0, len(known) - 1, min(SPARK_POINTS, len(known))).astype(int)
    return replace(
        row,
        num_rows=len(steps),
        best=Best(value, int(at[place]), low, high),
        spark=tuple(round(float(each), 3) for each in known[picks]),
    )


def _interval(value: float, row: RunRow) -> tuple[float | None, float | None]:
    if not row.num_test or "error" not in row.metric or not 0 <= value <= 100:
        return None, None
    return wilson(round(row.num_test * value / 100), row.num_test)


def _recipe_facts(recipe: Any) -> dict[str, Any]:
    """What of a recipe the table shows, each value checked."""
    arch, data, budget = (_part(recipe, name) for name in ("arch", "data", "budget"))
    detector, seed = _part(recipe, "detector"), _whole(recipe, "seed")
    network = _text(arch, "name")
    if detector:
        network = f"{_text(detector, 'name')} on {network}"
    unseeded = {name: value for name, value in _mapping_of(recipe).items() if name != "seed"}
    text = json.dumps(unseeded, sort_keys=True)
    return {
        "network": network,
        "recipe": _text(recipe, "name"),
        "group": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8],
        "data": _last_part(_text(data, "source")),
        "seed": seed,
        "batch_size": _whole(budget, "batch_size") or _whole(budget, "batch"),  # its name in format 1
        "epochs": 0 if _whole(budget, "steps") else _whole(budget, "epochs"),
    }


def _with_latest(row: RunRow, path: Path) -> RunRow:
    """A row with what the latest row of the metrics says."""
    latest = _latest_metrics(path / METRICS)
    if not latest:
        return row
    metric, is_lower_better = next((pair for pair in SCORES if pair[0] in latest), ("", True))
    return replace(
        row,
        epoch=latest.get("epoch", 0),
        step=int(latest["step"]),
        metric=metric,
        is_lower_better=is_lower_better,
        latest=latest.get(metric),
        seconds_left=_seconds_left(row, latest),
    )


def _latest_metrics(file: Path) -> dict[str, float]:
    """The last whole row of a file of metrics; empty when there is none."""
    with suppress(OSError), open(file, "rb", opener=_open_plain) as metrics:
        size = metrics.seek(0, os.SEEK_END)
        metrics.seek(max(0, size - TAIL_BYTES))
        text = metrics.read(TAIL_BYTES)
        for line in reversed(text[: text.rfind(b"\n") + 1].splitlines()):
            if rows := parse_rows(line):
                return rows[0]
    return {}


def _open_plain(path: str, flags: int) -> int:
    """Open a file, and no link, without waiting for a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _seconds_left(row: RunRow, latest: Mapping[str, float]) -> float | None:
    """The epochs that are left at the speed of the latest one, without validation."""
    speed, epoch, step = (latest.get(name, 0) for name in ("images_per_second", "epoch", "step"))
    if not (speed > 0 and epoch > 0 and row.epochs > epoch and row.batch_size):
        return None
    return (row.epochs - epoch) * (step / epoch * row.batch_size) / speed


def _num_test(path: Path, recipe: Any) -> int:
    """Examples behind the score; 0 where training examples were held out, whose number no file tells."""
    if _part(recipe, "data").get("inner_val_fraction"):
        return 0
    with suppress(OSError, ValueError, ResiduaError):
        return _whole(parse_json(read_file(path / DATA)), "test")
    return 0


def _mapping_of(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _part(value: Any, name: str) -> Mapping[str, Any]:
    return _mapping_of(_mapping_of(value).get(name))


def _text(value: Any, name: str) -> str:
    text = _mapping_of(value).get(name)
    return text[:200] if isinstance(text, str) else ""


def _whole(value: Any, name: str) -> int:
    number = _mapping_of(value).get(name)
    return number if type(number) is int and 0 <= number < 1 << 53 else 0


def _last_part(source: str) -> str:
    return source.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
