"""`residua data clean`, `apply`, `add` and `augment`: from labels as they came to labels that hold."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import STOPPED
from residua.cli.terminal import check_page, command, console, counting, next_line, put_json, say, show_table
from residua.cli.train import setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from residua.curate.actions import Cleaned
    from residua.training.events import Event

WORST = 10
"""Classes in the table of the worst."""

_MODEL = typer.Option(None, "-m", "--model", help="Name of a network; `residua models` lists them.")
_RECIPE = typer.Option(None, help="Name of a recipe, or a recipe.json.")
_SETTINGS = typer.Option([], "--set", metavar="PATH=VALUE", help="One field of the recipe.")


def clean(
    path: str = typer.Argument(metavar="PATH", help="A folder of classes, a .csv or .parquet, or digits."),
    run: Path = typer.Option(None, help="A run to ask about the images that it did not train on."),
    folds: int = typer.Option(5, min=0, help="Networks to train, each without the images that it judges."),
    model: str = _MODEL,
    recipe: str = _RECIPE,
    weights: str = typer.Option("", help="A checkpoint file or a run to start from."),
    epochs: int = typer.Option(None, min=1, help="Passes over the images, for each network."),
    settings: list[str] = _SETTINGS,
    out: Path = typer.Option(None, "-o", "--out", metavar="DIR", help="Folder to make, or to go on in."),
    force: bool = typer.Option(False, "--force", help="Replace a clean that is there."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Find wrong labels, copies and outliers; a page to look at, and a table to edit.

    Nothing is changed, moved or deleted. Stopped, the same command goes on.

    Example: residua data clean photos -o photos-clean
    """
    from residua.cli.progress import ProgressPrinter, Stopper
    from residua.curate.clean import CSV, PAGE, CleanRequest
    from residua.curate.clean import clean as look
    from residua.jobs.prepare import TrainRequest
    from residua.training.processes import world

    to = console(json_on_stdout=as_json, lasting=True)
    where = out or Path("runs") / f"clean-{_name(path)}"
    wish = TrainRequest(path, model, recipe, weights, epochs, tuple(setting(text) for text in settings))
    asked = CleanRequest(wish, folds, run, world.cores())
    say(to, f"plan    {_plan(asked.folds, run)}; into {where}")
    watcher, stopper = ProgressPrinter(to), Stopper(to)

    def hear(fold: int) -> "Callable[[Event], None]":
        return lambda event: watcher.see(event, f"fold {fold + 1}/{folds}")

    with counting(to) as tell, watcher.watching():
        found = look(asked, where, hear=hear, stop=stopper, tell=tell, force=force)
    if found is None:
        say(to, f"stopped, saved in {where}; the same command goes on")
        raise typer.Exit(STOPPED)
    _say(to, found)
    say(to, f"page    {where / PAGE}")
    say(to, f"table   {where / CSV}" + (": edit the column action" if found.in_files else ""))
    apply_it = command("data", "apply", where / CSV, "-o", _manifest(path))
    next_line(to, apply_it if found.in_files else command("data", "check", path))
    if as_json:
        put_json({**found.plain(), "csv": str(where / CSV), "page": str(where / PAGE)})


def apply(
    table: Path = typer.Argument(metavar="CSV", help="The edited clean.csv, where the clean wrote it."),
    out: Path = typer.Option(..., "-o", "--out", metavar="CSV", help="Manifest to write, above the images."),
    force: bool = typer.Option(False, "--force", help="Replace a manifest that is there."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Write the manifest that an edited clean.csv means: a label file to train on.

    Nothing is changed, moved or deleted.

    Example: residua data apply photos-clean/clean.csv -o photos.csv
    """
    from dataclasses import asdict

    from residua.curate.apply import apply as write

    to = console(json_on_stdout=as_json)
    done = write(table, out, force=force)
    if as_json:
        put_json({**asdict(done), "manifest": str(out)})
        return
    later = f", {done.new:,} that came later left out" if done.new else ""
    say(to, f"{done.kept:,} kept, {done.relabelled:,} relabelled, {done.dropped:,} dropped{later}")
    say(to, f"manifest {out}: {_splits(done.splits)}")
    next_line(
        to,
        command("train", done.source, "-o", "runs/before"),
        command("train", out, "-o", "runs/after"),
        command("compare", "runs/before", "runs/after", "--data", out),
    )


def add(
    old: str = typer.Argument(metavar="MANIFEST|FOLDER", help="The images that are there."),
    new: str = typer.Argument(metavar="NEW", help="A folder of classes, or a label file, of new ones."),
    out: Path = typer.Option(..., "-o", "--out", metavar="CSV", help="Manifest to write, above the images."),
    new_classes: bool = typer.Option(False, "--new-classes", help="Take classes that are not there yet."),
    force: bool = typer.Option(False, "--force", help="Replace a manifest that is there."),
    workers: int = typer.Option(-1, min=-1, help="Processes; -1 takes one for each core."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Write a manifest of old and new images, without copies and unreadable files.

    Nothing is changed, moved or deleted.

    Example: residua data add photos more-photos -o all.csv
    """
    from dataclasses import asdict

    from residua.curate.add import add as merge
    from residua.training.processes import world

    to = console(json_on_stdout=as_json)
    with counting(to) as tell:
        done = merge(
            old,
            new,
            out,
            workers=world.cores() if workers < 0 else workers,
            new_classes=new_classes,
            force=force,
            tell=tell,
        )
    if as_json:
        put_json({**asdict(done), "manifest": str(out)})
        return
    say(to, f"{done.old:,} old + {done.new:,} new images; {len(done.left_out):,} new ones left out")
    if done.classes:
        say(to, f"new classes: {', '.join(done.classes)}")
    rows = [(one.kind, one.path, one.reason) for one in done.left_out[:WORST]]
    if rows:
        show_table(to, ("left out", "file", "why"), rows)
    if len(done.left_out) > WORST:
        say(to, f"{len(done.left_out) - WORST:,} more: --json lists all", "dim")
    say(to, f"manifest {out}: {_splits(done.splits)}")
    next_line(to, command("data", "check", out), command("train", out))


def augment(
    path: str = typer.Argument(metavar="PATH", help="A folder of classes, a .csv or .parquet, or digits."),
    model: str = _MODEL,
    recipe: str = _RECIPE,
    settings: list[str] = _SETTINGS,
    count: int = typer.Option(8, "-n", min=1, max=64, help="Images to show, spread over the classes."),
    out: Path = typer.Option(..., "-o", "--out", metavar="HTML", help="Page to write."),
    force: bool = typer.Option(False, "--force", help="Replace a page that is there."),
) -> None:
    """Show what the network sees: in training, in testing, and once it is saved and loaded.

    Example: residua data augment photos --recipe modern -o seen.html
    """
    check_page(out, force=force)

    from residua.jobs.prepare import TrainRequest, preview
    from residua.runs.run import write

    to = console()
    found = preview(TrainRequest(path, model, recipe, changes=tuple(map(setting, settings))), count)
    write(out, found.page)
    for line in found.notes:
        say(to, line)
    say(to, f"page    {out}")
    next_line(to, command("train", path, *(("--recipe", recipe) if recipe else ())))


def _name(path: str) -> str:
    return (Path(path).resolve().name if Path(path).exists() else path.partition(":")[0]) or "images"


def _manifest(path: str) -> str:
    """A manifest beside what was cleaned: above its images, wherever that is."""
    place = Path(path)
    return str(place.with_name(f"{place.stem}-clean.csv"))


def _plan(folds: int, run: Path | None) -> str:
    parts = [f"{run} judges what it did not train on"] if run else []
    rest = "the rest" if run else "every image"
    return ", ".join([*parts, *([f"{folds} networks judge {rest}, each untrained on it"] if folds else [])])


def _splits(splits: dict[str, int]) -> str:
    return " + ".join(f"{count:,} {name}" for name, count in splits.items())


def _say(to: "Console", found: "Cleaned") -> None:
    for line in found.how:
        say(to, f"judged  {line}")
    rows = [
        (one.name, f"{one.images:,}", f"{one.wrong:.1f} %", f"{one.suspects:,}", one.taken_for)
        for one in found.summaries()[:WORST]
    ]
    if rows:
        show_table(to, ("class", "images", "wrong, estimated", "suspected", "taken for"), rows)
    if found.confidence is not None and found.accuracy is not None:
        share = 100 * found.confidence.wrong_share
        say(to, f"{found.accuracy:.1f} % judged as labelled; {share:.1f} % of labels wrong, by estimate")
    counts = found.counts()
    kinds = ", ".join(f"{len(places):,} {kind}" for kind, places in found.kinds.items() if places)
    say(to, f"found   {kinds or 'nothing'}")
    say(to, f"suggested: relabel {counts['relabel']:,}, drop {counts['drop']:,}, keep {counts['keep']:,}")
