"""`residua predict`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import BAD_DATA
from residua.cli.options import INFERENCE_BATCH_SIZE, INFERENCE_DEVICE, JSON, number
from residua.cli.paths import expand_patterns, obtain_trained
from residua.cli.terminal import aside, command, console, counting, next_line, put_json, say, tell
from residua.spec.amount import quantity
from residua.spec.recipe import MAX_WORKERS

if TYPE_CHECKING:
    from rich.console import Console

    from residua.jobs.predict import PredictJob
    from residua.jobs.prediction_file import PredictionFile
    from residua.tasks.predict_task import Predictions

MIN_CONFIDENCE = number(
    None,
    "--min-confidence",
    "--least",
    low=0,
    high=1,
    metavar="X",
    help="Lowest probability of a class that is named, or lowest score of a box, 0.5 by default.",
)
WORKERS = number(
    -1,
    "--workers",
    low=-1,
    high=MAX_WORKERS,
    help="Threads that decode images; 0 decodes between batches, -1 is one for each core.",
)


TRAINED = typer.Argument(
    metavar="RUN|FILE|NAME",
    help="A run, a checkpoint or exported file (.onnx, .xml, .pt2), or published weights by name.",
)
INPUTS = typer.Argument(
    metavar="IMAGE|DIR|DATA",
    help="Image files, folders of them, patterns such as 'new/*.jpg', or sources such as cifar10:DIR.",
)
TTA = typer.Option(False, "--tta", help="Average each image with its mirror image.")
SORT_INTO = typer.Option(
    None,
    "--sort-into",
    metavar="DIR",
    help="Copy each image into DIR/CLASS, unsure ones into DIR/unsure.",
)
DRAW = typer.Option(None, "--draw", metavar="DIR", help="Detectors: draw boxes into PNG files.")
TIMELINE = typer.Option(
    None, "--timeline", metavar="HTML", help="Clips: draw probabilities over time, with frames."
)
ENGINE = typer.Option(
    "auto",
    "--engine",
    metavar="NAME",
    help="What computes images: auto measures for many, torch never; see docs/how-to/engines.md.",
)
OUT = typer.Option(
    None, "-o", "--out", metavar="FILE", help="Write the predictions: .csv, .jsonl or .parquet."
)
RAY = typer.Option(
    "", "--ray", metavar="ADDRESS", help="Predict on a Ray cluster: auto, local, or host:port."
)
ANEW = typer.Option(False, "--force", help="Replace output that exists, and begin anew.")


def predict(
    trained: Path = TRAINED,
    images: list[str] = INPUTS,
    topk: int = number(1, "--topk", low=1, help="Classes per image."),
    least: float | None = MIN_CONFIDENCE,
    tta: bool = TTA,
    sort_into: Path | None = SORT_INTO,
    draw: Path | None = DRAW,
    timeline: Path = TIMELINE,
    device: str = INFERENCE_DEVICE,
    batch_size: int = INFERENCE_BATCH_SIZE,
    workers: int = WORKERS,
    engine: str = ENGINE,
    ray: str = RAY,
    out: Path = OUT,
    force: bool = ANEW,
    as_json: bool = JSON,
) -> None:
    """Predict the classes of images or videos, or boxes in images.

    Files that cannot be read are listed, the others predicted, and the exit code is 4. Predictions are
    written to -o as they are made: after an interruption, the same command continues.

    Example: residua predict runs/photos-1 new/ --topk 3 -o labels.csv

    Example: residua predict model.onnx new/ --min-confidence 0.8 --sort-into sorted

    Example: residua predict runs/cells-1 new/ --draw drawings -o boxes.jsonl
    """
    from residua.jobs.predict import PredictRequest, open_job
    from residua.tasks.predict_task import PredictOptions

    used = {
        "topk": topk != 1,
        "draw": draw,
        "timeline": timeline,
        "tta": tta,
        "sort-into": sort_into,
        "engine": engine != "auto",
    }
    _check_outputs(out, timeline, force=force)
    obtain_trained([trained])
    request = PredictRequest(
        trained,
        _expanded(images),
        PredictOptions(topk, least, tta, batch_size or 0, workers, engine),
        tuple(name for name, value in used.items() if value),
        device,
        sort_into,
        ray,
    )
    job = _accelerated(open_job(request))
    to = console(json_on_stdout=as_json)
    if out and not (as_json or draw or timeline):
        errors = _predict_into(out, job, force=force)
    else:
        place = draw or timeline  # no task has both
        errors = _predict_all(job, to, out, place, force=force, as_json=as_json, has_table=not (out or draw))
    if sort_into:
        say(to, f"{quantity(len(job.inputs) - errors, job.noun)} sorted into {sort_into}")
    next_line(to, command(job.next_command, trained))
    if errors:
        raise typer.Exit(BAD_DATA)


def _accelerated(job: "PredictJob") -> "PredictJob":
    """The job with its engine, with a bar while engines are measured."""
    from residua.progress import ProgressPrinter

    printer = ProgressPrinter(aside(console(json_on_stdout=True)))
    with printer.showing_bars():
        return job.accelerated(printer.show)


def _expanded(texts: list[str]) -> tuple[str, ...]:
    """The inputs with each pattern replaced by its matches; an address is no pattern."""
    return tuple(
        path
        for text in texts
        for path in ([text] if "://" in text else map(str, expand_patterns([Path(text)])))
    )


def _predict_all(
    job: "PredictJob",
    to: "Console",
    out: Path | None,
    place: Path | None,
    *,
    force: bool,
    as_json: bool,
    has_table: bool,
) -> int:
    """Collect all predictions, write, draw and print them; the number of inputs that cannot be read."""
    predictions = _predict(job)
    if out:
        _save(out, predictions, job.noun, to)
    if place:
        say(to, predictions.draw(place, name=job.trained.name, force=force))
    if as_json:
        put_json(predictions.to_json())
    elif has_table:
        tell(to, predictions.table())
    _say_errors(predictions)
    return len(predictions.errors)


def _predict(job: "PredictJob") -> "Predictions":
    """The predictions of all inputs, with a bar where there are several."""
    if len(job.inputs) == 1:
        return job.all_predictions()
    with counting(console(json_on_stdout=True)) as count:
        return job.all_predictions(tell=count)


def _predict_into(out: Path, job: "PredictJob", *, force: bool) -> int:
    """Write predictions to a file while they are made; the number of inputs that cannot be read."""
    from residua.jobs.predict import predict_into

    to = console(json_on_stdout=True)
    total = len(job.inputs)

    def begin(file: "PredictionFile") -> None:
        if done := file.progress.done:
            say(to, f"{done:,} of {quantity(total, job.noun)} are predicted already: continuing behind them")

    try:
        with counting(to) as count:
            progress = predict_into(out, job, force=force, begin=begin, listen=_say_errors, tell=count)
    except KeyboardInterrupt:
        say(aside(to), "the same command continues where this one ends")
        raise
    _say_written(console(), total, progress.errors, job.noun, out)
    return progress.errors


def _check_outputs(out: Path | None, timeline: Path | None, *, force: bool) -> None:
    """Check that files can be written, before any work is done."""
    from residua.jobs.tables import check_out

    check_out(out, force=force)
    check_out(timeline, force=force, suffixes=(".html",))


def _save(out: Path, predictions: "Predictions", noun: str, to: "Console") -> None:
    """Write predictions to a file at once."""
    from residua.jobs.tables import save

    save(out, predictions)
    _say_written(to, len(predictions), len(predictions.errors), noun, out)


def _say_errors(predictions: "Predictions") -> None:
    """Print why inputs cannot be read."""
    if predictions.errors:
        to = console(json_on_stdout=True)
        for error in predictions.errors:
            say(to, f"residua: {error}")


def _say_written(to: "Console", total: int, errors: int, noun: str, out: Path) -> None:
    say(to, f"{total - errors:,} of {quantity(total, noun)} written to {out}")
