"""Options of `residua train` that set one field of the recipe: --lr is short for --set optim.lr."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from residua.errors import ConfigError

SHORT_FORMS: Mapping[str, str] = {
    "--epochs": "budget.epochs",
    "--lr": "optim.lr",
    "--batch-size": "budget.batch_size",
    "--device": "plan.device",
    "--seed": "seed",
    "--workers": "data.num_workers",
    "--val-fraction": "data.val_fraction",
    "--memory-limit": "plan.memory_limit",
}
"""Option -> the field of the recipe that it sets."""
OPPOSITES: Mapping[str, str] = {"budget.steps": "--epochs"}
"""Other fields that decide the same as an option."""


def short(option: str, metavar: str, help: str) -> Any:  # noqa: A002 - the name that typer gives it
    """An option of SHORT_FORMS, whose help names the field; its range is that of the field."""
    return typer.Option(None, option, metavar=metavar, help=f"{help.rstrip('.')} ({SHORT_FORMS[option]}).")


def recipe_changes(settings: Sequence[str], short_forms: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Changes of the recipe from --set and the short forms.

    Args:
        settings: Texts of --set, `NAME=VALUE`.
        short_forms: Option of SHORT_FORMS -> its value; None where it is not given.

    Returns:
        Paths of fields, and their values as text; without --epochs, which also sets `budget.steps`.

    Raises:
        ConfigError: A field is set by --set and by its short form, or is unknown.
    """
    from residua.spec.amount import parse_bytes
    from residua.spec.recipe import setting_path

    changes = [setting(text) for text in settings]
    values = {option: value for option, value in short_forms.items() if value is not None}
    options = {SHORT_FORMS[option]: option for option in values}
    options |= {path: option for path, option in OPPOSITES.items() if option in values}
    for name, _ in changes:
        if option := options.get(setting_path(name)):
            raise ConfigError(f"{option} and --set {name} set the same: give one of them")
    for option, value in values.items():
        text = str(parse_bytes(str(value))) if option == "--memory-limit" else str(value)
        changes += [(SHORT_FORMS[option], text)] if option != "--epochs" else []
    return tuple(changes)


def setting(text: str) -> tuple[str, str]:
    """The name and the value in `--set NAME=VALUE`. ConfigError without '='."""
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r} has no '=': give NAME=VALUE, e.g. --set optim.lr=0.05")
    return path.strip(), value.strip()
