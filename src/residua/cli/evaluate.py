"""`residua evaluate`."""

from pathlib import Path

import typer

from residua.cli.processes import OPTION, launch_if_asked, speaks
from residua.cli.terminal import console, next_line, put_json, say, tell

TOPK = 5
"""Classes per image in --predictions."""


def evaluate(
    trained: list[Path] = typer.Argument(metavar="RUN|FILE...", help="Runs, or checkpoint files."),
    data: str = typer.Option(None, "--data", help="Labelled data; default: the test split of the run."),
    views: list[str] = typer.Option(
        [],
        "--views",
        help="center, flip, 10crop, multiscale, 320; of clips clip, video; of boxes voc, voc2007, coco.",
    ),
    weights: str = typer.Option("auto", help="Of a run: raw, ema, best; auto is ema where there is one."),
    ensemble: bool = typer.Option(False, "--ensemble", help="Average the probabilities of all networks."),
    out: Path = typer.Option(None, "-o", "--out", help="Write a page: .html."),
    predictions: Path = typer.Option(
        None, "--predictions", help="Write all predictions: .csv, .jsonl or .parquet."
    ),
    topk: int = typer.Option(TOPK, "--topk", min=1, help="Classes per image in --predictions."),
    force: bool = typer.Option(False, "--force", help="Replace output files that exist."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    processes: int = OPTION,
) -> None:
    """Evaluate trained networks on labelled data.

    Every number comes with its protocol, its 95 % interval and the number of images.

    Example: residua evaluate runs/photos-1 --data photos/test --views center,10crop -o evaluation.html
    """
    launch_if_asked(processes)
    from residua.files import write_file
    from residua.jobs.evaluate import evaluate_networks
    from residua.jobs.predict import check_out, save
    from residua.training.processes.world import process_group

    check_out(out, force=force, suffixes=(".html",))
    check_out(predictions, force=force)
    names, options = _split(views), ["topk"] if topk != TOPK else []
    with process_group() as world:
        evaluations = evaluate_networks(
            trained, data=data, views=names, weights=weights, ensemble=ensemble, options=options, world=world
        )
    if not speaks():
        return
    to = console(json_on_stdout=as_json)
    if predictions:
        rows = evaluations.predictions(topk)
        save(predictions, rows)
        say(to, f"{len(rows):,} predictions of {trained[0]} written to {predictions}")
    if out:
        write_file(out, evaluations.page(_command(trained, data, names, weights, ensemble=ensemble)))
        say(to, f"page written to {out}")
    if as_json:
        put_json({"scores": evaluations.to_json()})
        return
    tell(to, evaluations.table())
    next_line(to, *evaluations.next_commands(trained[0]))


def _split(views: list[str]) -> list[str]:
    """Names of views, which may be given in several options and with commas."""
    return [view for text in views for view in text.split(",")]


def _command(trained: list[Path], data: str | None, views: list[str], weights: str, *, ensemble: bool) -> str:
    """The command that repeats the evaluation."""
    from shlex import join

    words = ["residua", "evaluate", *map(str, trained), *(["--views", ",".join(views)] if views else [])]
    words += ["--data", data] if data else []
    words += ["--weights", weights] if weights != "auto" else []
    return join([*words, *(["--ensemble"] if ensemble else [])])
