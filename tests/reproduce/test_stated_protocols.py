"""Protocol labels: a recipe is compared with what the paper states."""

import re
from dataclasses import replace

import pytest

from residua import recipes
from residua.reproduce.items import (
    FIELD_NAMES,
    ITEMS,
    PAPER_PROTOCOLS,
    PAPER_RECIPES,
    ProtocolDifference,
    protocol_differences,
    protocol_label,
)
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
    name = PAPER_RECIPES[paper, "large" if large else "small"]
    for network in ("resnet50",) if large else ("cifar_resnet20", "cifar_resnet110"):
        recipe = recipes.recipe(name, zoo.arch(network), data)
        recipe = replace(recipe, plan=replace(recipe.plan, precision="float32"))
        assert protocol_differences(recipe, paper, data) == ()


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "same protocol"),
        ({"budget__steps": "4000"}, "scaled down"),
        ({"budget__batch_size": "64"}, "scaled down"),
        ({"optim__weight_decay": "0.001"}, "same protocol but .*weight decay"),
        ({"schedule__warmup_error": "0"}, "same protocol but .*training error .*warm-up"),
        ({"augment__pad": "2", "optim__lr": "0.2"}, "same protocol but .*learning rate, padding .*"),
        ({"optim__weight_decay": "0.001", "budget__steps": "4000"}, "scaled down"),
    ],
)  # fmt: skip
def test_a_label_follows_from_the_differences(changes: dict[str, str], label: str) -> None:
    differences = protocol_differences(changed(**changes), "he2015", "cifar10")
    assert re.search(f"^{label}$", protocol_label(differences))


def test_the_mean_of_a_channel_is_not_that_of_a_pixel() -> None:
    recipe = override(CIFAR, "data.subtract", "channel")
    (difference,) = protocol_differences(
        replace(recipe, plan=replace(recipe.plan, precision="float32")), "he2015", "cifar10"
    )
    assert re.search("mean .*channel.* paper pixel", str(difference))
    assert re.search("same protocol but .*mean", protocol_label((difference,)))


def test_another_precision_is_named() -> None:
    recipe = replace(CIFAR, plan=replace(CIFAR.plan, precision="bfloat16"))
    differences = {each.field: each for each in protocol_differences(recipe, "he2015", "cifar10")}
    assert str(differences["plan.precision"]) == "precision: bfloat16, in the paper float32"


def test_fewer_images_or_another_network_scale_down() -> None:
    assert protocol_label((ProtocolDifference("training images", "2,000", "50,000"),)) == "scaled down"
    assert protocol_label((ProtocolDifference("network", "cifar_plain20", "plain18"),)) == "scaled down"


def test_every_statement_is_about_a_field_that_has_a_name() -> None:
    stated = {path for protocol in PAPER_PROTOCOLS.values() for path in protocol}
    stated |= {"schedule.warmup_error"}
    assert stated == set(FIELD_NAMES)
    assert stated <= set(paths(Recipe))
    assert {
        (item.paper, "imagenet" if data == "imagenet" else "cifar")
        for item in ITEMS.values()
        for data in item.datasets
    } <= set(PAPER_PROTOCOLS)
