"""A run from somebody else: links, pipes and folders in the place of its files reach nothing outside it."""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import residua as python
from command import complaint, residua
from residua.errors import CheckpointError
from residua.jobs.track import tracked
from residua.runs import checkpoint, metadata_backup
from residua.runs.metadata_backup import restore_from_backup
from residua.runs.run import BACKUP, DATA, RECIPE, Run, check_run_path, create
from small import after, recipe

NAMES = (
    ".lock",
    RECIPE,
    DATA,
    "environment.json",
    "metrics.jsonl",
    "rollbacks.json",
    "finished.json",
    "report.html",
    "quarantine.csv",
    "diverged.json",
    BACKUP,
    f"checkpoints/{checkpoint.BEST}",
    "checkpoints/state-000000009.safetensors",
    "checkpoints/.state-000000010.safetensors.PID.tmp",
)
"""Everything that a run may hold, and a temporary file of this process."""

Place = Callable[[Path, Path], object]


def link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "precious")


def broken_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "created")


def pipe(place: Path, _: Path) -> None:
    os.mkfifo(place)


def folder(place: Path, _: Path) -> None:
    place.mkdir()


def listener(place: Path, _: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # a socket's path may have 100 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place.name)
    os.chdir(here)


@pytest.fixture(scope="module")
def received(trained: Callable[..., Run], short: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("received") / "run", after(9), recipe=short)


@pytest.fixture
def run(received: Run, tmp_path: Path) -> Run:
    """A copy of the interrupted run, to be spoiled."""
    return Run(Path(shutil.copytree(received.path, tmp_path / "run")))


@pytest.fixture
def outside(run: Run, tmp_path: Path) -> Iterator[Path]:
    """A folder of the user, which is as before after the test."""
    here = tmp_path / "mine"
    here.mkdir()
    for name in ("precious", "state-000000001.safetensors", ".half.4242.tmp", "metrics.jsonl"):
        (here / name).write_text("mine")
    yield here
    assert {file.name: file.read_text() for file in here.iterdir()} == dict.fromkeys(
        ("precious", "state-000000001.safetensors", ".half.4242.tmp", "metrics.jsonl"), "mine"
    )


def refuse(run: Run, name: str) -> None:
    """Every way into a run names what is wrong."""
    for enter in (
        lambda: python.resume(run.path),
        lambda: python.evaluate(run),
        lambda: python.load(run.path),
        lambda: create(run.path, recipe(), identity={}, force=True),
        lambda: check_run_path(run.path, force=True),
        lambda: checkpoint.weights_file(run.path),
        lambda: tracked(run.path, print, ["tensorboard"]).__enter__(),
        lambda: run.lock().__enter__(),
    ):
        with pytest.raises(CheckpointError, match=Path(name).name):
            enter()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [link, broken_link, pipe, folder, listener])
def test_nothing_is_read_or_written_through_what_is_no_file_of_a_run(
    place: Place, name: str, run: Run, outside: Path
) -> None:
    name = name.replace("PID", str(os.getpid()))
    there = run.path / name
    there.unlink(missing_ok=True)
    place(there, outside)
    refuse(run, name)
    assert os.path.lexists(there)


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_no_folder_of_a_run_leads_out_of_it(name: str, run: Run, outside: Path) -> None:
    shutil.rmtree(run.path / name, ignore_errors=True)
    (run.path / name).symlink_to(outside)
    refuse(run, name)


def test_the_command_ends_in_one_line_with_the_link(run: Run, outside: Path) -> None:
    (run.path / ".lock").unlink()
    link(run.path / ".lock", outside)
    assert f"{run.path}/.lock is a link to {outside}/precious" in complaint(residua("resume", run.path), 5)


def test_the_run_directory_itself_may_be_a_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(run.path)
    assert python.resume(tmp_path / "alias").finished


def test_the_second_copy_writes_the_two_files_it_is_for(run: Run, outside: Path) -> None:
    files = json.loads((run.path / BACKUP).read_text())["files"] | {str(outside / "precious"): "theirs"}
    (run.path / BACKUP).write_text(json.dumps({"files": files, "digest": metadata_backup._digest(files)}))
    restore_from_backup(run.path)
