"""Every recipe trains, has a docstring and is in the docs; its numbers are the papers'."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest

from residua import recipes
from residua.errors import ConfigError
from residua.recipes import RECIPES
from residua.runs import checkpoint
from residua.spec import change, zoo
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Averaging, Budget, Data, Recipe
from residua.spec.record import from_json, to_json
from small import PLAN, arch, fresh, photo_folder

DOCS = Path(__file__).parents[2] / "docs/reference/recipes.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \| (.+) \|$", re.MULTILINE)


def build_recipe(name: str, network: str = "cifar_resnet20") -> Recipe:
    return recipes.recipe(name, zoo.arch(network), "somewhere")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_docstring_and_survives_its_file(name: str) -> None:
    recipe = build_recipe(name)
    assert recipe.name.split(" ")[0] == name
    assert recipe.data.source == "somewhere"
    assert inspect.getdoc(RECIPES[name])
    assert from_json(Recipe, to_json(recipe)) == recipe


def test_the_docs_list_every_recipe_and_no_other() -> None:
    section = DOCS.read_text().partition("## All recipes")[2].partition("\n## ")[0]
    rows = ROW.findall(section)
    assert [name for name, _, _ in rows] == list(RECIPES)
    assert all(what and source for _, what, source in rows)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name: str, tmp_path: Path) -> None:
    """Two epochs of tiny images; sizes are reduced."""
    from residua.data.open import open_dataset

    folder = str(photo_folder(tmp_path / "photos", side=20))
    data = open_dataset(folder, val_fraction=0.25)
    small = change.with_preprocess(arch(), Preprocess(16, 16, (0.5,) * 3, (0.25,) * 3))
    recipe = RECIPES[name](small, folder)
    recipe = replace(
        recipe,
        data=Data(folder, val_fraction=0.25, num_workers=0, balance=recipe.data.balance),
        augment=replace(recipe.augment, sides=(16, 20), cutout=min(3, recipe.augment.cutout)),
        budget=Budget(epochs=2, batch_size=6),
        optim=replace(recipe.optim, lr=0.01),
        plan=PLAN,
    )
    if recipe.optim.frozen_norms:
        first = fresh(
            tmp_path / "first", replace(recipe, optim=replace(recipe.optim, frozen_norms=False)), data
        )
        recipe = replace(recipe, weights=str(checkpoint.list_checkpoints(first.checkpoints)[0]))
    run = fresh(tmp_path / "run", recipe, data)
    assert run.finished
    trained = [] if recipe.probe == "only" else [1, 2]
    begin = [] if recipe.probe == "off" else [0]
    assert [row["epoch"] for row in run.metrics] == begin + trained


@pytest.mark.parametrize("name", ["he2015.cifar", "he2016.cifar", "duta2020.cifar"])
def test_cifar_recipes_are_those_of_table_6(name: str) -> None:
    recipe = build_recipe(name)
    assert (recipe.optim.lr, recipe.optim.momentum, recipe.optim.weight_decay) == (0.1, 0.9, 1e-4)
    assert recipe.optim.decay_norms_and_biases
    assert not recipe.optim.nesterov
    assert (recipe.budget.batch_size, recipe.budget.steps) == (128, 64_000)
    assert (recipe.augment.pad, recipe.augment.flip, recipe.augment.policy) == (4, 0.5, "none")
    assert recipe.average == Averaging()


def test_only_deep_networks_of_the_first_paper_warm_up() -> None:
    assert build_recipe("he2015.cifar", "cifar_resnet56").schedule.warmup_error == 0
    assert build_recipe("he2015.cifar", "cifar_resnet110").schedule.warmup_error == 80
    assert build_recipe("he2016.cifar").schedule.warmup == 400 / 64_000


def test_imagenet_recipes_are_the_papers() -> None:
    first, second, third = (
        build_recipe(f"{paper}.imagenet", "resnet50") for paper in ("he2015", "he2016", "duta2020")
    )
    for recipe in (first, second, third):
        assert (recipe.optim.lr, recipe.optim.momentum, recipe.optim.weight_decay) == (0.1, 0.9, 1e-4)
        assert recipe.budget.batch_size == 256
        assert recipe.schedule.warmup == 0
    assert [recipe.budget.epochs for recipe in (first, second, third)] == [120, 90, 90]
    assert first.augment == second.augment
    assert (first.augment.kind, first.augment.sides, first.augment.colour) == ("scale_crop", (256, 480), 0.1)
    assert first.schedule.shape == "plateau"
    assert third.augment.area == (0.08, 1.0)


@pytest.mark.parametrize("name", ["he2015.imagenet", "he2015.imagenet_steps", "he2016.imagenet"])
def test_other_crops_have_the_papers_scales_in_proportion(name: str) -> None:
    small = change.with_preprocess(zoo.arch("resnet18"), Preprocess(112, 128, (0.5,) * 3, (0.25,) * 3))
    assert RECIPES[name](small, "x").augment.sides == (128, 240)


def test_a_recipe_of_ours_under_a_papers_name_is_marked() -> None:
    assert build_recipe("duta2020.cifar").name == "duta2020.cifar (ours)"
    assert "Ours, not the paper's" in str(RECIPES["duta2020.cifar"].__doc__)


def test_an_unknown_recipe_offers_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"did you mean he2016\.cifar"):
        recipes.recipe("he2016.cifr", zoo.arch("cifar_resnet20"), "x")
