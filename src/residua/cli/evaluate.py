"""`residua evaluate`."""

from pathlib import Path

import typer

from residua.cli.options import (
    DATA,
    FORCE,
    INFERENCE_BATCH_SIZE,
    INFERENCE_DEVICE,
    INFERENCE_WORKERS,
    JSON,
    OLD_REPORT,
    PROCESSES,
    REPORT,
    TOPK,
    WEIGHTS,
    number,
)
from residua.cli.paths import expand_patterns, obtain_trained, page_path
from residua.cli.processes import launch_if_asked, speaks
from residua.cli.terminal import console, next_line, put_json, say, tell
from residua.spec.amount import quantity

VIEWS = typer.Option(
    [],
    "--views",
    metavar="VIEW,...",
    help="center, flip, 10crop, multiscale, 320; of clips clip, video; of boxes voc, voc2007, coco.",
)


def evaluate(
    trained: list[Path] = typer.Argument(
        metavar="RUN|FILE|NAME", help="Runs, files (also .onnx and .xml), or published weights by name."
    ),
    data: str = DATA,
    views: list[str] = VIEWS,
    weights: str = WEIGHTS,
    ensemble: bool = typer.Option(False, "--ensemble", help="Average the probabilities of all networks."),
    device: str = INFERENCE_DEVICE,
    batch_size: int = INFERENCE_BATCH_SIZE,
    workers: int = INFERENCE_WORKERS,
    processes: int = PROCESSES,
    report: Path = REPORT,
    predictions: Path = typer.Option(
        None, "--predictions", metavar="FILE", help="Write all predictions: .csv, .jsonl or .parquet."
    ),
    topk: int = number(TOPK, "--topk", low=1, help="Classes per image in --predictions."),
    force: bool = FORCE,
    as_json: bool = JSON,
    old_report: Path = OLD_REPORT,
) -> None:
    """Evaluate trained networks on labelled data.

    Every number comes with its protocol, its 95 % interval and the number of images.

    Example: residua evaluate runs/photos-1 --data photos/test --views center,10crop --report evaluation.html
    """
    launch_if_asked(processes)
    from residua.files import write_file
    from residua.jobs.evaluate import evaluate_networks, inference_of
    from residua.jobs.tables import check_out, save
    from residua.tasks.predict_task import EvaluationRequest
    from residua.training.processes.world import process_group

    page, trained = page_path(report, old_report), expand_patterns(trained)
    check_out(page, force=force, suffixes=(".html",))
    check_out(predictions, force=force)
    names, options = _split(views), ["topk"] if topk != TOPK else []
    obtain_trained(trained)
    with process_group() as world:
        evaluations = evaluate_networks(
            trained,
            EvaluationRequest(
                data, tuple(names), weights, ensemble, inference_of(device, batch_size or 0, workers)
            ),
            options=options,
            world=world,
        )
    if not speaks():
        return
    to = console(json_on_stdout=as_json)
    if predictions:
        rows = evaluations.predictions(topk)
        save(predictions, rows)
        say(to, f"{quantity(len(rows), 'prediction')} of {trained[0]} written to {predictions}")
    if page:
        write_file(page, evaluations.page(_command(trained, data, names, weights, ensemble=ensemble)))
        say(to, f"page written to {page}")
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
