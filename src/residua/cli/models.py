"""`residua models`."""

from typing import TYPE_CHECKING

import typer

from residua.cli.terminal import console, next_line, put_json, say, show_table

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
"""What each number is called, and in a narrow terminal."""
PLAIN = ("depth", "receptive_field", "input", "main_path_activations")
"""Numbers that are not shortened to three digits."""
BROAD, BROADEST, PIPE = 105, 145, 180
"""Characters from where the family, and the paper and table, have room; and those of a line in a file."""


def models(
    patterns: list[str] = typer.Argument(
        None, metavar="[PATTERN]...", help="Shell-style patterns, e.g. 'cifar_*'; several names compare them."
    ),
    compare: bool = typer.Option(False, "--compare", help="Names in columns, with ratios to the first."),
    family: str = typer.Option("", "--family", help="Only this family, e.g. iresnet."),
    paper: str = typer.Option("", "--paper", help="Only this paper, e.g. he2015."),
    max_params: str = typer.Option("", "--max-params", metavar="N", help="Most parameters, e.g. 30M."),
    max_macs: str = typer.Option("", "--max-macs", metavar="N", help="Most multiply-adds, e.g. 5G."),
    size: int = typer.Option(
        0, "--input", min=0, metavar="PX", help="Only for images of this side, e.g. 32."
    ),
    sort: str = typer.Option(
        "",
        "--sort",
        help="By params, macs, activations, depth, receptive_field or name; else as in the papers.",
    ),
    reverse: bool = typer.Option(False, "--reverse", help="From the other end."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """List, filter, sort and compare the networks by what they cost.

    Example: residua models 'cifar_*' --max-params 1M --sort macs
    """
    from residua.jobs.catalogue import Wanted, catalogue, comparison
    from residua.spec import zoo

    names = tuple(patterns or ())
    wanted = Wanted(names, family, paper, max_params, max_macs, size)
    plain = wanted == Wanted(names) and not sort and not reverse
    if compare and not plain:
        raise ValueError("--compare takes names alone: leave filters and --sort away")
    compares = compare or (len(names) > 1 and set(names) <= set(zoo.NAMES) and plain)
    found = comparison(names) if compares else catalogue(wanted, order=sort, reverse=reverse)
    if as_json:
        put_json([entry.plain() for entry in found])
        return
    to = console()
    if compares:
        _compare(to, found)
        next_line(to, f"residua explain {' '.join(names[:3])} --svg FILE")
        return
    _list(to, found)
    say(to, f"{len(found)} networks; multiply-adds are what the papers call FLOPs", "dim")
    next_line(to, f"residua explain {found[0].arch.name}")


def _list(to: "Console", found: "list[ModelEntry]") -> None:
    """One line for each network, as many columns as the terminal is wide."""
    wide = to.width if to.is_terminal else PIPE
    texts = 1 + (wide >= BROAD) + (wide >= BROADEST)
    head = [("name", "family", "source")[place] for place in range(texts)]
    head += [name if wide >= BROAD else short or name for name, short in COLUMNS.values()]
    rows = []
    for entry in found:
        arch = entry.arch
        said = (arch.name, arch.family, arch.source)[:texts]
        rows.append((*said, *(_said(what, entry) for what in COLUMNS)))
    show_table(to, head, rows, numeric=texts, width=PIPE)


def _compare(to: "Console", found: "list[ModelEntry]") -> None:
    """One column for each network, one line for each number, and how many times the first network's it is.

    Where the terminal is too narrow for all, several tables, each with the first.
    """
    first, *others = found
    wide = max(15, *(len(entry.arch.name) for entry in found)) + 2
    room = max(1, ((to.width if to.is_terminal else PIPE) - 18) // wide - 1)
    for start in range(0, len(others), room):
        some = [first, *others[start : start + room]]
        rows = [("family", *(entry.arch.family for entry in some))]
        for what, (name, _) in {**COLUMNS, "main_path_activations": ("unskipped act.", "")}.items():
            rows.append((name, *(_ratio(what, entry, None if entry is first else first) for entry in some)))
        show_table(to, ("", *(entry.arch.name for entry in some)), rows, numeric=1, width=PIPE)
    say(to, "×: how many times the first; unskipped act.: activations that no shortcut skips", "dim")


def _ratio(what: str, entry: "ModelEntry", first: "ModelEntry | None") -> str:
    """A number, and how many times that of `first` it is."""
    said = _said(what, entry)
    return (
        f"{said} ×{entry.numbers[what] / first.numbers[what]:.2f}" if first and first.numbers[what] else said
    )


def _said(what: str, entry: "ModelEntry") -> str:
    from residua.spec.amount import amount

    value, frames = entry.numbers[what], entry.numbers["frames"]
    if what == "input" and frames > 1:
        return f"{frames}×{value}"
    return str(value) if what in PLAIN else amount(value)
