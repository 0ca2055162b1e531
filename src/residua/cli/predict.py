"""`residua predict`."""

from pathlib import Path

import typer

from residua.cli.failures import BAD_DATA
from residua.cli.options import FORCE, INFERENCE_BATCH_SIZE, INFERENCE_DEVICE, JSON, number
from residua.cli.paths import expand_patterns, obtain_trained
from residua.cli.terminal import command, console, next_line, put_json, say, tell
from residua.spec.amount import quantity

MIN_CONFIDENCE = number(
    None,
    "--min-confidence",
    "--least",
    low=0,
    high=1,
    metavar="X",
    help="Detectors: lowest score of a box; 0.5 by default.",
)


def predict(
    trained: Path = typer.Argument(
        metavar="RUN|FILE|NAME", help="A run, a file, or published weights by name."
    ),
    images: list[Path] = typer.Argument(
        metavar="IMAGE|DIR", help="Image files, folders of them, or patterns such as 'new/*.jpg'."
    ),
    topk: int = number(1, "--topk", low=1, help="Classes per image."),
    draw: Path | None = typer.Option(
        None, "--draw", metavar="DIR", help="Detectors: draw boxes into PNG files."
    ),
    least: float | None = MIN_CONFIDENCE,
    timeline: Path = typer.Option(
        None, "--timeline", metavar="HTML", help="Clips: draw probabilities over time, with frames."
    ),
    device: str = INFERENCE_DEVICE,
    batch_size: int = INFERENCE_BATCH_SIZE,
    out: Path = typer.Option(
        None, "-o", "--out", metavar="FILE", help="Write the predictions: .csv, .jsonl or .parquet."
    ),
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Predict the classes of images or videos, or boxes in images.

    Files that cannot be read are listed, the others predicted, and the exit code is 4.

    Example: residua predict runs/photos-1 new/ --topk 3 -o labels.csv

    Example: residua predict runs/cells-1 new/ --draw drawings -o boxes.jsonl
    """
    from residua.jobs.predict import check_out, save
    from residua.jobs.predict import predict as predict_files

    options = {"topk": topk != 1, "draw": draw, "least": least is not None, "timeline": timeline}
    check_out(out, force=force)
    check_out(timeline, force=force, suffixes=(".html",))
    obtain_trained([trained])
    predictions, noun = predict_files(
        trained,
        expand_patterns(images),
        topk=topk,
        least=least,
        options=[name for name, is_given in options.items() if is_given],
        device=device,
        batch_size=batch_size or 0,
    )
    to, errors = console(json_on_stdout=as_json), predictions.errors
    if out:
        save(out, predictions)
        say(to, f"{len(predictions) - len(errors)} of {quantity(len(predictions), noun)} written to {out}")
    for place in (draw, timeline):
        if place:
            say(to, predictions.draw(place, name=trained.name, force=force))
    if as_json:
        put_json(predictions.to_json())
    elif not (out or draw):
        tell(to, predictions.table())
    for error in errors:
        say(console(json_on_stdout=True), f"residua: {error}")
    next_line(to, command("evaluate", trained))
    if errors:
        raise typer.Exit(BAD_DATA)
