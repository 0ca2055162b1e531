"""How commands take networks: what `-m` may be, `--model-set`, and the table of changes for their help."""

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any

import typer

from residua.errors import ConfigError
from residua.spec.changes import Changes, change_rows

NETWORK = "NAME[:CHANGE=VALUE,...]"
"""Placeholder of a network in the help."""
NETWORK_HELP = (
    "A network, e.g. cifar_resnet110:order=e, or a JSON file of one. Names: `residua models`; changes: "
    "`residua explain --help`."
)
MODEL_SET = typer.Option(
    [], "--model-set", metavar="CHANGE=VALUE", help="One more change of the network, which wins; repeatable."
)
LAST_MODEL_SET = typer.Option(
    [], "--model-set", metavar="CHANGE=VALUE", help="One more change of the last network; repeatable."
)
INDENT, WIDTH = 18, 78
"""Column where the meaning of a change begins in the help, and length of a line."""


def model_changes(texts: Iterable[str], **short_forms: Any) -> Changes:
    """The changes that options ask for.

    Args:
        texts: Those of `--model-set`.
        short_forms: Those with an option of their own, e.g. `frames`; None where it is not given.

    Raises:
        ConfigError: A change is unknown or given twice, or has a value of another type.
    """
    from residua.spec.named_network import read_changes

    words = [f"{option}={value}" for option, value in short_forms.items() if value is not None]
    return read_changes([*texts, *words])


def with_model_set(networks: Sequence[str], texts: Sequence[str], **short_forms: Any) -> list[str]:
    """`networks`, the last one with the changes that options ask for; see `model_changes`.

    Raises:
        ConfigError: There is no network to change, or a change cannot be made.
    """
    from residua.spec.named_network import spell

    changes = model_changes(texts, **short_forms)
    if changes and not networks:
        raise ConfigError("--model-set changes the last network, and there is none: give -m NAME")
    return [*networks[:-1], spell(networks[-1], changes)] if changes else list(networks)


def changes_help() -> str:
    """The table of changes as plain lines."""
    lines = ["Changes of a network, as in NAME:CHANGE=VALUE,... or --model-set CHANGE=VALUE:"]
    for row in change_rows():
        first, *more = wrap(row.meaning.replace("`", ""), WIDTH - INDENT)
        lines += [f"  {row.name:{INDENT - 2}}{first}", *(" " * INDENT + line for line in more)]
    return "\b\n" + "\n".join(lines)
