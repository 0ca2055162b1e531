"""The task of a run is told by what lies beside its weights; what means nothing to it is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

import marked
import small
from residua import tasks
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.tasks.classify.task import Classify
from residua.tasks.detect.task import Detect
from residua.tasks.video.task import Video


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """A recipe of each task, where its run would be."""
    made = small.recipe()
    recipes = {
        "images": made,
        "clips": replace(made, arch=inflate(made.arch, Clip(3, 2))),
        "boxes": marked.recipe("voc:none"),
    }
    for name, recipe in recipes.items():
        (tmp_path / name).mkdir()
        small.file_of(recipe, tmp_path / name / "recipe.json")
    return {name: tmp_path / name for name in recipes}


@pytest.mark.parametrize(("name", "kind"), [("images", Classify), ("clips", Video), ("boxes", Detect)])
def test_a_run_tells_its_task(runs: dict[str, Path], name: str, kind: type) -> None:
    assert isinstance(tasks.of_trained([runs[name]]), kind)


def test_what_is_damaged_or_not_there_is_left_to_who_reads_it(runs: dict[str, Path], tmp_path: Path) -> None:
    (runs["clips"] / "recipe.json").write_text("{")
    for path in (runs["clips"], tmp_path / "none"):
        assert isinstance(tasks.of_trained([path], ["draw"]), Classify)


def test_networks_of_several_tasks_are_not_judged_together(runs: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"boxes is of another task than .*images: judge each alone"):
        tasks.of_trained([runs["images"], runs["boxes"]])


@pytest.mark.parametrize(
    ("name", "option", "owner"),
    [
        ("images", "draw", "detectors"),
        ("images", "timeline", "networks that read clips"),
        ("clips", "least", "detectors"),
        ("boxes", "topk", "networks that name classes"),
        ("boxes", "ensemble", "networks that name classes"),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    runs: dict[str, Path], name: str, option: str, owner: str
) -> None:
    with pytest.raises(ValueError, match=f"--{option} is for {owner}: leave it"):
        tasks.of_trained([runs[name]], [option])
