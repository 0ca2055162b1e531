"""`residua models`."""

from typing import TYPE_CHECKING

import typer

from residua.cli.options import JSON, complete_network, number
from residua.cli.terminal import aside, command, console, next_line, put_json, say, show_table
from residua.errors import ConfigError
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from rich.console import Console

    from residua.jobs.catalogue import ModelEntry

COLUMNS = {
    "params": ("parameters", ""),
    "macs": ("multiply-adds", "mult-adds"),
    "activations": ("activations", "activ."),
    "depth": ("depth", ""),
    "receptive_field": ("field px", "field"),
    "input": ("input px", "input"),
}
"""Header of each number, and its short form for a narrow terminal."""
PLAIN = ("depth", "receptive_field", "input", "main_path_activations")
"""Numbers that are printed in full."""
BROAD, BROADEST, PIPE = 105, 145, 180
"""Terminal widths from which the family, then the source, have room; and the width of a line in a file."""


def models(
    patterns: list[str] = typer.Argument(
        None,
        metavar="PATTERN",
        help="Shell-style patterns, e.g. 'cifar_*'; several full names, also with changes, are compared.",
        autocompletion=complete_network,
    ),
    compare: bool = typer.Option(
        False, "--compare", help="Compare the named networks, with ratios to the first."
    ),
    family: str = typer.Option("", "--family", metavar="NAME", help="Only this family, e.g. iresnet."),
    paper: str = typer.Option("", "--paper", metavar="NAME", help="Only this paper, e.g. he2015."),
    max_params: str = typer.Option(
        "", "--max-params", metavar="N", help="Largest number of parameters, e.g. 30M."
    ),
    max_macs: str = typer.Option(
        "", "--max-macs", metavar="N", help="Largest number of multiply-adds, e.g. 5G."
    ),
    size: int = number(None, "--input", low=1, metavar="PX", help="Only for images of this side, e.g. 32."),
    sort: str = typer.Option(
        "",
        "--sort",
        metavar="COLUMN",
        help="Sort by params, macs, activations, depth, receptive_field or name; default: the papers' order.",
    ),
    reverse: bool = typer.Option(False, "--reverse", help="Reverse the order."),
    as_json: bool = JSON,
) -> None:
    """List, filter, sort and compare the networks by what they cost.

    Example: residua models 'cifar_*' --max-params 1M --sort macs
    """
    from residua.jobs.catalogue import ModelFilter, compare_entries, list_entries
    from residua.spec.named_network import is_network

    names = tuple(patterns or ())
    chosen = ModelFilter(names, family, paper, max_params, max_macs, size or 0)
    plain = chosen == ModelFilter(names) and not sort and not reverse
    if compare and not plain:
        raise ConfigError("--compare takes names only: leave filters and --sort out")
    compares = compare or (len(names) > 1 and all(map(is_network, names)) and plain)
    entries = compare_entries(names) if compares else list_entries(chosen, sort=sort, reverse=reverse)
    if as_json:
        put_json([entry.plain() for entry in entries])
        return
    to = console()
    if compares:
        _compare(to, entries)
        next_line(to, command("explain", *names[:3], "--svg", "FILE"))
        return
    _list(to, entries)
    say(aside(to), f"{quantity(len(entries), 'network')}; the papers call multiply-adds FLOPs", "dim")
    is_named = bool(names) and is_network(names[0])
    next_line(to, command("explain", names[0] if is_named else entries[0].arch.name))


def _list(to: "Console", entries: "list[ModelEntry]") -> None:
    """Print one line per network, with as many columns as fit."""
    wide = to.width if to.is_terminal else PIPE
    texts = 1 + (wide >= BROAD) + (wide >= BROADEST)
    head = [("name", "family", "source")[place] for place in range(texts)]
    head += [name if wide >= BROAD else short or name for name, short in COLUMNS.values()]
    rows = []
    for entry in entries:
        arch = entry.arch
        words = (arch.name, arch.family, arch.source)[:texts]
        rows.append((*words, *(_number(what, entry) for what in COLUMNS)))
    show_table(to, head, rows, numeric=texts, width=PIPE)


def _compare(to: "Console", entries: "list[ModelEntry]") -> None:
    """Print one column per network and one line per number, with ratios to the first network.

    Where the terminal is too narrow, several tables are printed, each with the first network.
    """
    first, *others = entries
    wide = max(15, *(len(entry.arch.name) for entry in entries)) + 2
    room = max(1, ((to.width if to.is_terminal else PIPE) - 18) // wide - 1)
    for start in range(0, len(others), room):
        some = [first, *others[start : start + room]]
        rows = [("family", *(entry.arch.family for entry in some))]
        for what, (name, _) in {**COLUMNS, "main_path_activations": ("unskipped act.", "")}.items():
            rows.append((name, *(_ratio(what, entry, None if entry is first else first) for entry in some)))
        show_table(to, ("", *(entry.arch.name for entry in some)), rows, numeric=1, width=PIPE)
    say(aside(to), "×: how many times the first; unskipped act.: activations that no shortcut skips", "dim")


def _ratio(what: str, entry: "ModelEntry", first: "ModelEntry | None") -> str:
    """A number, and how many times that of `first` it is."""
    text = _number(what, entry)
    return (
        f"{text} ×{entry.numbers[what] / first.numbers[what]:.2f}" if first and first.numbers[what] else text
    )


def _number(what: str, entry: "ModelEntry") -> str:
    from residua.spec.amount import format_count

    value, frames = entry.numbers[what], entry.numbers["frames"]
    if what == "input" and frames > 1:
        return f"{frames}×{value}"
    return str(value) if what in PLAIN else format_count(value)
