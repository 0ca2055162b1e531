"""Lengths by the clock: minutes, and the limit of what is chosen for a small dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import residua
from residua.errors import ConfigError
from residua.jobs import length
from residua.jobs.length import choose_length, format_duration
from residua.jobs.prepare import open_data, prepare
from residua.jobs.train import start_or_join
from residua.jobs.train_request import TrainRequest
from residua.recipes import recipe as recipe_named
from residua.runs.run import Run
from residua.spec import zoo
from residua.spec.recipe import Recipe
from residua.training.pace import Pace
from residua.training.processes.world import World
from small import colours, photo_folder

PLAN = {"plan.precision": "float32", "plan.memory_format": "contiguous"}  # not measured
QUICK = recipe_named("quick.small", zoo.arch("smallconvnet"), "colours")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("length") / "photos")


def chosen(
    monkeypatch: pytest.MonkeyPatch, pace: Pace, *, minutes: float | None = None, recipe: Recipe = QUICK
) -> Recipe:
    """`recipe` for 24 images with that pace: one step an epoch."""
    monkeypatch.setattr(length, "measure_pace", lambda *_args, **_options: pace)
    nothing: Any = None
    return choose_length(recipe, nothing, colours(), nothing, minutes=minutes, is_own=not minutes).recipe


def test_as_many_epochs_as_fit_into_the_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = chosen(monkeypatch, Pace(start=4, step=1, epoch_end=1), minutes=1).budget
    assert (budget.epochs, budget.steps) == (25, 0)  # 54 of 60 seconds: 4, and 25 times 2


def test_minutes_too_few_for_an_epoch_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(QUICK, budget=replace(QUICK.budget, batch_size=2))  # twelve steps an epoch
    budget = chosen(monkeypatch, Pace(start=4, step=10, epoch_end=10), minutes=1, recipe=recipe).budget
    assert budget.steps == 4


def test_at_least_one_step_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, Pace(start=500, step=500, epoch_end=1), minutes=1).budget.steps == 1


def test_a_slow_machine_cuts_the_length_for_few_images_but_not_the_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = recipe_named("quick.small", zoo.arch("resnet18"), "colours")
    long = replace(large, budget=replace(QUICK.budget, epochs=150))
    assert chosen(monkeypatch, Pace(0, 1, 1), recipe=long) == long
    assert chosen(monkeypatch, Pace(0, 20, 10), recipe=long).budget.epochs == 60
    assert chosen(monkeypatch, Pace(0, 1000, 1), recipe=long).budget.epochs == QUICK.budget.epochs


def test_a_length_that_is_short_on_any_machine_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Pace(start=0, step=1e6, epoch_end=0)
    long = replace(QUICK, budget=replace(QUICK.budget, epochs=150))
    assert chosen(monkeypatch, slow, recipe=long) == long
    assert chosen(monkeypatch, slow, recipe=long, minutes=1).budget.steps == 1


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), 1e9])
def test_minutes_that_are_no_length_are_refused(minutes: float, photos: Path) -> None:
    with pytest.raises(ConfigError, match="minutes"):
        open_data(TrainRequest(str(photos), minutes=minutes))


@pytest.mark.parametrize(
    "other", [{"epochs": 3}, {"changes": {"budget.steps": 3}}, {"changes": {"budget.epochs": 3}}]
)
def test_minutes_and_another_length_contradict_each_other(other: dict[str, Any], photos: Path) -> None:
    with pytest.raises(ConfigError, match="give one"):
        residua.train(photos, "smallconvnet", minutes=1, **other)


def test_the_run_stores_the_length_that_the_minutes_became(photos: Path, tmp_path: Path) -> None:
    run = residua.train(photos, "smallconvnet", minutes=0.01, changes=PLAN, out=tmp_path / "run")
    budget = Run(run.path).recipe.budget
    rows = Run(run.path).metrics
    assert rows[-1]["step"] == (budget.steps or 3 * budget.epochs)


def test_a_restarted_job_finds_its_run_although_the_machine_is_slower(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = TrainRequest(str(photos), "smallconvnet", minutes=0.1, changes=tuple(PLAN.items()))
    paces = iter((Pace(0, 0.01, 0.01), Pace(0, 0.05, 0.05)))
    monkeypatch.setattr(length, "measure_pace", lambda *_args, **_options: next(paces))
    first, _ = start_or_join(request, tmp_path / "run")
    again, prepared = start_or_join(request, tmp_path / "run", world=World(restarts=1))
    assert prepared.recipe == first.recipe == again.recipe


def test_timing_leaves_no_trace_in_the_network(photos: Path) -> None:
    changes = tuple(PLAN.items())
    untimed = prepare(TrainRequest(str(photos), "smallconvnet", epochs=1, changes=changes))
    timed = prepare(TrainRequest(str(photos), "smallconvnet", minutes=0.05, changes=changes))
    before, after = untimed.network.state_dict(), timed.network.state_dict()
    assert all(bool((before[name] == after[name]).all()) for name in before)
    assert timed.is_timed
    assert not untimed.is_timed


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 second"), (40, "40 seconds"), (420, "7 minutes"), (9000, "2.5 hours")]
)
def test_durations_are_written_in_their_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
