"""`residua recipes`."""

from typing import TYPE_CHECKING

import typer

from residua.cli.options import JSON, complete_recipe
from residua.cli.terminal import aside, command, console, next_line, put_json, say, show_table

if TYPE_CHECKING:
    from rich.console import Console


def recipes(
    name: str | None = typer.Argument(
        None, metavar="NAME", help="A recipe, to see every field.", autocompletion=complete_recipe
    ),
    as_json: bool = JSON,
) -> None:
    """List the training recipes, or every field of one.

    Example: residua recipes quick.photos
    """
    from residua.recipes.fields import recipe_fields, recipe_summaries
    from residua.spec.record import to_plain

    to = console()
    if as_json:
        put_json(to_plain(recipe_summaries() if name is None else recipe_fields(name)))
    elif name is None:
        rows = [(each.name, each.meaning, each.source) for each in recipe_summaries()]
        show_table(to, ("name", "what", "source"), rows)
        next_line(to, command("recipes", "quick.photos"), command("train", "DATA", "--recipe", "NAME"))
    else:
        _show(to, name)


def _show(to: "Console", name: str) -> None:
    """Print every field of one recipe."""
    from residua.recipes import RECIPES
    from residua.recipes.fields import example_network, format_value, recipe_fields

    fields = recipe_fields(name)
    paragraphs = (RECIPES[name].__doc__ or "").strip().split("\n\n")
    for paragraph in paragraphs:
        say(aside(to), " ".join(paragraph.split()))
    rows = [(each.field, format_value(each.default), each.unit, each.meaning) for each in fields]
    say(to, "")
    show_table(to, ("field", "default", "unit", "meaning"), rows, width=160)
    say(
        aside(to),
        f"defaults for {example_network(name)}; a recipe may choose others for other networks",
        "dim",
    )
    next_line(to, command("train", "DATA", "--recipe", name, "--set", "FIELD=VALUE"))
