"""The tables of recipes and of their fields are complete, and made from the code."""

import json
import re
from pathlib import Path
from typing import get_type_hints

import pytest

import command
from command import complaint, succeeded
from residua.recipes import RECIPES, fields
from residua.recipes.fields import recipe_fields, recipe_summaries
from residua.spec.field_docs import field_docs
from residua.spec.recipe import Budget, Recipe
from residua.spec.record import paths

DOCS = Path(__file__).parents[2] / "docs"
PLAIN = {
    *("optim.lr", "optim.momentum", "optim.weight_decay", "optim.label_smoothing", "optim.beta2"),
    *("optim.grad_clip", "optim.layer_decay", "optim.aux_weight", "average.ema_decay", "seed"),
    *("augment.colour", "augment.policy_size", "augment.mixup", "augment.cutmix", "schedule.max_drops"),
    *("arch.preprocess.mean", "arch.preprocess.std"),
}
"""Numbers without a unit."""


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_of_every_recipe_has_a_meaning(name: str) -> None:
    rows = recipe_fields(name)
    known = {path for path in paths(Recipe) if not re.match(r"arch\.(?!preprocess)|detector\.", path)}
    assert {row.field for row in rows} == known | {"arch", "detector"}
    assert [row.field for row in rows if not row.meaning or "Unit:" in row.meaning] == []


def test_numbers_have_a_unit_unless_they_are_plain() -> None:
    rows = recipe_fields("quick.photos")
    numbers = {r.field for r in rows if type(r.default) in (int, float, list) and not r.unit}
    assert numbers == PLAIN


def test_a_unit_is_read_from_the_end_of_a_docstring() -> None:
    docs = field_docs(Budget)
    assert docs.keys() == get_type_hints(Budget).keys()
    assert docs["save_seconds"].unit == "seconds"
    assert docs["save_seconds"].meaning.startswith("Longest time between")


def test_a_choice_lists_what_it_may_be() -> None:
    rows = {row.field: row.meaning for row in recipe_fields("modern")}
    assert rows["plan.memory_format"].endswith("Choices: `auto`, `contiguous`, `channels_last`.")


def test_the_list_names_every_recipe_with_its_source() -> None:
    summaries = {each.name: each for each in recipe_summaries()}
    assert summaries.keys() == RECIPES.keys()
    assert summaries["he2015.cifar"].source == "He et al. 2015, section 4.2"
    assert all(each.meaning for each in summaries.values())


def test_the_defaults_are_those_of_the_recipe() -> None:
    by_name = {row.field: row.default for row in recipe_fields("he2015.cifar")}
    assert (by_name["arch"], by_name["budget.steps"], by_name["schedule.drops"]) == (
        "cifar_resnet20",
        64_000,
        [0.5, 0.75],
    )
    assert fields.example_network("he2015.coco").startswith("fasterrcnn")


def test_the_command_prints_both_tables_and_gives_them_as_json() -> None:
    out = succeeded(command.residua("recipes"))
    assert [name for name in RECIPES if name not in out] == []
    one = succeeded(command.residua("recipes", "modern"))
    assert re.search(r"budget\.save_seconds +30 +seconds +Longest time", one)
    rows = json.loads(succeeded(command.residua("recipes", "modern", "--json")))
    assert all(row.keys() == {"field", "default", "unit", "meaning"} for row in rows)
    assert "quick.photos" in complaint(command.residua("recipes", "quick.photo"), 2)


def test_the_page_of_recipes_lists_every_field_and_every_recipe() -> None:
    page = (DOCS / "reference/recipes.md").read_text()
    assert [name for name in RECIPES if f"| `{name}` |" not in page] == []
    assert fields.markdown_table() in page
