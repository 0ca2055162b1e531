"""Columns: the metrics of a run as arrays, read from where the last reading ended.

    metrics.jsonl --small--> parsed whole each time it changed (milliseconds)
                  --large--> one file of float64 for each metric in the cache of the user: only what was
                             appended is parsed, by a process of its own

The index of a cached file names the inode, the bytes that were parsed and a digest of the last of them: a
file that was replaced, cut or copied anew is parsed from its beginning. The index is written last and in one
step, so a crash leaves numbers beyond the index, which the next update cuts off. The last line counts once it
ends: its writer may be in the middle of it. Nothing is written into a run, and the cache may be deleted at
any time.
"""

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from residua.errors import ConfigError, ResiduaError
from residua.files import cache_folder, file_lock, open_regular, read_file, write_file
from residua.runs.records import read_row
from residua.spec.record import parse_json

Numbers = NDArray[np.float64]
METRICS = "metrics.jsonl"
SMALL_BYTES = 256 << 10
"""Files up to this size are parsed whole: about 2,000 epochs, in 10 ms."""
HALF_WRITTEN_SECONDS = 86_400.0
"""How old an entry without an index must be to count as left by a process that was killed."""
CHUNK_BYTES = 1 << 20
"""Bytes that are parsed at a time."""
MAX_LINE_BYTES = 4 << 20
"""Longest row; a file without line ends must not fill the memory."""
MARK_BYTES = 4096
"""Bytes before the end of what was parsed whose digest tells whether the file is still the same."""
MAX_METRICS = 200
"""Metrics of a run; more are left out."""
FORMAT = 1
"""Of the cache."""
_WIDTH = 8


@dataclass(frozen=True, slots=True)
class ColumnIndex:
    """What of a file the cache holds."""

    inode: int = 0
    """The file; another one takes its place when metrics are rewritten."""
    offset: int = 0
    """Bytes parsed, up to the end of a line."""
    mark: str = ""
    """Digest of the last bytes before `offset`."""
    rows: int = 0
    """Rows."""
    names: tuple[str, ...] = ()
    """Metrics, in the order of their files."""
    format: int = FORMAT
    """Of the cache."""
    source: str = ""
    """The run."""


def parse_rows(text: bytes) -> list[dict[str, float]]:
    """The rows in whole lines of metrics under the names of this version, without damaged ones."""
    rows = []
    for line in text.splitlines():
        with suppress(ConfigError):
            row = read_row(parse_json(line))
            rows.append({name: value for name, value in row.items() if value is not None})
    return rows


def parse_columns(text: bytes) -> tuple[int, dict[str, Numbers]]:
    """The number of rows in whole lines of metrics, and one array for each metric, NaN where a row lacks it.

    Lines that are all plain rows are parsed together, which is several times faster than one by one.
    """
    has_truth_values = b"true" in text or b"false" in text  # which count as numbers in an array
    with suppress(ValueError, RecursionError):
        rows = [] if has_truth_values else json.loads(b"[" + b",".join(text.splitlines()) + b"]")
        if all(type(row) is dict for row in rows):
            columns = _columns_of(rows)
            if all(_is_plain(name, values, rows) for name, values in columns.items()) and "step" in columns:
                return len(rows), _as_floats(columns)
    rows = parse_rows(text)
    return len(rows), _as_floats(_columns_of(rows))


def _columns_of(rows: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    names = dict.fromkeys(name for keys in {tuple(row) for row in rows} for name in keys)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in list(names)[:MAX_METRICS]}


def _is_plain(name: str, values: NDArray[Any], rows: list[dict[str, Any]]) -> bool:
    """Whether a column needs no further checks: finite numbers under a name of this version."""
    if name == "step":
        return values.dtype.kind == "i" and bool((values >= 0).all())
    if values.dtype.kind not in "if" or name == "rate":
        return False
    odd = np.flatnonzero(~np.isfinite(values))
    return all(name not in rows[place] for place in odd)


def _as_floats(columns: dict[str, NDArray[Any]]) -> dict[str, Numbers]:
    return {name: values.astype(np.float64, copy=False) for name, values in columns.items()}


def read_small(run: Path) -> dict[str, Numbers]:
    """All columns of a run with a small file; none where there is no file, or a link in its place."""
    try:
        text = read_file(run / METRICS)
    except (OSError, ResiduaError):
        return {}
    return parse_columns(text[: text.rfind(b"\n") + 1])[1]


def entry_folder(run: Path) -> Path:
    """The folder of a run in the cache."""
    name = hashlib.sha256(os.fsencode(run.absolute())).hexdigest()[:32]
    return cache_folder() / "lab" / name


def read_index(entry: Path) -> ColumnIndex:
    """The index in a folder of the cache; an empty one where it is missing or damaged."""
    with suppress(OSError, ValueError, TypeError, ResiduaError):
        plain = json.loads(read_file(entry / "index.json"))
        index = ColumnIndex(**{**plain, "names": tuple(plain["names"])})
        if index.format == FORMAT and all(type(n) is int for n in (index.rows, index.offset)):
            return index
    return ColumnIndex()


def update_columns(run: Path) -> ColumnIndex:
    """Parse what was appended to the metrics of a run since the last call, and add it to the cache.

    Args:
        run: The run directory, with a large file of metrics.

    Returns:
        The index; an empty one where the file is gone.

    Raises:
        OSError: The cache cannot be written.
    """
    entry = entry_folder(run)
    entry.mkdir(parents=True, exist_ok=True)
    with file_lock(entry / ".lock"):
        index = read_index(entry)
        try:
            descriptor = open_regular(run / METRICS, os.O_RDONLY)
        except (OSError, ResiduaError):
            return ColumnIndex()
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if index.inode != status.st_ino or index.mark != _mark(file, index.offset):
                index = ColumnIndex(inode=status.st_ino, source=str(run.absolute()))
            if status.st_size <= index.offset:
                return index
            index = _append(file, entry, index)
        write_file(entry / "index.json", json.dumps(asdict(index)))
        return index


def _append(file: BinaryIO, entry: Path, index: ColumnIndex) -> ColumnIndex:
    """Add the rows after `index.offset` to the columns; the new index."""
    names, rows, offset = list(index.names), index.rows, index.offset
    file.seek(offset)
    rest = b""
    while chunk := file.read(CHUNK_BYTES):
        text = rest + chunk
        end = text.rfind(b"\n") + 1
        if not end and len(text) > MAX_LINE_BYTES:
            end = len(text)  # no row is that long: what is cut here counts as damaged
        text, rest = text[:end], text[end:]
        offset += end
        count, columns = parse_columns(text)
        names += [name for name in columns if name not in names][: MAX_METRICS - len(names)]
        for place, name in enumerate(names):
            values = columns.get(name)
            _write_column(entry / f"{place}.f64", rows, np.full(count, np.nan) if values is None else values)
        rows += count
    return ColumnIndex(index.inode, offset, _mark(file, offset), rows, tuple(names), source=index.source)


def _write_column(path: Path, rows: int, values: Numbers) -> None:
    """Put `values` after the first `rows` numbers; a metric that begins later has NaN before."""
    with open(path, "r+b" if path.exists() else "w+b") as file:
        size = file.seek(0, os.SEEK_END) // _WIDTH
        if size < rows:
            file.seek(size * _WIDTH)
            file.write(np.full(rows - size, np.nan).tobytes())
        file.seek(rows * _WIDTH)
        file.truncate()
        file.write(values.tobytes())


def _mark(file: BinaryIO, offset: int) -> str:
    start = max(0, offset - MARK_BYTES)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()[:32]


def read_column(run: Path, name: str, index: ColumnIndex) -> Numbers | None:
    """A column of the cache; None where the run has no such metric, or the cache was deleted."""
    if name not in index.names:
        return None
    path = entry_folder(run) / f"{index.names.index(name)}.f64"
    with suppress(OSError):
        values = np.fromfile(path, np.float64, index.rows)
        return values if len(values) == index.rows else None
    return None


def remove_stale_entries() -> None:
    """Delete what the cache holds of runs that are gone."""
    with suppress(OSError):
        for entry in (cache_folder() / "lab").iterdir():
            source = read_index(entry).source
            if source and not Path(source).parent.exists():
                continue  # its disk may only be away
            if not source and time.time() < entry.stat().st_mtime + HALF_WRITTEN_SECONDS:
                continue  # another process may be writing it: the index comes last
            if not source or not (Path(source) / METRICS).exists():
                shutil.rmtree(entry, ignore_errors=True)
