"""All recipes with meaning and source, and the fields of one with value, unit and meaning, from the code."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from residua.recipes import RECIPES, recipe
from residua.recipes.sentences import SOURCES
from residua.spec import detector, zoo
from residua.spec.field_docs import field_docs
from residua.spec.recipe import Data, Recipe
from residua.spec.record import to_plain

OURS = "ours"
"""Source of a recipe that no paper describes."""
EXAMPLES = {
    "cifar_resnet20": ("cifar", "fast_cifar", "quick.small", "quick.digits"),
    "ssd300_resnet18": ("quick.boxes",),
    "fasterrcnn_c4_resnet101": ("coco",),
    "resnet3d18": ("quick.clips", "quick.moving"),
}
"""Network -> recipes whose fields are shown for it, by name or by its last part; others for OTHERWISE."""
OTHERWISE = "resnet50"
NETWORK = ("arch", "detector")
"""Fields that hold a network; only its name and how it reads pictures are shown."""


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """A recipe in the list of all."""

    name: str
    """Its name."""
    meaning: str
    """What it is for, in one sentence."""
    source: str
    """Paper and section; `ours` without one."""


@dataclass(frozen=True, slots=True)
class RecipeField:
    """One setting of a recipe."""

    field: str
    """Its path for --set."""
    default: Any
    """Its value in the recipe, as JSON."""
    unit: str
    """What it counts or measures; empty for names, choices and plain numbers."""
    meaning: str
    """What it does."""


def recipe_summaries() -> list[RecipeSummary]:
    """Every recipe with its meaning and source, in the order of RECIPES."""
    return [
        RecipeSummary(name, _first_sentence(function.__doc__ or ""), SOURCES.get(name, OURS))
        for name, function in RECIPES.items()
    ]


def example_network(name: str) -> str:
    """The network for which the fields of the recipe `name` are shown: recipes may depend on it."""
    words = (name, name.rpartition(".")[2])
    return next((network for network, names in EXAMPLES.items() if {*words} & {*names}), OTHERWISE)


def recipe_fields(name: str) -> list[RecipeField]:
    """Every field of the recipe `name` for its example network.

    Raises:
        ConfigError: There is no such recipe; the message offers the nearest names.
    """
    network = example_network(name)
    head = None
    if detector.split_name(network):
        head, arch = detector.named(network)
    else:
        arch = zoo.arch(network)
    return list_fields(dataclasses.replace(recipe(name, arch, "DATA"), detector=head))


def list_fields(value: Recipe) -> list[RecipeField]:
    """Every field of a recipe, but of its networks only the name and how pictures are read."""
    rows = []
    for name, doc in field_docs(Recipe).items():
        part = getattr(value, name)
        if name in NETWORK:
            rows.append(RecipeField(name, part and part.name, doc.unit, doc.meaning))
        elif dataclasses.is_dataclass(part):
            rows += _rows(part, f"{name}.")
        else:
            rows.append(RecipeField(name, to_plain(part), doc.unit, doc.meaning))
    return rows + _rows(value.arch.preprocess, "arch.preprocess.")


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A setting in which recipes differ."""

    field: str
    """Its path for --set; `network` for the network."""
    values: tuple[str, ...]
    """Its value in each recipe, as text; empty where the recipe has no such setting."""
    meaning: str
    """What it does."""


def recipe_differences(recipes: Sequence[Recipe]) -> list[FieldDifference]:
    """The settings in which recipes differ, in the order of the fields; the name of the recipe is left out.

    Args:
        recipes: Two or more.
    """
    tables = [{row.field: row for row in list_fields(one)} for one in recipes]
    names = [one.arch.name for one in recipes]
    meaning = "The network that is trained."
    rows = [FieldDifference("network", tuple(names), meaning)] if len(set(names)) > 1 else []
    for field in dict.fromkeys(field for table in tables for field in table):
        fields = [table.get(field) for table in tables]
        values = tuple("" if row is None else format_value(row.default) for row in fields)
        if len(set(values)) > 1 and field != "name" and not field.startswith(NETWORK):
            rows.append(FieldDifference(field, values, next(row.meaning for row in fields if row)))
    return rows


def settings_of(value: Recipe) -> list[tuple[str, str]]:
    """Paths and values of all fields of a recipe, as they are written after --set."""
    return [(row.field, format_value(row.default)) for row in list_fields(value)]


def format_value(value: Any) -> str:
    """A value as it is written after --set; `none` and `empty` where there is nothing to write."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return ",".join(map(format_value, value)) or "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"


def markdown_table() -> str:
    """The table of fields in `docs/reference/recipes.md`, with the defaults of a recipe that sets nothing."""
    arch = zoo.arch(OTHERWISE)
    rows = list_fields(Recipe("", arch, Data("")))
    lines = [
        " ".join(f"| `{row.field}` | {_cell(row.default)} | {row.unit} | {row.meaning} |".split())
        for row in rows
        if row.field not in ("name", "data.source", *NETWORK)
    ]
    return "\n".join(["| field | default | unit | meaning |", "| --- " * 4 + "|", *lines]) + "\n"


def _cell(value: Any) -> str:
    return f"`{format_value(value)}`" if value not in ("", []) else ""


def _rows(record: Any, before: str) -> list[RecipeField]:
    docs, hints = field_docs(record.__class__), get_type_hints(record.__class__)
    return [
        RecipeField(
            before + name,
            to_plain(getattr(record, name)),
            doc.unit,
            " ".join(filter(None, (doc.meaning, _choices(hints[name])))),
        )
        for name, doc in docs.items()
    ]


def _choices(hint: Any) -> str:
    """What a field of type `hint` may be, where it is a choice; else empty."""
    if get_origin(hint) is not Literal:
        return ""
    return f"Choices: {', '.join(f'`{choice}`' for choice in get_args(hint))}."


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")
