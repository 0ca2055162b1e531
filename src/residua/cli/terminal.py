"""Terminal output: lines, tables, one JSON document; characters in names that cannot be seen are escaped."""

import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from residua.cli.processes import speaks
from residua.cli.unbroken_output import UnbrokenOutput
from residua.cli.verbosity import is_quiet
from residua.progress import QUIET_SECONDS
from residua.progress import say as say  # every command prints with these two
from residua.progress import say_wrapped as say_wrapped
from residua.spec.printable import printable

if TYPE_CHECKING:  # rich takes a third of the time that `--help` may take
    from collections.abc import Callable

    from rich.console import Console

    from residua.spec.text_table import TextTable


def console(*, json_on_stdout: bool = False, unbroken: bool = False) -> "Console":
    """The console for people: stderr when stdout carries a JSON document.

    With `unbroken`, a closed terminal or a full disk does not end the command.
    """
    from rich.console import Console

    file: Any = sys.stderr if json_on_stdout else sys.stdout
    file = UnbrokenOutput(file) if unbroken else file
    return Console(file=file, highlight=False, soft_wrap=True, quiet=not speaks())


def aside(to: "Console") -> "Console":
    """`to` for the plan, progress and notes; under --quiet a console that prints nothing."""
    from rich.console import Console

    return Console(file=to.file, quiet=True) if is_quiet() else to


def command(*words: object) -> str:
    """`residua WORDS` quoted for a shell."""
    return shlex.join(["residua", *map(str, words)])


def next_line(to: "Console", *commands: str) -> None:
    """Print the next commands."""
    say(aside(to), "next: " + "  ·  ".join(commands), "bold")


def put_json(document: Any) -> None:
    """Print the one JSON document of a `--json` command, in ASCII where a character has no shape."""
    if speaks():
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        if printable(text) != text:
            text = json.dumps(document, indent=2, allow_nan=False)
        sys.stdout.write(text + "\n")


def show_table(
    to: "Console", head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: int = 0, width: int = 120
) -> None:
    """Print a table whose columns from `numeric` on are right-aligned; 0 aligns none.

    `width` is the line width in characters for a file or a pipe.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for place, name in enumerate(head):
        right = bool(numeric) and place >= numeric
        table.add_column(
            Text(printable(name)), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    width = to.width if to.is_terminal else width
    Console(file=to.file, highlight=False, quiet=to.quiet, width=width).print(table)


def tell(to: "Console", table: "TextTable") -> None:
    """Print a table, unless it is empty, and its notes."""
    if table.rows:
        show_table(to, table.head, table.rows, numeric=table.numeric)
    for line in table.notes:
        say(aside(to), line, "dim")


@contextmanager
def counting(to: "Console") -> "Iterator[Callable[[int, int], None]]":
    """A callback (done, total): a bar on a terminal, a line every ten seconds elsewhere, nothing if quiet."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    to = aside(to)
    if to.is_terminal and not to.quiet:
        with Progress(
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=to, transient=True
        ) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    last_line = time.monotonic()

    def print_line(done: int, total: int) -> None:
        nonlocal last_line
        if time.monotonic() - last_line > QUIET_SECONDS:
            last_line = time.monotonic()
            say(to, f"{done:,} of {total:,}")

    yield print_line
