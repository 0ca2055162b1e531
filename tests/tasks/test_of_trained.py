"""The task of a run follows from the file beside its weights; options of other tasks are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

import box_data
import small
from residua import tasks
from residua.errors import ConfigError
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.tasks.classify.predict_task import ClassifyPredict
from residua.tasks.detect.predict_task import DetectPredict
from residua.tasks.video.predict_task import VideoPredict


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """A recipe of each task, where its run would be."""
    image_recipe = small.recipe()
    recipes = {
        "images": image_recipe,
        "clips": replace(image_recipe, arch=inflate(image_recipe.arch, Clip(3, 2))),
        "boxes": box_data.recipe("voc:none"),
    }
    for name, recipe in recipes.items():
        (tmp_path / name).mkdir()
        small.file_of(recipe, tmp_path / name / "recipe.json")
    return {name: tmp_path / name for name in recipes}


@pytest.mark.parametrize(
    ("name", "task"),
    [("images", ClassifyPredict), ("clips", VideoPredict), ("boxes", DetectPredict)],
)
def test_the_recipe_of_a_run_decides_its_task(runs: dict[str, Path], name: str, task: type) -> None:
    assert isinstance(tasks.predict_task_of([runs[name]]), task)


def test_a_damaged_or_missing_run_is_reported_when_it_is_loaded(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    (runs["clips"] / "recipe.json").write_text("{")
    for path in (runs["clips"], tmp_path / "none"):
        assert isinstance(tasks.predict_task_of([path], ["draw"]), ClassifyPredict)


def test_networks_of_several_tasks_are_not_evaluated_together(runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"boxes .*another task .*images"):
        tasks.predict_task_of([runs["images"], runs["boxes"]])


@pytest.mark.parametrize(
    ("name", "option", "owner"),
    [
        ("images", "draw", "detectors"),
        ("images", "timeline", "read clips"),
        ("clips", "draw", "detectors"),
        ("clips", "tta", "classify images"),
        ("boxes", "sort-into", "name classes"),
        ("boxes", "topk", "name classes"),
        ("boxes", "ensemble", "name classes"),
    ],
)
def test_an_option_without_effect_is_refused(
    runs: dict[str, Path], name: str, option: str, owner: str
) -> None:
    with pytest.raises(ConfigError, match=f"--{option} .*{owner}"):
        tasks.predict_task_of([runs[name]], [option])
