"""Folders of runs, a lab over them, and Chromium."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_runs import write_run

from server_process import Server, serving
from small import colours, fresh, recipe

RunMaker = Callable[..., Path]


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained."""
    return fresh(tmp_path_factory.mktemp("trained") / "colours", recipe(), colours()).path


@pytest.fixture
def runs(tmp_path: Path, trained: Path) -> Path:
    """A folder with a trained run, two seeds of a recipe, a stopped run, and one whose name is markup."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copytree(trained, folder / "colours")
    write_run(folder / "again-1", errors=[60.0, 30.0, 12.0], seed=1)
    write_run(folder / "again-2", errors=[62.0, 33.0, 10.0], seed=2)
    write_run(folder / "group" / "stopped", errors=[70.0], finished=False)
    write_run(folder / "<img src=x onerror=alert(1)>", errors=[50.0, 40.0])
    return folder


@pytest.fixture
def lab(runs: Path, tmp_path: Path) -> Iterator[Server]:
    """A lab over that folder."""
    with serving(runs, command="lab", env={"XDG_CACHE_HOME": str(tmp_path / "cache")}) as server:
        yield server
