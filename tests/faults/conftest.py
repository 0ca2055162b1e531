"""Runs that are interrupted on purpose, and the same runs undisturbed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ranks import together
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run, start_or_join
from residua.jobs.train_request import TrainRequest
from residua.runs.run import Run, open_run
from residua.spec.recipe import Budget
from residua.training.processes.world import World
from small import Stop, arch, file_of, never, recipe, split_folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures to learn from, 12 to judge by."""
    return split_folder(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def run_recipe(photos: Path) -> Path:
    """A recipe of 160 steps in 40 epochs that saves every tenth of a second."""
    long = recipe("", arch=arch(), budget=Budget(epochs=40, batch_size=6, save_seconds=0.1))
    return file_of(long, photos.parent / "recipe.json")


@pytest.fixture(scope="session")
def trained(photos: Path, run_recipe: Path) -> Callable[..., Run]:
    """Trains that recipe, or another, in this process until its end, or until `stop` says so."""

    def train(path: Path, stop: Stop = never, *, recipe: Path = run_recipe) -> Run:
        prepared = prepare(TrainRequest(str(photos), recipe=str(recipe)))
        run = create_run(prepared, path)
        fit_run(run, prepared, stop=stop)
        return run

    return train


@pytest.fixture(scope="session")
def clean(trained: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nothing disturbed."""
    return trained(tmp_path_factory.mktemp("clean") / "run")


@pytest.fixture(scope="session")
def short(photos: Path) -> Path:
    """A recipe of 16 steps in 4 epochs that saves after every step."""
    run_recipe = recipe("", arch=arch(), budget=Budget(epochs=4, batch_size=6, save_seconds=0.0))
    return file_of(run_recipe, photos.parent / "short.json")


@pytest.fixture(scope="session")
def short_clean(trained: Callable[..., Run], short: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Its run that nothing disturbed."""
    return trained(tmp_path_factory.mktemp("short") / "run", recipe=short)


@pytest.fixture(scope="session")
def often(photos: Path) -> Path:
    """A recipe of 40 steps in 10 epochs that saves after every step."""
    short = recipe("", arch=arch(), budget=Budget(epochs=10, batch_size=6, save_seconds=0.0))
    return file_of(short, photos.parent / "ranks.json")


@pytest.fixture(scope="session")
def twice(photos: Path, often: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of two processes that nothing disturbed."""
    path = tmp_path_factory.mktemp("twice") / "run"

    def train(world: World) -> None:
        run, prepared = start_or_join(TrainRequest(str(photos), recipe=str(often)), path, world=world)
        fit_run(run, prepared, world=world)

    together(2, train)
    return open_run(path)
