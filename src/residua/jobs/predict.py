"""Writing down what was said of many files."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from residua.runs.run import write
from residua.tasks.kind import Answers

SUFFIXES = (".csv", ".jsonl", ".parquet")


def check_out(out: Path | None, *, force: bool, suffixes: Sequence[str] = SUFFIXES) -> None:
    """ValueError for an unknown suffix or a missing folder; FileExistsError unless `force`."""
    if out is None:
        return
    if out.suffix not in suffixes:
        raise ValueError(f"{out} ends in {out.suffix!r}: give {', '.join(suffixes)}")
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} is no folder: make it first, or write elsewhere")
    if out.exists() and not force:
        raise FileExistsError(f"{out} is there already: give --force to replace it")


def save(out: Path, answers: Answers) -> None:
    """Write `answers` to `out`, in the form of its suffix.

    ValueError when Parquet needs a missing package.
    """
    head, rows = answers.table()
    save_table(out, head, rows, plain=answers.plain())


def save_table(
    out: Path, head: Sequence[str], rows: Sequence[Sequence[Any]], *, plain: Sequence[dict[str, Any]]
) -> None:
    """Write `rows` under `head` to `out`, .csv or .parquet, or what they mean, `plain`, to .jsonl.

    ValueError when Parquet needs a missing package.
    """
    if out.suffix == ".jsonl":
        write(out, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in plain))
        return
    if out.suffix == ".csv":
        table = io.StringIO(newline="")
        csv.writer(table).writerows([head, *rows])
        write(out, table.getvalue())
        return
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise ValueError("Parquet needs pyarrow: pip install pyarrow, or write .csv or .jsonl") from None
    columns = dict(zip(head, zip(*rows, strict=True) if rows else [()] * len(head), strict=True))
    columns["file"] = tuple(name.encode("utf-8", "backslashreplace").decode() for name in columns["file"])
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)
    write(out, buffer.getvalue())
