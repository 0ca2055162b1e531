"""`residua evaluate`."""

from pathlib import Path

import typer

from residua.cli.processes import OPTION, launch_if_asked, speaks
from residua.cli.terminal import console, next_line, put_json, say, tell

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
    from residua.jobs.evaluate import judge
    from residua.jobs.predict import check_out, save
    from residua.runs.run import write
    from residua.training.processes.world import joined

    check_out(out, force=force, suffixes=(".html",))
    check_out(predictions, force=force)
    wanted, asked = _wanted(views), ["topk"] if topk != TOPK else []
    with joined() as world:
        verdict = judge(
            trained, data=data, views=wanted, weights=weights, ensemble=ensemble, asked=asked, world=world
        )
    if not speaks():
        return
    to = console(json_on_stdout=as_json)
    if predictions:
        answers = verdict.answers(topk)
        save(predictions, answers)
        say(to, f"{len(answers):,} answers of {trained[0]} written to {predictions}")
    if out:
        write(out, verdict.page(_command(trained, data, wanted, weights, ensemble=ensemble)))
        say(to, f"page written to {out}")
    if as_json:
        put_json({"scores": verdict.plain()})
        return
    tell(to, verdict.told())
    next_line(to, *verdict.onward(trained[0]))


def _wanted(views: list[str]) -> list[str]:
    return [view for text in views for view in text.split(",")]


def _command(trained: list[Path], data: str | None, views: list[str], weights: str, *, ensemble: bool) -> str:
    """What a person types to measure the same again."""
    from shlex import join

    words = ["residua", "evaluate", *map(str, trained), *(["--views", ",".join(views)] if views else [])]
    words += ["--data", data] if data else []
    words += ["--weights", weights] if weights != "auto" else []
    return join([*words, *(["--ensemble"] if ensemble else [])])
