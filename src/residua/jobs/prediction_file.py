"""PredictionFile: predictions written while they are made, and continued after Ctrl-C, a kill or a power cut.

    labels.csv.partial         the rows so far
    labels.csv.partial.json    PredictionProgress: how much of it is whole, and what made it
    labels.csv                 appears in one step, when all inputs are predicted

Once a second the rows are synced to the disk, and after them the progress. What lies in the partial file
behind the recorded bytes belongs to a batch that was cut: it is removed, and its inputs are predicted again.
A Parquet file cannot be continued, so its rows wait as lines of JSON and are packed at the end.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from residua.data.table_cells import csv_text, protect
from residua.errors import ConfigError, RunBusyError
from residua.files import errors_name, file_lock, open_regular, read_file, replace_file, write_file
from residua.jobs.tables import arrow_modules, json_lines
from residua.spec.record import from_json, to_json
from residua.tasks.predict_task import Predictions

SECONDS = 1.0
"""Between two records of the progress: what a kill costs at most, beside one batch."""
ROW_GROUP = 1 << 16
"""Rows that a Parquet file packs together."""


@dataclass(frozen=True, slots=True)
class PredictionProgress:
    """How far a file of predictions is, and what made it."""

    network: str
    """A digest of the network."""
    options: str
    """What was asked for, as text."""
    inputs: str
    """A digest of the names of all inputs."""
    done: int = 0
    """Inputs whose rows are whole."""
    bytes: int = 0
    """Length of their rows in the partial file."""
    errors: int = 0
    """Those of them that could not be read."""


class PredictionFile:
    """A file of predictions while it is written."""

    def __init__(self, out: Path, rows: BinaryIO, progress: PredictionProgress) -> None:
        self.out, self.progress = out, progress
        self._rows, self._recorded = rows, time.monotonic()

    def write(self, predictions: Predictions) -> None:
        """Append the rows of the next inputs."""
        head, rows = predictions.columns()
        if self.out.suffix == ".jsonl":
            text = json_lines(predictions.to_json())
        elif self.out.suffix == ".csv":
            text = csv_text(rows if self.progress.done else [head, *rows])
        else:
            text = json_lines(rows if self.progress.done else [head, *rows])
        with errors_name(_partial_path(self.out)):
            self._rows.write(text.encode("utf-8", "backslashreplace"))
        self.progress = replace(
            self.progress,
            done=self.progress.done + len(predictions),
            bytes=self._rows.tell(),
            errors=self.progress.errors + len(predictions.errors),
        )
        if time.monotonic() - self._recorded > SECONDS:
            self.record()

    def record(self) -> None:
        """Sync the rows so far, and then the progress."""
        with errors_name(_partial_path(self.out)):
            self._rows.flush()
            os.fsync(self._rows.fileno())
        write_file(_progress_path(self.out), to_json(self.progress))
        self._recorded = time.monotonic()


@contextmanager
def open_predictions(out: Path, expected: PredictionProgress, *, force: bool) -> Iterator[PredictionFile]:
    """Open a file of predictions, where it was left or anew; whatever ends the work, its progress is kept.

    Args:
        out: The file, whose suffix is that of a table.
        expected: The network, the options and the inputs.
        force: Begin anew.

    Yields:
        The file; its `progress.done` inputs are predicted.

    Raises:
        ConfigError: Something else was begun there.
        RunBusyError: Another process writes it.
        CheckpointError: Something else than a file is there.
    """
    partial = _partial_path(out)
    try:
        with file_lock(partial, wait=False):
            if force:
                _progress_path(out).unlink(missing_ok=True)
            progress = _progress(out, expected)
            with open(open_regular(partial, os.O_RDWR | os.O_CREAT), "r+b") as rows:
                rows.truncate(progress.bytes)
                rows.seek(progress.bytes)
                file = PredictionFile(out, rows, progress)
                try:
                    yield file
                except BaseException:
                    with suppress(OSError):  # a full disk is reported by the first error
                        file.record()
                    raise
                file.record()
    except BlockingIOError:
        raise RunBusyError(
            f"{partial} is written by another process: wait for it, or write elsewhere"
        ) from None
    _publish(out)


def _progress(out: Path, expected: PredictionProgress) -> PredictionProgress:
    """The recorded progress, or the beginning where there is none."""
    path, partial = _progress_path(out), _partial_path(out)
    if not path.exists():
        return expected
    anew = "give --force to begin anew, or write elsewhere"
    try:
        progress = from_json(PredictionProgress, read_file(path).decode())
    except ValueError:
        raise ConfigError(f"{path} records no progress: {anew}") from None
    for name, what in (
        ("network", "another network"),
        ("options", "other options"),
        ("inputs", "other images"),
    ):
        if getattr(progress, name) != getattr(expected, name):
            raise ConfigError(f"{partial} was begun with {what}: {anew}")
    if not 0 <= progress.bytes <= partial.stat().st_size:
        raise ConfigError(f"{partial} is shorter than {path.name} records: {anew}")
    return progress


def _publish(out: Path) -> None:
    """Put the file in its place; all inputs are predicted, and nothing has it open."""
    if out.suffix == ".parquet":
        with replace_file(out) as file:
            _pack(_partial_path(out), file)
        _partial_path(out).unlink()
    else:
        os.replace(_partial_path(out), out)
    _progress_path(out).unlink()


def _pack(rows: Path, file: BinaryIO) -> None:
    """Write rows, as lines of JSON behind their head, as Parquet."""
    arrow, parquet = arrow_modules()
    with rows.open(encoding="utf-8") as lines:
        head = json.loads(next(lines))
        group = _group(lines)
        kinds = [arrow.string() if isinstance(cell, str) else arrow.float64() for cell in group[0]]
        schema = arrow.schema(list(zip(head, kinds, strict=True)))
        with parquet.ParquetWriter(file, schema) as writer:
            while group:
                columns = dict(zip(head, zip(*group, strict=True), strict=True))
                writer.write_table(arrow.table(columns, schema=schema))
                group = _group(lines)


def _group(lines: Iterator[str]) -> list[list[Any]]:
    """The next rows, as cells of a table."""
    return [[_cell(cell) for cell in json.loads(line)] for line in islice(lines, ROW_GROUP)]


def _cell(cell: Any) -> Any:
    """A cell as a table holds it; half a character of a file name becomes its escape."""
    return protect(cell.encode("utf-8", "backslashreplace").decode()) if isinstance(cell, str) else cell


def _partial_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def _progress_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial.json")
