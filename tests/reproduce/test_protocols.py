"""Labels are earned: a recipe is held against what the paper states."""

from dataclasses import replace

import pytest

from residua import recipes
from residua.reproduce.items import ITEMS, RECIPE_OF
from residua.reproduce.protocols import NAMES, STATED, Departure, departures, label
from residua.spec import zoo
from residua.spec.recipe import Recipe
from residua.spec.record import override, paths

CIFAR = recipes.recipe("he2015.cifar", zoo.arch("cifar_resnet110"), "cifar10")


def changed(**changes: str) -> Recipe:
    recipe = CIFAR
    for path, text in changes.items():
        recipe = override(recipe, path.replace("__", "."), text)
    return replace(recipe, plan=replace(recipe.plan, precision="float32"))


@pytest.mark.parametrize("paper", ["he2015", "he2016", "duta2020"])
@pytest.mark.parametrize("data", ["cifar10", "imagenet"])
def test_the_papers_recipes_are_what_the_papers_state(paper: str, data: str) -> None:
    large = data == "imagenet"
    name = RECIPE_OF[paper, "large" if large else "small"]
    for network in ("resnet50",) if large else ("cifar_resnet20", "cifar_resnet110"):
        recipe = recipes.recipe(name, zoo.arch(network), data)
        recipe = replace(recipe, plan=replace(recipe.plan, precision="float32"))
        found = {each.what for each in departures(recipe, paper, data)}
        assert found == set()


@pytest.mark.parametrize(
    ("changes", "earned"),
    [
        ({}, "same protocol"),
        ({"budget__steps": "4000"}, "scaled down"),
        ({"budget__batch": "64"}, "scaled down"),
        ({"optim__decay": "0.001"}, "same protocol but for weight decay"),
        ({"schedule__warmup_error": "0"}, "same protocol but for end of the warm-up"),
        ({"augment__pad": "2", "optim__rate": "0.2"}, "same protocol but for first rate, border in pixels"),
        ({"optim__decay": "0.001", "budget__steps": "4000"}, "scaled down"),
    ],
)  # fmt: skip
def test_labels_are_earned(changes: dict[str, str], earned: str) -> None:
    found = departures(changed(**changes), "he2015", "cifar10")
    assert label(found) == earned


def test_the_mean_of_a_channel_is_not_that_of_a_pixel() -> None:
    recipe = override(CIFAR, "data.subtract", "channel")
    (found,) = departures(
        replace(recipe, plan=replace(recipe.plan, precision="float32")), "he2015", "cifar10"
    )
    assert str(found) == "mean that is subtracted: channel, in the paper pixel"
    assert label((found,)) == "same protocol but for mean that is subtracted"


def test_another_arithmetic_is_named() -> None:
    recipe = replace(CIFAR, plan=replace(CIFAR.plan, precision="bfloat16"))
    (found,) = (each for each in departures(recipe, "he2015", "cifar10") if each.what == "plan.precision")
    assert str(found) == "arithmetic: bfloat16, in the paper float32"


def test_fewer_images_or_another_network_scale_down() -> None:
    assert label((Departure("training images", "2,000", "50,000"),)) == "scaled down"
    assert label((Departure("network", "cifar_plain20", "plain18"),)) == "scaled down"


def test_every_statement_is_about_a_field_that_has_a_name() -> None:
    stated = {path for each in STATED.values() for path in each} | {"schedule.warmup_error"}
    assert stated == set(NAMES)
    assert stated <= set(paths(Recipe))
    assert {(found.paper, "imagenet" if data == "imagenet" else "cifar") for found in ITEMS.values()
            for data in found.needs} <= set(STATED)  # fmt: skip
