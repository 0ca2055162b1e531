"""RunTable: the rows of all runs in a folder, brought up to date twice a second by a thread.

    scan --names, inode, size, time of few files--> changed runs --latest row--> published at once
                                                                --best score---> published when it is read

A run that is being written, copied in or deleted changes its files between two scans; it is read again, and a
run that is gone leaves the table. While no page is open, the folder is scanned when somebody asks.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from residua.errors import ResiduaError
from residua.lab.lock_holders import LockHolders
from residua.lab.run_folder import RunFolder
from residua.lab.run_row import FileVersions, RunRow, file_versions, read_run_row, with_columns
from residua.lab.series_store import SeriesStore
from residua.lab.table_cache import read_table, write_table

SCAN_SECONDS = 0.5
"""Time between two scans."""
LATELY_SECONDS = 600.0
"""Time after a change of its files in which a run counts as being written."""
PUBLISH_ROWS = 50
"""Rows that are published together."""
WRITE_SECONDS = 30.0
"""Shortest time between two writings of the table for the next start."""


class RunTable:
    """The rows of all runs."""

    def __init__(self, folder: RunFolder, store: SeriesStore, publish: Callable[[str, Any], None]) -> None:
        """Take a folder; `start` begins to read it.

        Args:
            folder: Where runs are.
            store: Reads their metrics.
            publish: Receives the events `runs` with changed rows and names of runs that are gone.
        """
        self.folder = folder
        self._store, self._publish = store, publish
        self._rows: dict[str, RunRow] = {}
        self._versions: dict[str, tuple[FileVersions, int]] = {}
        self._known: dict[str, tuple[FileVersions, RunRow]] = {}
        self._unread: dict[str, None] = {}
        self._in_reading = ""
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._is_stopped = threading.Event()
        self._first_scan = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"residua-lab-{name}", daemon=True)
            for name, target in (("scan", self._scan_on), ("read", self._read_on))
        ]
        self._is_work_left = threading.Event()
        self._next_write = 0.0

    def start(self) -> None:
        """Begin to scan."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads, and keep the rows for the next start."""
        self._is_stopped.set()
        self._is_work_left.set()
        if self._known:
            write_table(self.folder.path, self._known)

    def rows(self) -> list[RunRow]:
        """The rows so far; the first scan may still go on."""
        return list(self._rows.values())

    def row(self, name: str) -> RunRow | None:
        """The row of a run."""
        return self._rows.get(name)

    @property
    def num_unread(self) -> int:
        """Runs whose best score is not known yet."""
        name = self._in_reading
        return len(self._unread) + bool(name and name not in self._unread)

    @property
    def is_scanned(self) -> bool:
        """Whether every run of the folder is in the table."""
        return self._first_scan.is_set()

    def scan(self) -> None:
        """Bring rows up to date with the files, without reading whole metrics."""
        names = self.folder.names()
        gone = self._rows.keys() - set(names)
        for name in gone:
            self._rows.pop(name, None)
            self._versions.pop(name, None)
            self._unread.pop(name, None)
            self._written.pop(name, None)
        self._look_at(names, gone)

    def _look_at(self, names: Iterable[str], gone: Iterable[str] = ()) -> None:
        """Publish those of some runs whose files changed, and which are gone."""
        holders = LockHolders()
        changed: list[str] = []
        for name in names:
            path = self.folder.path / name
            version = (file_versions(path), holders.process_of(path / ".lock"))
            if self._versions.get(name) == version:
                continue
            self._versions[name] = version
            files, known = self._known.get(name, ((), None))
            if known and files == version[0] and known.state != "running" and not version[1]:
                self._rows[name] = known
            else:
                row = read_run_row(path, name, version[0], holders)
                with self._lock:
                    self._rows[name] = _with_known_score(row, self._rows.get(name))
                    self._unread[name] = None
                self._is_work_left.set()
            if self._first_scan.is_set():
                self._written[name] = time.monotonic()
            changed.append(name)
            if len(changed) == PUBLISH_ROWS:
                self._publish_rows(changed)
                changed = []
        if changed or gone:
            self._publish_rows(changed, gone)

    def _scan_on(self) -> None:
        self._known = read_table(self.folder.path)
        while not self._is_stopped.is_set():
            start = time.monotonic()
            with suppress(OSError):
                self.scan()
            self._first_scan.set()
            # A large folder, or one on a slow disk, is scanned at most a tenth of the time. Meanwhile runs
            # that are being written are looked at as often as a small folder.
            pause = max(SCAN_SECONDS, 9 * (time.monotonic() - start))
            next_scan = time.monotonic() + pause
            while not self._is_stopped.wait(SCAN_SECONDS) and time.monotonic() < next_scan:
                with suppress(OSError):
                    self._look_at(self._written_lately())

    def _written_lately(self) -> list[str]:
        """The runs that were written last: few, also where many are."""
        names = sorted(self._written, key=lambda name: -self._written[name])[:PUBLISH_ROWS]
        oldest, there = time.monotonic() - LATELY_SECONDS, []
        for name in names:
            if self._written[name] > oldest:
                with suppress(ResiduaError):  # it is gone, and the next scan says so
                    self.folder.run_path(name)
                    there.append(name)
        return there

    def _read_on(self) -> None:
        while not self._is_stopped.is_set():
            self._is_work_left.wait()
            self._is_work_left.clear()
            rows: list[str] = []
            since = time.monotonic()
            while self._unread and not self._is_stopped.is_set():
                self._in_reading = name = next(iter(self._unread), "")
                self._unread.pop(name, None)
                if self._read(name):
                    rows.append(name)
                self._in_reading = ""
                if len(rows) >= PUBLISH_ROWS or time.monotonic() > since + SCAN_SECONDS:
                    self._publish_rows(rows)
                    rows, since = [], time.monotonic()
            self._publish_rows(rows)  # also without rows: it says that all are read
            self._store.rest()
            self._keep()

    def _keep(self) -> None:
        """Keep the rows for the next start, once their metrics are read."""
        versions = dict(self._versions)
        rows = {
            name: row
            for name, row in list(self._rows.items())
            if name in versions and name not in self._unread
        }
        self._known = {name: (versions[name][0], row) for name, row in rows.items()}
        if time.monotonic() > self._next_write:
            write_table(self.folder.path, self._known)
            self._next_write = time.monotonic() + WRITE_SECONDS

    def _read(self, name: str) -> RunRow | None:
        """Put the best score of a run into its row; the row."""
        row = self._rows.get(name)
        if row is None or row.state == "damaged":
            return None
        try:
            columns = self._store.columns([self.folder.path / name], ["step", row.metric], keep=False)[0]
        except ResiduaError:
            return None
        whole = with_columns(row, columns)
        with self._lock:
            if self._rows.get(name) is not row:
                return None  # its files changed meanwhile: it waits to be read again
            self._rows[name] = whole
        return whole

    def _publish_rows(self, names: Iterable[str], gone: Iterable[str] = ()) -> None:
        """Publish rows as they are now: two threads publish, and the later event must have the later row."""
        with self._publishing:
            rows = [asdict(row) for name in names if (row := self._rows.get(name))]
            self._publish("runs", {"rows": rows, "gone": list(gone), "unread": self.num_unread})


def _with_known_score(row: RunRow, before: RunRow | None) -> RunRow:
    """A row with the score that was known before its metrics grew."""
    if before is None or before.metric != row.metric:
        return row
    return replace(row, best=before.best, spark=before.spark, num_rows=before.num_rows)
