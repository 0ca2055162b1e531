"""Tables as files: .csv, .jsonl or .parquet, written whole."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from residua.data.table_cells import csv_text, protect
from residua.errors import ConfigError
from residua.files import write_file
from residua.tasks.predict_task import Predictions

SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Endings of files that hold a table."""


def check_out(out: Path | None, *, force: bool, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Check that a file can be written, before any work is done.

    Args:
        out: The file; None needs no check.
        force: Replace a file that exists.
        suffixes: Those that are allowed.

    Raises:
        ConfigError: The suffix is not allowed, the folder is missing, or Parquet needs a missing package.
        FileExistsError: The file exists, and `force` is false.
    """
    if out is None:
        return
    if out.suffix not in suffixes:
        raise ConfigError(f"{out} ends in {out.suffix!r}: give {', '.join(suffixes)}")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is not a folder: create it first, or write elsewhere")
    if out.exists() and not force:
        raise FileExistsError(f"{out} exists already: give --force to replace it")
    if out.suffix == ".parquet":
        arrow_modules()


def save(out: Path, predictions: Predictions) -> None:
    """Write `predictions` in the format of the suffix. ConfigError when Parquet needs a missing package."""
    head, rows = predictions.columns()
    save_table(out, head, rows, values=predictions.to_json())


def save_table(
    out: Path, head: Sequence[str], rows: Sequence[Sequence[Any]], *, values: Sequence[dict[str, Any]]
) -> None:
    """Write a table to a file.

    Args:
        out: A path that ends in .csv, .parquet or .jsonl.
        head: Names of the columns, one of them `file`.
        rows: Text, numbers and None, for .csv and .parquet; text that a spreadsheet would take for a
            formula is written after an apostrophe (`data.table_cells`).
        values: The same as JSON values, one a line of .jsonl.

    Raises:
        ConfigError: Parquet needs a missing package.
    """
    if out.suffix == ".jsonl":
        write_file(out, json_lines(values))
        return
    if out.suffix == ".csv":
        write_file(out, csv_text([head, *rows]))
        return
    arrow, parquet = arrow_modules()
    cells = [[protect(cell) for cell in row] for row in rows]
    columns = dict(zip(head, zip(*cells, strict=True) if cells else [()] * len(head), strict=True))
    columns["file"] = tuple(name.encode("utf-8", "backslashreplace").decode() for name in columns["file"])
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)
    write_file(out, buffer.getvalue())


def json_lines(values: Sequence[Any]) -> str:
    """Each of `values` as JSON on a line."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def arrow_modules() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`. ConfigError when they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ConfigError("Parquet needs pyarrow: pip install pyarrow, or write .csv or .jsonl") from None
    return pyarrow, pyarrow.parquet
