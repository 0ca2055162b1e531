"""`residua compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.options import DATA, FORCE, JSON, OLD_REPORT, REPORT, WEIGHTS
from residua.cli.paths import expand_patterns, page_path
from residua.cli.terminal import aside, console, next_line, put_json, say, show_table
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from rich.console import Console

    from residua.jobs.compare import Pair


def compare(
    trained: list[Path] = typer.Argument(metavar="RUN|FILE", help="Each is compared with the first."),
    data: str = DATA,
    view: str = typer.Option(
        "", "--views", metavar="VIEW", help="How each image is shown: center; videos as a whole."
    ),
    weights: str = WEIGHTS,
    report: Path = REPORT,
    changed: Path = typer.Option(
        None,
        "--changed",
        metavar="FILE",
        help="Write the images predicted differently: .csv, .jsonl or .parquet.",
    ),
    force: bool = FORCE,
    as_json: bool = JSON,
    old_report: Path = OLD_REPORT,
) -> None:
    """Compare networks on the same images.

    Paired bootstrap of the difference, exact McNemar test, and the images that they predict differently.

    Example: residua compare runs/plain runs/residual --changed changed.csv --report compared.html
    """
    from shlex import join

    from residua.jobs.compare import compare as compare_networks
    from residua.jobs.compare import save_changed
    from residua.jobs.comparison_page import write_comparison
    from residua.jobs.tables import check_out

    page, trained = page_path(report, old_report), expand_patterns(trained)
    check_out(page, force=force, suffixes=(".html",))
    check_out(changed, force=force)
    pairs = compare_networks(trained, data=data, view=view, weights=weights)
    to = console(json_on_stdout=as_json)
    if changed:
        noun = pairs[0].first.split.media_type.noun
        say(to, f"{quantity(save_changed(changed, pairs), noun)} written to {changed}")
    if page:
        words = ["residua", "compare", *map(str, trained), *(["--views", view] if view else [])]
        words += ["--data", data] if data else []
        words += ["--weights", weights] if weights != "auto" else []
        write_comparison(page, pairs, command=join(words))
        say(to, f"page written to {page}")
    if as_json:
        _put(pairs)
        return
    _show(to, pairs)
    say(aside(to), "p: exact McNemar test on won and lost, corrected for the number of pairs (Holm)", "dim")
    next_line(to, f"residua compare {join(map(str, trained))} --changed changed.csv --report compared.html")


def _show(to: "Console", pairs: "Sequence[Pair]") -> None:
    """The first network in a line, the others in a table."""
    from residua.jobs.comparison_page import format_p
    from residua.tasks.classify.evaluations import format_estimate

    first = pairs[0].first
    score = first.score
    say(
        to,
        f"{first.network}: {score.top1:.2f} % of {quantity(score.n, first.split.media_type.noun)} "
        f"({score.split}, {score.views})",
    )
    lines = [
        (
            pair.second.network,
            f"{pair.second.score.top1:.2f} %",
            format_estimate(pair.comparison.difference),
            f"{pair.comparison.wins:,}",
            f"{pair.comparison.losses:,}",
            format_p(pair.p),
        )
        for pair in pairs
    ]
    show_table(to, ("compared with it", "top-1", "difference, points", "won", "lost", "p"), lines, numeric=1)


def _put(pairs: "Sequence[Pair]") -> None:
    """The pairs as one JSON document."""
    from residua.spec.record import to_plain

    first = pairs[0].first
    rows = [
        {
            "run": pair.second.network,
            **_comparison_values(pair),
            "p_holm": pair.p,
            "score": to_plain(pair.second.score),
        }
        for pair in pairs
    ]
    put_json({"first": {"run": first.network, "score": to_plain(first.score)}, "pairs": rows})


def _comparison_values(pair: "Pair") -> dict[str, object]:
    """The comparison as JSON values."""
    from residua.spec.record import to_plain

    names = {"wins": "won", "losses": "lost"}
    return {names.get(name, name): value for name, value in to_plain(pair.comparison).items()}
