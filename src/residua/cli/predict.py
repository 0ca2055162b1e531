"""`residua predict`."""

from pathlib import Path

import typer

from residua.cli.failures import BAD_DATA
from residua.cli.terminal import command, console, next_line, put_json, say, tell


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
    from residua import tasks
    from residua.data.sources.table import list_images
    from residua.errors import CheckpointError
    from residua.jobs.predict import check_out, save

    given = {"topk": topk != 1, "draw": draw, "least": least is not None, "timeline": timeline}
    check_out(out, force=force)
    check_out(timeline, force=force, suffixes=(".html",))
    if not trained.exists():
        raise CheckpointError(f"{trained} does not exist: give a run, or one of its checkpoint files")
    kind = tasks.of_trained([trained], [name for name, is_given in given.items() if is_given])
    files = list_images(images, media_type=kind.media_type)
    answers = kind.predict(trained, files, topk=topk, least=least)
    to, bad = console(json_on_stdout=as_json), answers.errors
    if out:
        save(out, answers)
        say(to, f"{len(answers) - len(bad)} of {len(answers)} {kind.media_type.noun}s written to {out}")
    for place in (draw, timeline):
        if place:
            say(to, answers.show(place, name=trained.name, force=force))
    if as_json:
        put_json(answers.plain())
    elif not (out or draw):
        tell(to, answers.told())
    for error in bad:
        say(console(json_on_stdout=True), f"residua: {error}")
    next_line(to, command("evaluate", trained))
    if bad:
        raise typer.Exit(BAD_DATA)
