"""The table of the last start, so that the next one shows best scores at once.

A row counts only while the files that it was made of have the same inode, size and time. The file is in the
cache of the user, may be deleted at any time, and is left out where it cannot be read or written.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from residua.errors import ResiduaError
from residua.files import cache_folder, read_file, write_file
from residua.lab.run_row import Best, FileVersions, RunRow

FORMAT = 1
"""Of the cache."""
KnownRows = Mapping[str, tuple[FileVersions, RunRow]]
"""Name -> the files that a row was made of, and the row with its best score."""


def _file(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return cache_folder() / "lab-tables" / f"{name}.json"


def read_table(folder: Path) -> dict[str, tuple[FileVersions, RunRow]]:
    """The rows of the last start of a lab over `folder`; empty where there was none."""
    with suppress(OSError, ValueError, TypeError, KeyError, ResiduaError):
        plain = json.loads(read_file(_file(folder)))
        if plain["format"] == [FORMAT, *(field.name for field in fields(RunRow))]:
            return {name: (_versions(files), _row(row)) for name, (files, row) in plain["rows"].items()}
    return {}


def write_table(folder: Path, rows: KnownRows) -> None:
    """Keep rows for the next start."""
    plain = {
        "format": [FORMAT, *(field.name for field in fields(RunRow))],
        "rows": {name: [files, asdict(row)] for name, (files, row) in rows.items()},
    }
    with suppress(OSError):
        file = _file(folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, json.dumps(plain))


def _versions(plain: list[list[int] | None]) -> FileVersions:
    return tuple(None if file is None else (file[0], file[1], file[2]) for file in plain)


def _row(plain: dict[str, object]) -> RunRow:
    best = plain["best"]
    values = {**plain, "best": Best(**best) if isinstance(best, dict) else None}
    spark = plain["spark"]
    return RunRow(**{**values, "spark": tuple(spark) if isinstance(spark, list) else ()})  # type: ignore[arg-type]
