"""`residua reproduce`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from residua.cli.failures import STOPPED
from residua.cli.terminal import console, next_line, put_json, say, show_table

if TYPE_CHECKING:
    from residua.reproduce.published import Budget
    from residua.reproduce.reproduce import Reproduction


def reproduce(
    item: str = typer.Argument(None, metavar="[PAPER/ITEM]", help="A table or figure, e.g. he2015/fig6."),
    listed: bool = typer.Option(False, "--list", help="All tables and figures: cost, data, state."),
    budget: str = typer.Option("smoke", help="smoke (minutes on digits), small, or full (the paper's)."),
    seeds: int = typer.Option(1, min=1, help="Runs of each network."),
    data: str = typer.Option(None, "--data", help="A folder of classes, digits, cifar10[:DIR] ..."),
    processes: int = typer.Option(None, min=1, help="Runs side by side; one per core if not given."),
    out: Path = typer.Option(Path("runs/reproduce"), "-o", "--out", metavar="DIR", help="Runs and reports."),
    ray: str = typer.Option(
        None, metavar="ADDRESS", help="Train on a Ray cluster: auto, local, or host:port."
    ),
    docs: Path = typer.Option(None, "--write-docs", metavar="FILE", help="What DIR holds, as Markdown."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Reproduce a table or figure of the papers.

    What is finished in DIR is reused, what was interrupted goes on.

    Example: residua reproduce he2015/fig6
    """
    if docs:
        _write_docs(docs, out)
    elif listed or item is None:
        _list(out, as_json=as_json)
    else:
        _reproduce(item, cast("Budget", budget), seeds, data, processes, out, ray, as_json=as_json)


def _list(out: Path, *, as_json: bool) -> None:
    from residua.reproduce.listing import listing

    found = listing(out)
    if as_json:
        put_json(found)
        return
    to = console()
    rows = [(e["item"], e["state"], ", ".join(e["data"]), e["what"], _costs(e)) for e in found]
    show_table(to, ("item", "state", "data", "what", "networks x updates, time on two cores"), rows)
    say(to, "times are estimates for one seed, of small on small pictures", "dim")
    say(to, "scaled: runs here on digits now; done: finished here at the paper's own budget", "dim")
    next_line(to, "residua reproduce he2015/fig6")


def _costs(entry: dict[str, Any]) -> str:
    """A line for each budget, or why there is none."""
    return "\n".join(f"{budget}: {cost}" for budget, cost in entry["cost"].items()) or str(entry["reason"])


def _write_docs(file: Path, out: Path) -> None:
    from residua.reproduce.reproductions_md import write_docs

    to = console()
    say(to, f"{write_docs(file, out)} reproductions written into {file}")
    next_line(to, f"git diff {file}")


def _reproduce(
    item: str,
    budget: "Budget",
    seeds: int,
    data: str | None,
    processes: int | None,
    out: Path,
    ray: str | None,
    *,
    as_json: bool,
) -> None:
    from residua.reproduce.items import item as known

    place = known(item).place  # before torch is loaded: whoever is refused should not wait

    from residua.cli.progress import ProgressPrinter, Stopper
    from residua.reproduce.reproduce import reproduce as run

    to = console(json_on_stdout=as_json, lasting=True)
    say(
        to,
        f"{item} ({place}), budget {budget}, {seeds} seed{'s' if seeds > 1 else ''}; runs in {out / 'runs'}",
    )
    watcher, stopper = ProgressPrinter(to), Stopper(to)
    with watcher.watching():
        found = run(
            item,
            budget=budget,
            seeds=seeds,
            data=data,
            processes=processes,
            out=out,
            ray=ray,
            listen=lambda name, event: watcher.see(event, name),
            stop=stopper,
        )
    if found.stopped:
        say(to, "stopped; the same command goes on where this one ended")
        raise typer.Exit(STOPPED)
    if as_json:
        put_json(found.plain())
        return
    _show(found)


def _show(found: "Reproduction") -> None:
    from residua.reproduce.page import HEAD, left_out, rows, unfamiliar, verdicts

    to = console()
    say(to, "")
    show_table(to, HEAD, rows(found))
    say(to, "")
    for verdict in verdicts(found):
        say(to, verdict, "bold")
    for remark in filter(None, (unfamiliar(found), left_out(found))):
        say(to, remark, "dim")
    say(to, f"{found.seconds:.0f} s; the report: {found.report}")
    more = (f"residua reproduce {found.item.name} --budget small --data DATA",) if found.data else ()
    next_line(to, "residua reproduce --list", *more)
