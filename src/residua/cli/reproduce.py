"""`residua reproduce`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from residua.cli.failures import STOPPED
from residua.cli.network_options import LAST_MODEL_SET, NETWORK, with_model_set
from residua.cli.options import JSON, complete_network, complete_source, number
from residua.cli.reproduce_project import climb_ladder, drive_highway, say_files
from residua.cli.terminal import aside, console, next_line, put_json, say, show_table
from residua.files import check_output_folder
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from residua.reproduce.measured import Reproduction
    from residua.reproduce.published import Budget

SEEDS = number(
    None, "--seeds", low=1, help="Runs of each network; by default 3 where a network takes minutes, else 1."
)
BUDGET = typer.Option(
    "smoke", "--budget", metavar="NAME", help="smoke (minutes on digits), small (a short schedule) or full."
)
TRAINING_OPTIONS = {
    "models": "-m",
    "model_set": "--model-set",
    "budget": "--budget",
    "seeds": "--seeds",
    "processes": "--processes",
    "ray": "--ray",
}
"""Parameter -> option that has no effect where nothing is trained."""
PROJECTS = {"project/ladder": climb_ladder, "project/highway": drive_highway}
"""Items that are no table or figure of a paper."""
_HAS_OWN_NETWORKS = {
    "models": "-m",
    "model_set": "--model-set",
    "seeds": "--seeds",
    "origin": "--from",
    "all_images": "--all",
}
PROJECT_REFUSES = {
    "project/ladder": _HAS_OWN_NETWORKS,
    "project/highway": {**_HAS_OWN_NETWORKS, "processes": "--processes", "ray": "--ray"},
}
"""Such an item -> parameter -> option that has no effect on it."""


def reproduce(
    context: typer.Context,
    item: str = typer.Argument(None, metavar="PAPER/ITEM", help="A table or figure, e.g. he2015/fig6."),
    models: list[str] = typer.Option(
        [],
        "-m",
        "--model",
        metavar=NETWORK,
        help="One more network to train as those of the paper; repeatable.",
        autocompletion=complete_network,
    ),
    model_set: list[str] = LAST_MODEL_SET,
    list_items: bool = typer.Option(False, "--list", help="List all tables and figures: cost, data, state."),
    budget: str = BUDGET,
    seeds: int = SEEDS,
    data: str = typer.Option(
        None,
        "--data",
        metavar="DATA",
        help="A folder of classes, digits, cifar10[:DIR] ...",
        autocompletion=complete_source,
    ),
    processes: int = number(None, "--processes", low=1, help="Runs at the same time; default: one per core."),
    out: Path = typer.Option(
        Path("runs/reproduce"), "-o", "--out", metavar="DIR", help="Folder of runs and reports."
    ),
    ray: str = typer.Option(
        None, "--ray", metavar="ADDRESS", help="Train on a Ray cluster: auto, local, or host:port."
    ),
    origin: str | None = typer.Option(
        None,
        "--from",
        metavar="weights[:WHERE]",
        help="Train nothing: measure networks that others trained, from the caches of this machine, from a "
        "folder, or by their names in `residua weights`.",
    ),
    all_images: bool = typer.Option(
        False, "--all", help="With --from weights: count errors on all test images, not on 1,000."
    ),
    docs: Path = typer.Option(
        None, "--write-docs", metavar="FILE", help="Write a Markdown page of the finished runs in DIR."
    ),
    as_json: bool = JSON,
) -> None:
    """Reproduce a table or figure of the papers.

    Finished runs in DIR are reused, interrupted runs are resumed.

    Example: residua reproduce he2015/fig6

    Example: residua reproduce he2015/fig6 --from weights --data cifar10

    Example: residua reproduce project/ladder --data cifar10
    """
    check_output_folder(out)
    if docs:
        _write_docs(docs, out)
    elif item in PROJECTS:
        _refuse(context, PROJECT_REFUSES[item], f"{item} has its own networks, one run each")
        PROJECTS[item](cast("Budget", budget), data, processes, out, ray, as_json=as_json)
    elif list_items or item is None:
        _list(out, as_json=as_json)
    elif origin is not None:
        _refuse_training_options(context, origin)
        _from_weights(item, origin.partition(":")[2], data, out, all_images=all_images, as_json=as_json)
    else:
        _refuse(context, {"all_images": "--all"}, "--all is for --from weights")
        networks = with_model_set(models, model_set)
        _reproduce(item, cast("Budget", budget), seeds, data, processes, out, ray, networks, as_json=as_json)


def _list(out: Path, *, as_json: bool) -> None:
    from residua.reproduce.listing import listing
    from residua.reproduce.others import STUDIES as WITH_WEIGHTS

    items = listing(out)
    if as_json:
        put_json(items)
        return
    to = console()
    rows = [(e["item"], e["state"], ", ".join(e["data"]), e["what"], _costs(e)) for e in items]
    show_table(to, ("item", "state", "data", "what", "networks x steps, time on two cores"), rows)
    say(aside(to), "times are estimates for one seed; those of small are for small images", "dim")
    say(
        aside(to),
        "scaled: can run on digits now; done: finished in this folder with the paper's data and schedule",
        "dim",
    )
    say(
        aside(to),
        f"of weights that others trained, with --from weights: {', '.join(WITH_WEIGHTS)}",
        "dim",
    )
    next_line(to, "residua reproduce he2015/fig6")


def _costs(entry: dict[str, Any]) -> str:
    """A line for each budget, or why there is no cost."""
    return "\n".join(f"{budget}: {cost}" for budget, cost in entry["cost"].items()) or str(entry["reason"])


def _write_docs(file: Path, out: Path) -> None:
    from residua.reproduce.reproductions_md import write_docs

    to = console()
    say(to, f"{quantity(write_docs(file, out), 'reproduction')} written to {file}")
    next_line(to, f"git diff {file}")


def _refuse_training_options(context: typer.Context, origin: str) -> None:
    """ConfigError where `--from` is no origin, or stands beside an option that only training has."""
    from residua.errors import ConfigError
    from residua.reproduce.others import SOURCE

    if origin.partition(":")[0] != SOURCE:
        raise ConfigError(f"--from is {origin!r}: give {SOURCE}, {SOURCE}:DIR or {SOURCE}:NAME,...")
    _refuse(context, TRAINING_OPTIONS, f"--from {SOURCE} trains nothing")


def _refuse(context: typer.Context, options: Mapping[str, str], reason: str) -> None:
    """ConfigError where the user gave one of `options`, parameter -> option, which has no effect here."""
    from residua.errors import ConfigError

    for name, option in options.items():
        where_from = context.get_parameter_source(name)
        if where_from is not None and where_from.name == "COMMANDLINE":
            raise ConfigError(f"{reason}: leave {option} out")


def _from_weights(
    item: str, where: str, data: str | None, out: Path, *, all_images: bool, as_json: bool
) -> None:
    from residua.reproduce.reproduction import reproduce_from_weights

    to = console(json_on_stdout=as_json, unbroken=True)
    reproduction = reproduce_from_weights(
        item,
        where=where,
        data=data,
        out=out,
        all_images=all_images,
        listen=lambda line: say(aside(to), line),
    )
    if as_json:
        put_json(reproduction.plain())
        return
    from residua.reproduce.others import LABEL
    from residua.reproduce.others_page import HEAD, claim_results, missing_note, study_sentences, table_rows

    say(to, f"\n{item}, {LABEL}: {reproduction.data}")
    show_table(to, HEAD, table_rows(reproduction))
    say(to, "")
    for result in claim_results(reproduction):
        say(to, result, "bold")
    for sentence in study_sentences(reproduction):
        say(to, sentence)
    if note := missing_note(reproduction):
        say(aside(to), note, "dim")
    say_files(to, reproduction.seconds, reproduction.report)
    more = "" if all_images else f" --from weights{where and f':{where}'} --data {data or 'cifar10'} --all"
    next_line(to, "residua reproduce --list", f"residua reproduce {item}{more}")


def _reproduce(
    item: str,
    budget: "Budget",
    seeds: int | None,
    data: str | None,
    processes: int | None,
    out: Path,
    ray: str | None,
    networks: list[str],
    *,
    as_json: bool,
) -> None:
    from residua.reproduce.items import find_item

    known = find_item(item)  # refuse a wrong name before torch is loaded

    from residua.cli.progress import Stopper
    from residua.progress import ProgressPrinter
    from residua.reproduce.reproduction import reproduce

    to = console(json_on_stdout=as_json, unbroken=True)
    how = "counted, not trained"
    if known.datasets:
        how = f"budget {budget}, {_seeds_text(seeds)}; runs in {out / 'runs'}"
    say(aside(to), f"{item} ({known.source}), {how}")
    printer, stopper = ProgressPrinter(aside(to)), Stopper(to)
    with printer.showing_bars():
        reproduction = reproduce(
            item,
            budget=budget,
            seeds=seeds,
            data=data,
            processes=processes,
            out=out,
            ray=ray,
            networks=networks,
            listen=lambda name, event: printer.show(event, name),
            stop=stopper,
        )
    if reproduction.stopped:
        say(to, "stopped and saved; the same command resumes")
        raise typer.Exit(STOPPED)
    if as_json:
        from residua.reproduce.page import claim_results

        put_json(reproduction.plain() | {"claims": list(claim_results(reproduction))})
        return
    _show(reproduction)


def _seeds_text(seeds: int | None) -> str:
    """How often each network is trained."""
    return "3 seeds of each network that takes minutes" if seeds is None else quantity(seeds, "seed")


def _show(reproduction: "Reproduction") -> None:
    from residua.reproduce.page import (
        HEAD,
        claim_results,
        left_out_note,
        small_networks_note,
        table_rows,
        unseen_views_note,
    )

    to = console()
    say(to, "")
    show_table(to, HEAD, table_rows(reproduction))
    say(to, "")
    for result in claim_results(reproduction):
        say(to, result, "bold")
    notes = small_networks_note(reproduction), unseen_views_note(reproduction), left_out_note(reproduction)
    for note in filter(None, notes):
        say(aside(to), note, "dim")
    say_files(to, reproduction.seconds, reproduction.report)
    name = reproduction.item.name
    more = (f"residua reproduce {name} --budget small --data DATA",) if reproduction.data else ()
    next_line(to, "residua reproduce --list", *more)
