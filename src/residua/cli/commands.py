"""Commands in groups and their help as plain text; each takes --verbose or --quiet, which this file adds."""

import inspect
import shlex
from collections.abc import Callable
from functools import wraps
from operator import itemgetter
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from residua.cli.verbosity import verbosity

TITLES = ("Start", "Networks", "Data", "Train", "Judge", "Explain", "Ship")
"""Titles of the groups, in order."""
_VERBOSITY = typer.Option(
    None,
    "--verbose/--quiet",
    "-v/-q",
    help="Print versions, details and times too; or only results and errors.",
)


EXAMPLE = "Example: "
"""How a paragraph of a docstring begins that shows a command."""
HELP_WIDTH = 120
"""Longest line of help, in characters, where the terminal is as wide."""


class PlainCommand(TyperCommand):
    """A command whose help names its arguments as the usage line does, and keeps its examples whole."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words that are left. An error of usage names this command, also where typer leaves it out."""
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:
                setattr(error, "ctx", ctx)  # noqa: B010 (an attribute of the error of usage, whose class is private)
            raise
        return rest

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words behind the name of the command in the usage line."""
        return ["[OPTIONS]", *(argument for argument, _ in self._arguments(ctx))]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does, and then its examples."""
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        examples = [text.removeprefix(EXAMPLE) for text in paragraphs if text.startswith(EXAMPLE)]
        for text in (text for text in paragraphs if not text.startswith(EXAMPLE)):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)
        if examples:
            with formatter.section("Examples" if examples[1:] else "Example"):
                for example in examples:
                    indent = " " * formatter.current_indent
                    for line in _command_lines(example, formatter.width - len(indent)):
                        formatter.write(f"{indent}{line}\n")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        options = [p for p in self.get_params(ctx) if p.param_type_name == "option"]
        rows = [row for option in options if (row := option.get_help_record(ctx))]
        for title, records in (("Arguments", self._arguments(ctx)), ("Options", rows)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _arguments(self, ctx: Any) -> list[tuple[str, str]]:
        """Each argument as it is written, and its meaning."""
        rows: list[tuple[str, str]] = []
        argument: Any
        for argument in (p for p in self.get_params(ctx) if p.param_type_name == "argument"):
            name = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs != 1 else "")
            rows.append((name if argument.required else f"[{name}]", argument.help or ""))
        return rows


def _command_lines(text: str, width: int) -> list[str]:
    """A command in lines of at most `width` characters, which a shell reads as one."""
    units: list[str] = []
    for word in shlex.split(text, posix=False):  # this keeps the quotes
        if units and units[-1].startswith("-") and not word.startswith("-"):
            units[-1] += f" {word}"  # an option and its value
        else:
            units.append(word)
    lines = [units[0]]
    for place, unit in enumerate(units[1:], 2):
        end = "" if place == len(units) else " \\"
        if len(f"{lines[-1]} {unit}{end}") > width:
            lines[-1] += " \\"
            lines.append(f"    {unit}")
        else:
            lines[-1] += f" {unit}"
    return lines


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


def register(app: typer.Typer, name: str, command: Callable[..., None], **options: Any) -> None:
    """Add `command` to `app` as `name`, with --verbose/--quiet and `options` of `typer.Typer.command`."""
    settings = {"max_content_width": HELP_WIDTH}
    app.command(name, cls=PlainCommand, context_settings=settings, **options)(with_verbosity(command))


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
