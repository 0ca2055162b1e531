"""The run directory: made once, written by one process, never half a file."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ranks import begin, end
from residua.errors import ConfigError, RunBusyError
from residua.files import next_free, write_file
from residua.runs.run import Run, check_run_path, create, environment, open_run
from small import recipe

HOLD = """
import os, sys, time
from pathlib import Path
from residua.runs.run import Run
with Run(Path(sys.argv[1])).lock():
    parent = sys.argv[2] == "fork" and os.fork()
    if not parent:
        print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
"""


def holder(run: Run, how: str) -> tuple["subprocess.Popen[str]", int]:
    """Another process that holds the run, and the number of its child, or its own."""
    words = [sys.executable, "-c", HOLD, str(run.path), how]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_new_run_holds_its_recipe_and_where_it_was_made(tmp_path: Path) -> None:
    run_recipe = recipe()
    run = create(tmp_path / "a" / "b", run_recipe, identity={})
    assert run.recipe == run_recipe == open_run(run.path).recipe
    assert run.checkpoints.is_dir()
    assert run.metrics == []
    assert not run.finished
    assert re.fullmatch("[0-9a-f]{64}", environment()["source"])
    assert (run.path / "environment.json").exists()


def test_a_run_is_not_made_twice_unless_forced(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    run.append_metrics({"step": 1})
    (run.checkpoints / "state-000000001.safetensors").write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"residua resume .*--force"):
        create(tmp_path, recipe(), identity={})
    run.mark_finished({"step": 1})
    with pytest.raises(FileExistsError, match=r"another -o.*--force"):
        create(tmp_path, recipe(), identity={})
    assert run.metrics == [{"step": 1}]
    create(tmp_path, recipe(seed=5), force=True, identity={})
    assert run.recipe.seed == 5
    assert run.metrics == []
    assert not run.finished
    assert list(run.checkpoints.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "why"),
    [("file/a/b", errno.ENOTDIR), ("loop", errno.ELOOP), ("loop/a", errno.ELOOP)],
)
def test_a_run_that_could_not_be_made_is_refused_at_once(place: str, why: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels") as refused:
        check_run_path(tmp_path / place)
    assert refused.value.errno == why
    assert tmp_path / place.partition("/")[0] == Path(refused.value.filename)


def test_where_nobody_may_write_a_run_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_run_path(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []

    def closed(*, dir: Path) -> None:  # noqa: A002 - its name
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(dir / "tmp1"))

    monkeypatch.setattr(tempfile, "TemporaryFile", closed)
    with pytest.raises(OSError, match="Read-only") as refused:
        check_run_path(tmp_path / "a" / "b")
    assert (refused.value.errno, refused.value.filename) == (errno.EROFS, str(tmp_path))


def test_a_folder_without_a_recipe_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe\.json"):
        open_run(tmp_path)


def test_a_row_that_finds_no_room_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create(tmp_path, recipe(), identity={})

    def full_disk(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left") as full:
        run.append_metrics({"step": 4})
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(tmp_path / "metrics.jsonl"))


@pytest.mark.parametrize("line", [b"\0" * 40, b"\xff\xfe{", b"[1, 2]", b"{}", b'{"epoch": 2'])
def test_a_damaged_line_costs_no_other(line: bytes, tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 4}\n' + line + b'\n{"step": 12}\n')
    assert run.metrics == [{"step": 4}, {"step": 12}]


def test_a_recipe_of_another_version_says_which(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    file = tmp_path / "recipe.json"
    file.write_text(file.read_text().replace('"seed"', '"seeds"'))
    with pytest.raises(ConfigError, match=r"recipe\.json: .*'seeds'.*seed\?$"):
        _ = run.recipe
    place = tmp_path / "environment.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "residua": "99.0"}))
    with pytest.raises(ConfigError, match=r"residua 99\.0 .*that version$"):
        _ = run.recipe


def test_rewinding_drops_later_rows_and_a_torn_line(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    for step in (4, 8, 12):
        run.append_metrics({"step": step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 16, "lo')
    assert [row["step"] for row in run.metrics] == [4, 8, 12]
    run.mark_finished({"step": 12})
    run.rewrite_metrics(run.metrics[:2])
    assert not run.finished
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 4}\n{"step": 8}\n'


def test_a_number_that_json_does_not_know_is_not_written(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    with pytest.raises(ValueError, match="JSON"):
        run.append_metrics({"loss": float("nan")})
    assert run.metrics == []


def test_runs_are_numbered_without_gaps_being_an_error(tmp_path: Path) -> None:
    assert next_free(tmp_path, "photos") == tmp_path / "photos-1"
    (tmp_path / "photos-1").mkdir()
    (tmp_path / "photos-3").mkdir()
    assert next_free(tmp_path, "photos") == tmp_path / "photos-2"


def test_a_name_that_is_no_text_comes_back_as_it_was(tmp_path: Path) -> None:
    odd = os.fsdecode(b"/photos/caf\xe9")
    assert create(tmp_path, recipe(odd), identity={}).recipe.data.source == odd


def test_a_text_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_file(tmp_path / "a.json", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "a.json", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "old")]


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    process, _ = holder(run, "alone")
    try:
        message = f"process {process.pid} on {re.escape(socket.gethostname())} since 20"
        with pytest.raises(RunBusyError, match=message), run.lock():
            pass
        with pytest.raises(RunBusyError, match=message):
            create(tmp_path, recipe(), force=True, identity={})
    finally:
        process.kill()
        process.wait()
    with run.lock():
        pass


def test_a_killed_holder_frees_the_run_even_when_its_child_lives_on(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    process, child = holder(run, "fork")
    try:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.kill(child, 0)  # it is alive
        with run.lock():
            pass
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.battery
def test_of_four_processes_that_start_at_once_exactly_one_writes(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    (gate, opened), (messages, report), (hold, released) = os.pipe(), os.pipe(), os.pipe()

    def race(_rank: int) -> None:
        os.read(gate, 1)
        try:
            with run.lock():
                os.write(report, b"held")
                os.read(hold, 1)  # until all have tried
        except RunBusyError:
            os.write(report, b"busy")

    for _ in range(20):
        children = begin(4, race)
        os.write(opened, bytes(4))
        words = sorted(os.read(messages, 4) for _ in children)
        os.write(released, bytes(words.count(b"held")))
        assert end(children) == [0] * 4
        assert words == [b"busy", b"busy", b"busy", b"held"]


def test_the_run_is_free_after_the_work_failed(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    with pytest.raises(KeyError), run.lock():
        raise KeyError
    with run.lock():
        pass


def test_the_same_process_cannot_hold_a_run_twice(tmp_path: Path) -> None:
    run = create(tmp_path, recipe(), identity={})
    with run.lock(), pytest.raises(RunBusyError, match=f"process {os.getpid()} "), run.lock():
        pass
