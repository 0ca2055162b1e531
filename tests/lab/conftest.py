"""Folders of runs, a lab over them, and Chromium."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_runs import folder_of_runs
from lab_views import ViewFolder, write_view_folder

from server_process import Server, serving
from small import colours, fresh, recipe

RunMaker = Callable[..., Path]


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained."""
    return fresh(tmp_path_factory.mktemp("trained") / "colours", recipe(), colours()).path


@pytest.fixture
def runs(tmp_path: Path, trained: Path) -> Path:
    """A folder with five runs."""
    return folder_of_runs(tmp_path / "runs", trained)


@pytest.fixture
def lab(runs: Path, tmp_path: Path) -> Iterator[Server]:
    """A lab over that folder."""
    with serving(runs, command="lab", env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}) as server:
        yield server


@pytest.fixture(scope="package")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewFolder]:
    """A lab over trained networks."""
    folder, cache = tmp_path_factory.mktemp("views") / "runs", tmp_path_factory.mktemp("cache")
    write_view_folder(folder)
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    with serving(folder, command="lab", env=env) as server, server.client() as client:
        yield ViewFolder(folder, client)
