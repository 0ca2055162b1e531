"""`residua data clean`, `apply`, `add` and `augment`: find label noise, and write label files without it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import STOPPED
from residua.cli.options import (
    FORCE,
    JSON,
    MODEL,
    OLD_REPORT,
    PRETRAINED,
    RECIPE,
    REPORT,
    SETTINGS,
    WORKERS,
    complete_source,
    number,
)
from residua.cli.paths import page_path
from residua.cli.recipe_options import setting
from residua.cli.terminal import aside, command, console, counting, next_line, put_json, say, show_table
from residua.data.sources.table import parse_source, written_forms
from residua.errors import ConfigError
from residua.files import check_output_path
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from rich.console import Console

    from residua.curate.actions import CleanResult
    from residua.events import Event

MAX_ROWS = 10
"""Rows of a table in the terminal."""


def clean(
    path: str = typer.Argument(
        metavar="DATA", help=f"Images: {written_forms('images')}.", autocompletion=complete_source
    ),
    run: Path = typer.Option(
        None, "--run", metavar="RUN", help="A run that predicts the images it was not trained on."
    ),
    folds: int = number(5, "--folds", low=0, help="Networks for cross-validation; 0 uses only --run."),
    model: str = MODEL,
    recipe: str = RECIPE,
    weights: str = PRETRAINED,
    epochs: int = number(None, "--epochs", low=1, help="Epochs of each network."),
    settings: list[str] = SETTINGS,
    out: Path = typer.Option(None, "-o", "--out", metavar="DIR", help="New folder, or one to resume in."),
    force: bool = typer.Option(False, "--force", help="Replace an existing clean."),
    as_json: bool = JSON,
) -> None:
    """Find wrong labels, duplicates and outliers; write a page to review and a table to edit.

    No image is changed, moved or deleted. After an interruption, the same command resumes.

    Example: residua data clean photos -o photos-clean
    """
    from residua.cli.progress import Stopper
    from residua.curate import clean as job
    from residua.jobs.train_request import TrainRequest
    from residua.progress import ProgressPrinter
    from residua.training.processes import world

    to = console(json_on_stdout=as_json, unbroken=True)
    where = out or Path("runs") / f"clean-{_name(path)}"
    training = TrainRequest(path, model, recipe, weights, epochs, tuple(map(setting, settings)))
    request = job.CleanRequest(training, folds, run, world.available_cores())
    say(aside(to), f"plan    {_plan(folds, run)}; output in {where}")
    printer, stopper = ProgressPrinter(aside(to)), Stopper(to)

    def listen(fold: int, event: "Event") -> None:
        printer.show(event, f"fold {fold + 1}/{folds}")

    with counting(to) as progress, printer.showing_bars():
        result = job.clean(request, where, listen=listen, stop=stopper, progress=progress, force=force)
    if result is None:
        say(to, f"stopped and saved in {where}; the same command resumes")
        raise typer.Exit(STOPPED)
    _show(to, result)
    say(to, f"page    {where / job.PAGE}")
    say(to, f"table   {where / job.CSV}" + (": edit the column action" if result.is_in_files else ""))
    apply_command = command("data", "apply", where / job.CSV, "-o", _manifest(path))
    next_line(to, apply_command if result.is_in_files else command("data", "check", path))
    if as_json:
        put_json({**result.plain(), "csv": str(where / job.CSV), "page": str(where / job.PAGE)})


def apply(
    table: Path = typer.Argument(metavar="CSV", help="The edited clean.csv, where clean wrote it."),
    out: Path = typer.Option(
        ..., "-o", "--out", metavar="CSV", help="Manifest to write, in a folder above the images."
    ),
    force: bool = typer.Option(False, "--force", help="Replace an existing manifest."),
    as_json: bool = JSON,
) -> None:
    """Write a manifest, a label file to train on, from an edited clean.csv.

    No image is changed, moved or deleted.

    Example: residua data apply photos-clean/clean.csv -o photos.csv
    """
    from residua.curate.apply import apply

    to = console(json_on_stdout=as_json)
    summary = apply(table, out, force=force)
    if as_json:
        put_json({**summary.plain(), "manifest": str(out)})
        return
    new = f", {summary.new:,} added after the clean left out" if summary.new else ""
    say(
        to, f"{summary.unchanged:,} kept, {summary.relabelled:,} relabelled, {summary.dropped:,} dropped{new}"
    )
    say(to, f"manifest {out}: {_splits(summary.splits)}")
    next_line(
        to,
        command("train", summary.source, "-o", "runs/before"),
        command("train", out, "-o", "runs/after"),
        command("compare", "runs/before", "runs/after", "--data", out),
    )


def add(
    old: str = typer.Argument(metavar="MANIFEST|FOLDER", help="The old images."),
    new: str = typer.Argument(metavar="NEW", help="New images: a folder of classes or a label file."),
    out: Path = typer.Option(
        ..., "-o", "--out", metavar="CSV", help="Manifest to write, in a folder above the images."
    ),
    new_classes: bool = typer.Option(False, "--new-classes", help="Accept classes that the old images lack."),
    force: bool = typer.Option(False, "--force", help="Replace an existing manifest."),
    workers: int = WORKERS,
    as_json: bool = JSON,
) -> None:
    """Write a manifest of old and new images, without duplicates and unreadable files.

    No image is changed, moved or deleted.

    Example: residua data add photos more-photos -o all.csv
    """
    from dataclasses import asdict

    from residua.curate.add import add
    from residua.training.processes import world

    to = console(json_on_stdout=as_json)
    with counting(to) as progress:
        summary = add(
            old,
            new,
            out,
            workers=world.available_cores() if workers < 0 else workers,
            new_classes=new_classes,
            force=force,
            progress=progress,
        )
    if as_json:
        put_json({**asdict(summary), "manifest": str(out)})
        return
    say(
        to,
        f"{summary.old:,} old + {quantity(summary.new, 'new image')}; "
        f"{len(summary.left_out):,} of the new left out",
    )
    if summary.classes:
        say(to, f"new classes: {', '.join(summary.classes)}")
    rows = [(image.kind, image.path, image.reason) for image in summary.left_out[:MAX_ROWS]]
    if rows:
        show_table(to, ("left out", "file", "reason"), rows)
    if len(summary.left_out) > MAX_ROWS:
        say(to, f"{len(summary.left_out) - MAX_ROWS:,} more: --json lists all", "dim")
    say(to, f"manifest {out}: {_splits(summary.splits)}")
    next_line(to, command("data", "check", out), command("train", out))


def augment(
    path: str = typer.Argument(
        metavar="DATA", help=f"Images: {written_forms('images')}.", autocompletion=complete_source
    ),
    model: str = MODEL,
    recipe: str = RECIPE,
    settings: list[str] = SETTINGS,
    count: int = number(
        8, "-n", "--images", low=1, high=64, help="Images on the page, spread over the classes."
    ),
    report: Path = REPORT,
    force: bool = FORCE,
    old_report: Path = OLD_REPORT,
) -> None:
    """Show the inputs of a network: in training, in testing, and after it is saved and loaded.

    Example: residua data augment photos --recipe modern --report seen.html
    """
    page = page_path(report, old_report)
    if page is None:
        raise ConfigError("data augment writes a page: give --report FILE.html")
    check_output_path(page, force=force, suffixes=(".html", ".htm"))

    from residua.files import write_file
    from residua.jobs.prepare import preview
    from residua.jobs.train_request import TrainRequest

    to = console()
    request = TrainRequest(path, model, recipe, changes=tuple(map(setting, settings)))
    inputs = preview(request, count)
    write_file(page, inputs.page)
    for note in inputs.notes:
        say(aside(to), note)
    say(to, f"page    {page}")
    next_line(to, command("train", path, *(("--recipe", recipe) if recipe else ())))


def _name(path: str) -> str:
    return parse_source(path).label or "images"


def _manifest(path: str) -> str:
    """Path of the suggested manifest: beside the cleaned folder, so above its images."""
    place = Path(path)
    return str(place.with_name(f"{place.stem}-clean.csv"))


def _plan(folds: int, run: Path | None) -> str:
    parts = [f"{run} predicts the images it was not trained on"] if run else []
    if folds:
        images = "the rest" if run else "every image"
        parts.append(
            f"{quantity(folds, 'network')} for {images}, each trained without the images it predicts"
        )
    return ", ".join(parts)


def _splits(splits: dict[str, int]) -> str:
    return " + ".join(f"{count:,} {name}" for name, count in splits.items())


def _show(to: "Console", result: "CleanResult") -> None:
    for note in result.notes:
        say(to, f"images  {note}")
    summaries = result.class_summaries()[:MAX_ROWS]
    rows = [
        (each.name, f"{each.images:,}", *each.wrong_cells, f"{each.issues:,}", each.confused_with)
        for each in summaries
    ]
    if summaries:
        estimate = ("wrong, estimated",) * len(summaries[0].wrong_cells)
        show_table(to, ("class", "images", *estimate, "label issues", "confused with"), rows)
    if result.accuracy is not None:
        say(to, f"accuracy {result.accuracy:.1f} %; {result.estimate}")
    counts = result.action_counts()
    findings = ", ".join(f"{len(indices):,} {kind}" for kind, indices in result.findings.items() if indices)
    say(to, f"found   {findings or 'nothing'}")
    say(to, f"suggested: relabel {counts['relabel']:,}, drop {counts['drop']:,}, keep {counts['keep']:,}")
