"""`residua evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli import boxes
from residua.cli.processes import OPTION, launch_if_asked, speaks
from residua.cli.terminal import console, next_line, put_json, say, show_table

if TYPE_CHECKING:
    from rich.console import Console

    from residua.jobs.evaluate import Found
    from residua.measure.score import Score

TOPK = 5
"""Classes per image in --predictions."""


def evaluate(
    trained: list[Path] = typer.Argument(metavar="RUN|FILE...", help="Runs, or checkpoint files."),
    data: str = typer.Option(None, "--data", help="Images to judge by; else those the run kept apart."),
    views: list[str] = typer.Option(
        [],
        "--views",
        help="center, flip, 10crop, multiscale, 320; of clips clip, video; of boxes voc, voc2007, coco.",
    ),
    weights: str = typer.Option("auto", help="Of a run: raw, ema, best; auto is ema where there is one."),
    ensemble: bool = typer.Option(False, "--ensemble", help="Average the probabilities of all networks."),
    out: Path = typer.Option(None, "-o", "--out", help="Write a page: .html."),
    predictions: Path = typer.Option(
        None, "--predictions", help="Write every answer: .csv, .jsonl or .parquet."
    ),
    topk: int = typer.Option(TOPK, "--topk", min=1, help="Classes per image in --predictions."),
    force: bool = typer.Option(False, "--force", help="Replace output files that are there."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    processes: int = OPTION,
) -> None:
    """Judge trained networks on images.

    Every number comes with its protocol, its 95 % interval and the number of images.

    Example: residua evaluate runs/photos-1 --data photos/test --views center,10crop -o verdict.html
    """
    launch_if_asked(processes)
    from residua.jobs.boxes import finds_boxes

    if any(map(finds_boxes, trained)):
        if ensemble or topk != TOPK:
            raise ValueError("--ensemble and --topk are for networks that classify: leave them")
        boxes.evaluate(trained, data, _wanted(views), weights, out, predictions, force=force, as_json=as_json)
        return

    from residua.jobs.evaluate import find
    from residua.jobs.predict import check_out, of_judgement, save
    from residua.jobs.verdict import write_evaluation
    from residua.spec.record import to_plain
    from residua.training.world import joined

    check_out(out, force=force, suffixes=(".html",))
    check_out(predictions, force=force)
    wanted = _wanted(views)
    with joined() as world:
        found = find(trained, data=data, views=wanted, weights=weights, ensemble=ensemble, world=world)
    if not speaks():
        return
    to = console(json_on_stdout=as_json)
    if predictions:
        save(predictions, of_judgement(found[0].images, found[0].judgement, topk=topk))
        first = found[0].score
        say(to, f"{first.n:,} answers ({found[0].name}, {first.views}) written to {predictions}")
    if out:
        write_evaluation(out, found, command=_command(trained, data, wanted, weights, ensemble=ensemble))
        say(to, f"page written to {out}")
    if as_json:
        put_json({"scores": [{**to_plain(one.score), "run": one.name} for one in found]})
        return
    _say(to, found)
    next_line(to, f"residua predict {trained[0]} IMAGE", f"residua compare {trained[0]} OTHER")


def _say(to: "Console", found: "list[Found]") -> None:
    """The table of scores, and what their views mean."""
    from residua.measure.views import SAID

    several = len({one.name for one in found}) > 1
    rows = [(*((one.name,) if several else ()), *_row(one.score)) for one in found]
    head = ("views", "images", "weights", "n", "top-1", "95 % interval", "top-5", "mean over classes", "ECE")
    show_table(to, (("network", *head) if several else head), rows, numeric=4 if several else 3)
    say(
        to,
        "views: "
        + "; ".join(f"{view} = {SAID[view]}" for view in dict.fromkeys(one.score.views for one in found)),
        "dim",
    )
    for one in found:
        if one.score.clip:
            say(to, f"{one.score.views}: {one.score.clip}", "dim")


def _wanted(views: list[str]) -> list[str]:
    return [view for text in views for view in text.split(",")]


def _row(score: "Score") -> tuple[str, ...]:
    low, high = score.interval
    rest = (score.top5, score.macro, score.ece)
    return (
        score.views,
        score.split,
        score.weights,
        f"{score.n:,}",
        f"{score.top1:.2f} %",
        f"{low:.2f} to {high:.2f} %",
        *(
            "–" if one is None else f"{one.value:.2f}{unit}"
            for one, unit in zip(rest, (" %", " %", ""), strict=True)
        ),
    )


def _command(trained: list[Path], data: str | None, views: list[str], weights: str, *, ensemble: bool) -> str:
    """What a person types to measure the same again."""
    from shlex import join

    words = ["residua", "evaluate", *map(str, trained), *(["--views", ",".join(views)] if views else [])]
    words += ["--data", data] if data else []
    words += ["--weights", weights] if weights != "auto" else []
    return join([*words, *(["--ensemble"] if ensemble else [])])
