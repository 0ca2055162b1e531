"""Commands in groups, as `--help` shows them; each takes --verbose or --quiet, which this file adds."""

import inspect
from collections.abc import Callable
from functools import wraps
from operator import itemgetter
from typing import Any

import typer
from typer.core import TyperGroup

from residua.cli.verbosity import verbosity

TITLES = ("Start", "Networks", "Data", "Train", "Judge", "Explain")
"""Titles of the groups, in order."""
_VERBOSITY = typer.Option(
    None,
    "--verbose/--quiet",
    "-v/-q",
    help="Print versions, details and times too; or only results and errors.",
)


class CommandGroups(TyperGroup):
    """Commands under the title that each was registered with, in plain text: rich takes too long to load."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section of the help for each title, with aligned columns."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in TITLES}
        names = self.list_commands(ctx)
        width = max(map(len, names))
        for name in names:
            command: Any = self.get_command(ctx, name)
            if not command.hidden:
                summary = inspect.cleandoc(command.help or "").partition("\n\n")[0]
                title = command.rich_help_panel or "Commands"
                sections.setdefault(title, []).append((name.ljust(width), " ".join(summary.split())))
        for title, rows in filter(itemgetter(1), sections.items()):
            with formatter.section(title):
                formatter.write_dl(rows)


def with_verbosity(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the option --verbose/--quiet, which holds while it runs.

    Args:
        command: The function of a command, whose defaults are options of typer.

    Returns:
        A function with the same options and one more.
    """

    @wraps(command)
    def run(verbose: bool | None = _VERBOSITY, **values: Any) -> None:
        with verbosity(verbose):
            command(**values)

    signature = inspect.signature(command)
    option = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=_VERBOSITY)
    parameters = [*signature.parameters.values(), option.replace(annotation=bool | None)]
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    run.__annotations__ = {**command.__annotations__, "verbose": bool | None}
    return run
