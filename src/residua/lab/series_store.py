"""SeriesStore: columns of runs for whoever draws them, few at a time in memory.

A small file is parsed in the thread that asks; a large one by one of two processes, so that the server stays
responsive while millions of rows are read for the first time. The processes start when a large file is first
read, and end when there is nothing left to parse; what a running run appends is parsed by the thread that
asks. What was asked for last stays in memory, up to `MAX_BYTES`.
"""

import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from residua.child_process import exit_with_parent
from residua.errors import ResourceError
from residua.lab.columns import (
    METRICS,
    SMALL_BYTES,
    ColumnIndex,
    Numbers,
    entry_folder,
    read_column,
    read_index,
    read_small,
    remove_stale_entries,
    update_columns,
)

MAX_BYTES = 128 << 20
"""Most memory of columns: three of 50 runs with 100,000 rows."""
PROCESSES = 2
"""Processes that parse large files."""
_Key = tuple[str, str]


class SeriesStore:
    """Columns of runs."""

    def __init__(self) -> None:
        self._columns: OrderedDict[_Key, tuple[tuple[int, int, int], Numbers | None]] = OrderedDict()
        self._indexes: dict[str, tuple[tuple[int, int, int], ColumnIndex]] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._is_closed = False

    def columns(
        self, runs: Sequence[Path], names: Sequence[str], *, keep: bool = True
    ) -> list[dict[str, Numbers]]:
        """Columns of runs, all as long as the run has rows at this moment.

        Args:
            runs: Run directories.
            names: Metrics.
            keep: Whether they stay in memory for the next request.

        Returns:
            For each run, name -> float64 array with NaN where a row lacks the metric; metrics that a run does
            not have are left out.

        Raises:
            ResourceError: The cache cannot be written.
        """
        versions = [metrics_version(run) for run in runs]
        indexes: list[ColumnIndex | Future[ColumnIndex] | None] = []
        for run, version in zip(runs, versions, strict=True):
            is_known = all(self._lookup(run, name, version) for name in names)
            is_large = version[1] > SMALL_BYTES
            indexes.append(self._begin_update(run, version) if is_large and not is_known else None)
        return [
            self._of_run(run, names, version, index, keep=keep)
            for run, version, index in zip(runs, versions, indexes, strict=True)
        ]

    def names(self, run: Path) -> list[str]:
        """The metrics of a run."""
        if metrics_version(run)[1] <= SMALL_BYTES:
            return list(read_small(run))
        return list(_result(self._begin_update(run, metrics_version(run))).names)

    def rest(self) -> None:
        """End the processes until a large file is to be parsed again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=False)

    def close(self) -> None:
        """End the processes for good."""
        with self._lock:
            self._is_closed, pool, self._pool = True, self._pool, None
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)

    def _of_run(
        self,
        run: Path,
        names: Sequence[str],
        version: tuple[int, int, int],
        index: "ColumnIndex | Future[ColumnIndex] | None",
        *,
        keep: bool,
    ) -> dict[str, Numbers]:
        columns: dict[str, Numbers | None] = {}
        missing = []
        for name in names:
            entry = self._lookup(run, name, version)
            if entry:
                columns[name] = entry[1]
            else:
                missing.append(name)
        if missing:
            fresh = self._read(run, missing, version, index)
            for name in missing:
                columns[name] = fresh.get(name)
                if keep:
                    self._keep(run, name, version, columns[name])
        present = {name: values for name, values in columns.items() if values is not None}
        length = min((len(values) for values in present.values()), default=0)
        return {name: values[:length] for name, values in present.items()}

    def _read(
        self,
        run: Path,
        names: Sequence[str],
        version: tuple[int, int, int],
        index: "ColumnIndex | Future[ColumnIndex] | None",
    ) -> dict[str, Numbers]:
        if version[1] <= SMALL_BYTES:
            return read_small(run)
        index = _result(index or self._begin_update(run, version))
        with self._lock:
            self._indexes[str(run)] = version, index
        return {name: values for name in names if (values := read_column(run, name, index)) is not None}

    def _begin_update(self, run: Path, version: tuple[int, int, int]) -> "ColumnIndex | Future[ColumnIndex]":
        """The index of a large file: at once where little was appended, else from a process."""
        with self._lock:
            known = self._indexes.get(str(run))
        if known and known[0] == version:
            return known[1]
        index = read_index(entry_folder(run))
        if index.inode == version[0] and 0 <= version[1] - index.offset <= SMALL_BYTES:
            return _updated(run)
        return self._submit(run)

    def _submit(self, run: Path) -> "Future[ColumnIndex]":
        with self._lock:
            if self._is_closed:
                raise ResourceError("the lab is stopping: start it again")
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_begin)
            try:
                return self._pool.submit(update_columns, run)
            except BrokenProcessPool:
                self._pool = None
                raise ResourceError("a process that reads metrics was ended: try again") from None

    def _lookup(
        self, run: Path, name: str, version: tuple[int, int, int]
    ) -> tuple[tuple[int, int, int], Numbers | None] | None:
        key = (str(run), name)
        with self._lock:
            entry = self._columns.get(key)
            if entry is None or entry[0] != version:
                return None
            self._columns.move_to_end(key)
            return entry

    def _keep(self, run: Path, name: str, version: tuple[int, int, int], values: Numbers | None) -> None:
        key = (str(run), name)
        with self._lock:
            before = self._columns.pop(key, None)
            self._bytes -= _size(before[1]) if before else 0
            self._columns[key] = (version, values)
            self._bytes += _size(values)
            while self._bytes > MAX_BYTES:
                _, (_, oldest) = self._columns.popitem(last=False)
                self._bytes -= _size(oldest)


def _begin() -> None:
    """Let a process that parses give way to the server, leave it signals of the terminal, and end with it."""
    exit_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(AttributeError, OSError):
        os.nice(5)
    remove_stale_entries()


def _updated(run: Path) -> ColumnIndex:
    try:
        return update_columns(run)
    except OSError as error:
        raise _full(error) from None


def _result(index: "ColumnIndex | Future[ColumnIndex]") -> ColumnIndex:
    if isinstance(index, ColumnIndex):
        return index
    try:
        return index.result()
    except OSError as error:
        raise _full(error) from None
    except BrokenProcessPool:
        raise ResourceError("a process that reads metrics was ended: try again") from None


def _full(error: OSError) -> ResourceError:
    return ResourceError(f"the cache of curves cannot be written ({error.strerror}): make room")


def metrics_version(run: Path) -> tuple[int, int, int]:
    """Inode, size and time of the metrics of a run, by which a change is seen; zeros where there are none."""
    try:
        status = os.stat(run / METRICS, follow_symlinks=False)
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def _size(values: Numbers | None) -> int:
    return 0 if values is None else values.nbytes
