"""Metrics are read from where the last reading ended, and equal those that a run gives."""

import json
import multiprocessing
import os
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from lab_runs import metrics_row, write_run

from residua.lab import columns
from residua.lab.columns import parse_columns, read_column, read_index, read_small, update_columns
from residua.lab.lock_holders import LockHolders
from residua.lab.run_row import Best, RunRow, file_versions
from residua.lab.series_store import SeriesStore
from residua.lab.table_cache import read_table, write_table
from residua.runs.run import Run

ODD = [
    b'{"step": 1, "test_error": NaN}',
    b'{"step": 2, "test_error": 1e999}',
    b'{"step": 3, "rate": 0.5}',
    b'{"step": 4, "images_per_second": null, "test_error": 4}',
    b'{"step": -5, "test_error": 5}',
    b'{"step": 6.5, "test_error": 6}',
    b'{"step": true, "test_error": 6}',
    b'{"step": 7, "test_error": "7"}',
    b'{"test_error": 8}',
    b"[1, 2]",
    b"",
    b'{"step": 9',
    b"\xff\xfe",
    b'{"step": 10, "test_error": 10, "extra": -1}',
    b"[" * 100_000,
]
"""Lines of which a strict reader leaves some out."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def same_as_the_run(run: Path, table: dict[str, np.ndarray]) -> None:
    rows = Run(run).metrics
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    assert set(table) == set(names)
    for name, values in table.items():
        expected = [row.get(name) for row in rows]
        np.testing.assert_array_equal(values, [np.nan if value is None else value for value in expected])


def cached(run: Path) -> dict[str, np.ndarray]:
    index = update_columns(run)
    table = {name: read_column(run, name, index) for name in index.names}
    assert all(values is not None for values in table.values())
    return table


@pytest.mark.parametrize("lines", [ODD, ODD[3:4], *([line] for line in ODD)])
def test_columns_are_what_the_run_gives_also_of_odd_lines(tmp_path: Path, lines: list[bytes]) -> None:
    run = write_run(tmp_path / "run", errors=[3.0, 2.0])
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b"\n".join(lines) + b"\n")
    same_as_the_run(run, read_small(run))
    same_as_the_run(run, cached(run))


def test_only_what_was_appended_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", errors=[float(number) for number in range(50)])
    same_as_the_run(run, cached(run))
    parsed: list[int] = []
    monkeypatch.setattr(
        columns, "parse_columns", lambda text: parsed.append(len(text)) or parse_columns(text)
    )
    update_columns(run)
    assert parsed == []
    line = json.dumps(metrics_row(51, 1.0, extra=5.0)).encode()
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(line + b"\n" + line[:20])
    table = cached(run)
    assert parsed == [len(line) + 1], "half a line waits for its end"
    assert np.isnan(table["extra"][:50]).all()
    assert table["extra"][50] == 5
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(line[20:] + b"\n")
    same_as_the_run(run, cached(run))


def test_a_file_that_was_replaced_or_cut_is_read_anew(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", errors=[5.0, 4.0, 3.0])
    cached(run)
    Run(run).rewrite_metrics(
        [metrics_row(1, 9.0), metrics_row(2, 8.0), metrics_row(3, 7.0), metrics_row(4, 6.0)]
    )
    same_as_the_run(run, cached(run))
    text = (run / "metrics.jsonl").read_bytes()
    os.truncate(run / "metrics.jsonl", text.index(b"\n") + 1)
    same_as_the_run(run, cached(run))
    with (run / "metrics.jsonl").open(
        "r+b"
    ) as file:  # the same inode with other contents, as a copy leaves it
        file.write(text.replace(b"9.0", b"1.0") * 2)
    same_as_the_run(run, cached(run))


def test_a_crash_between_numbers_and_index_leaves_nothing_behind(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", errors=[5.0, 4.0])
    cached(run)
    entry = columns.entry_folder(run)
    for file in entry.glob("*.f64"):
        file.write_bytes(file.read_bytes() + b"\1" * 11)
    Run(run).append_metrics(metrics_row(3, 3.0))
    same_as_the_run(run, cached(run))
    (entry / "index.json").write_text("{")
    assert read_index(entry).rows == 0
    same_as_the_run(run, cached(run))


def test_what_the_cache_holds_of_deleted_runs_is_deleted(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, errors=[1.0]) for name in ("old", "new")]
    for run in runs:
        cached(run)
    (runs[0] / "metrics.jsonl").unlink()
    columns.remove_stale_entries()
    assert [columns.entry_folder(run).exists() for run in runs] == [False, True]


def test_an_entry_that_another_process_is_writing_stays(tmp_path: Path) -> None:
    entry = columns.entry_folder(tmp_path / "run")
    entry.mkdir(parents=True)
    columns.remove_stale_entries()
    assert entry.exists()
    old = time.time() - 2 * columns.HALF_WRITTEN_SECONDS
    os.utime(entry, (old, old))
    columns.remove_stale_entries()
    assert not entry.exists()


def test_little_that_was_appended_starts_no_process(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", errors=[1.0], finished=False)
    lines = "".join(json.dumps(metrics_row(number, 2.0)) + "\n" for number in range(2, 3000))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(lines)
    assert (run / "metrics.jsonl").stat().st_size > columns.SMALL_BYTES
    others = multiprocessing.active_children()  # of tests before, in the same process

    def parsing() -> list[BaseProcess]:
        return [one for one in multiprocessing.active_children() if one not in others]

    store = SeriesStore()
    assert len(store.columns([run], ["test_error"])[0]["test_error"]) == 2999
    assert parsing(), "a large file is parsed by a process"
    store.rest()
    while parsing():
        time.sleep(0.01)
    Run(run).append_metrics(metrics_row(3000, 7.0))
    assert store.columns([run], ["test_error"])[0]["test_error"][-1] == 7
    assert not parsing()
    same_as_the_run(run, store.columns([run], store.names(run))[0])
    store.close()


def test_a_lock_is_seen_without_being_taken(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run", errors=[1.0]))
    with run.lock():
        assert LockHolders().process_of(run.path / ".lock") == os.getpid()
    assert LockHolders().process_of(run.path / ".lock") == 0
    assert LockHolders().process_of(run.path / "nothing") == 0


def test_the_table_of_the_last_start_is_kept(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", errors=[1.0])
    rows = {"run": (file_versions(run), RunRow("run", best=Best(1.0, 4, 0.5, 2.0), spark=(3.0, 1.0)))}
    write_table(tmp_path, rows)
    assert read_table(tmp_path) == rows
    assert read_table(tmp_path / "other") == {}


def test_line_without_end_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", errors=[50.0])
    metrics = run / "metrics.jsonl"
    junk = b"x" * (2 * columns.MAX_LINE_BYTES) + b"\n"
    metrics.write_bytes(metrics.read_bytes() + junk + json.dumps(metrics_row(2, 40.0)).encode() + b"\n")
    assert cached(run)["test_error"].tolist() == [50.0, 40.0]
