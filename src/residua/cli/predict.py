"""`residua predict`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli import boxes, clips
from residua.cli.failures import BAD_DATA
from residua.cli.terminal import console, next_line, put_json, say, show_table

if TYPE_CHECKING:
    from residua.deliver.engine import Classifier


def predict(
    trained: Path = typer.Argument(metavar="RUN|FILE", help="A run, or one of its checkpoint files."),
    images: list[Path] = typer.Argument(metavar="IMAGE|DIR...", help="Image files, or folders of them."),
    topk: int = typer.Option(1, "--topk", min=1, help="Classes per image."),
    draw: Path | None = typer.Option(
        None, "--draw", metavar="DIR", help="Detectors: draw boxes into PNG files."
    ),
    least: float | None = typer.Option(
        None, "--least", min=0.0, max=1.0, help="Detectors: least score of a box, 0.5 unless given."
    ),
    timeline: Path = typer.Option(
        None, "--timeline", metavar="HTML", help="Clips: draw probabilities over time, with frames."
    ),
    out: Path = typer.Option(None, "-o", "--out", help="Write .csv, .jsonl or .parquet."),
    force: bool = typer.Option(False, "--force", help="Replace an output file that is there."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Name what is in pictures or in videos, or find boxes in pictures.

    Files that are no image are named, the others answered, and the exit code is 4.

    Example: residua predict runs/photos-1 new/ --topk 3 -o labels.csv
    Example: residua predict runs/cells-1 new/ --draw drawn -o boxes.jsonl
    """
    from residua.jobs.boxes import finds_boxes

    if finds_boxes(trained):
        if topk != 1:
            raise ValueError("--topk is for networks that classify: leave it")
        boxes.predict(trained, images, draw, least, out, force=force, as_json=as_json)
        return
    if draw is not None or least is not None:
        raise ValueError("--draw and --least are for detectors: leave them")

    from residua.deliver.engine import load
    from residua.jobs.predict import check_out

    check_out(out, force=force)
    check_out(timeline, force=force, suffixes=(".html",))
    classifier = load(trained)
    if classifier.network.arch.clip:
        clips.predict(trained, images, topk, timeline, out, as_json=as_json)
        return
    if timeline:
        raise ValueError("--timeline is for networks that read clips: leave it")
    _pictures(trained, classifier, images, topk, out, as_json=as_json)


def _pictures(
    trained: Path, classifier: "Classifier", images: list[Path], topk: int, out: Path | None, *, as_json: bool
) -> None:
    """Name what is in pictures."""
    from residua.data.sources import list_images
    from residua.jobs.predict import predictions, save

    to = console(json_on_stdout=as_json)
    answers = list(predictions(classifier, list_images(images), topk=topk))
    good = [answer for answer in answers if not answer.error]
    if out:
        save(out, answers)
        say(to, f"{len(good)} of {len(answers)} images written to {out}")
    if as_json:
        put_json([answer.plain() for answer in answers])
    elif not out:
        rows = [(a.file, *(f"{name} {100 * p:.1f} %" for name, p in a.top)) for a in good]
        show_table(to, ("file", *("" for _ in range(topk))), rows)
    bad = [answer for answer in answers if answer.error]
    for answer in bad:
        say(console(json_on_stdout=True), f"residua: {answer.error}")
    next_line(to, f"residua evaluate {trained}")
    if bad:
        raise typer.Exit(BAD_DATA)
