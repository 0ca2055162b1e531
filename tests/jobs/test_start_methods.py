"""Loader workers start by every method of multiprocessing: macOS and Windows spawn, Python 3.14 has a server.

A spawned worker imports torch, which takes seconds; the server of the tests has imported it. Both get the
same pickled dataset, so the server stands for all kinds of data, and one is spawned in the battery.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import box_data
import clip_data
import command
import small
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run
from residua.jobs.train_request import TrainRequest
from residua.runs.run import Run
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.recipe import Recipe


@pytest.fixture
def start_method(request: pytest.FixtureRequest) -> Iterator[str]:
    """Sets the start method of the test's parameter until the test ends."""
    before = multiprocessing.get_start_method()
    command._context()  # its server forks for this test, too
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


def train(path: Path, run_recipe: Recipe, workers: int) -> Run:
    data = replace(run_recipe.data, num_workers=workers, resident_bytes=0)
    budget = replace(run_recipe.budget, epochs=1)
    prepared = prepare(TrainRequest(data.source, recipe=replace(run_recipe, data=data, budget=budget)))
    run = create_run(prepared, path)
    fit_run(run, prepared)
    return run


def images(root: Path) -> Recipe:
    return small.recipe(str(small.split_folder(root)))


def clips(root: Path) -> Recipe:
    pytest.importorskip("av", reason="clips need PyAV: pip install 'residua[video]'")
    for split in ("train", "val"):
        for name, step in (("brighter", 1), ("darker", -1)):
            clip_data.write(root / split / name / "0.mp4", clip_data.numbered(12, 40, 32)[::step])
    run_recipe = small.recipe(f"video:{root}")
    arch = inflate(replace(run_recipe.arch, classes=2), Clip(3, 3))
    return replace(run_recipe, arch=arch)


def boxes(root: Path) -> Recipe:
    return box_data.recipe(f"voc:{box_data.voc_folder(root)}")


@pytest.mark.parametrize(
    ("start_method", "data"),
    [
        ("forkserver", images),
        ("forkserver", clips),
        ("forkserver", boxes),
        pytest.param("spawn", images, marks=pytest.mark.battery),
    ],
    indirect=["start_method"],
)
def test_workers_read_the_same_examples_however_they_start(
    start_method: str, data: Callable[[Path], Recipe], tmp_path: Path
) -> None:
    assert multiprocessing.get_start_method() == start_method
    run_recipe = data(tmp_path / "data")
    alone, shared = (train(tmp_path / str(workers), run_recipe, workers) for workers in (0, 2))
    assert small.weights(alone) == small.weights(shared)
