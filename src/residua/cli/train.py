"""`residua train` and `residua resume`."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import STOPPED
from residua.cli.network_options import MODEL_SET, model_changes
from residua.cli.options import (
    BEST_PRETRAINED,
    MODEL,
    PRETRAINED,
    PROCESSES,
    RECIPE,
    SETTINGS,
    complete_source,
)
from residua.cli.processes import ended, is_one_of_many, launch_if_asked, may_restart, speaks
from residua.cli.recipe_options import (
    BATCH_SIZE,
    DEVICE,
    EPOCHS,
    FOLDS,
    FRAME_STRIDE,
    FRAMES,
    FROM_SCRATCH,
    IMAGE_SIZE,
    LOADER_WORKERS,
    LR,
    MEMORY_LIMIT,
    MINUTES,
    PROBE,
    SEED,
    SEGMENTS,
    VAL_FRACTION,
    errors_named_as_typed,
    recipe_changes,
)
from residua.cli.terminal import aside, command, console, next_line, say, say_wrapped
from residua.cli.verbosity import is_verbose
from residua.data.sources.table import help_text
from residua.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from residua.cli.progress import Stopper
    from residua.events import Event
    from residua.jobs.train_request import TrainRequest
    from residua.spec.recipe import Recipe

TRACK = typer.Option(
    [], "--track", metavar="TOOL", help="Write the curves for another tool, too: tensorboard."
)


def train(
    data: str = typer.Argument(metavar="DATA", help=help_text(), autocompletion=complete_source),
    model: str = MODEL,
    model_set: list[str] = MODEL_SET,
    recipe: str = RECIPE,
    weights: str = PRETRAINED,
    pretrained: bool = BEST_PRETRAINED,
    from_scratch: bool = FROM_SCRATCH,
    probe: bool = PROBE,
    folds: int = FOLDS,
    epochs: int = EPOCHS,
    minutes: float = MINUTES,
    image_size: int = IMAGE_SIZE,
    lr: float = LR,
    batch_size: int = BATCH_SIZE,
    device: str = DEVICE,
    seed: int = SEED,
    workers: int = LOADER_WORKERS,
    val_fraction: float = VAL_FRACTION,
    frames: int = FRAMES,
    frame_stride: int = FRAME_STRIDE,
    segments: int = SEGMENTS,
    settings: list[str] = SETTINGS,
    memory_limit: str = MEMORY_LIMIT,
    out: Path = typer.Option(None, "-o", "--out", metavar="RUN", help="Run directory to create."),
    force: bool = typer.Option(False, "--force", help="Replace an existing run."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the plan; train nothing and write nothing."),
    track: list[str] = TRACK,
    processes: int = PROCESSES,
) -> None:
    """Train a network on your images, videos or boxes.

    Settings you leave out are chosen for you and printed before training. Images begin from published weights
    that are on this machine or can be downloaded; --from-scratch takes none. Options that name a field of the
    recipe are short for --set; `residua recipes NAME` lists all fields.

    Example: residua train photos -m resnet18 --minutes 5

    Example: residua train cifar10:DIR --recipe he2015.cifar --dry-run
    """
    _begin(track)
    short_forms = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "device": device, "seed": seed}
    short_forms |= {"workers": workers, "val_fraction": val_fraction, "memory_limit": memory_limit}
    changes = recipe_changes(settings, short_forms)
    of_network = model_changes(model_set, frames=frames, frame_stride=frame_stride, segments=segments)
    _check_and_launch(data, out, force=force, dry_run=dry_run, processes=processes)

    from residua.jobs.train_request import TrainRequest

    request = TrainRequest(
        data,
        model,
        _recipe_name(recipe, probe=probe),
        weights or ("auto" if pretrained else ""),
        epochs,
        changes,
        model_changes=of_network,
        image_size=image_size,
        minutes=minutes,
        from_scratch=from_scratch,
        folds=folds,
    )
    with errors_named_as_typed(short_forms):
        if dry_run:
            _print_plan(request, out, processes)
        else:
            _train(request, out, force=force, track=track)


def _check_and_launch(data: str, out: Path | None, *, force: bool, dry_run: bool, processes: int) -> None:
    """Check the run directory before torch is loaded, which takes seconds; start the other processes."""
    from residua.runs.run import check_run_path

    if out and not is_one_of_many():
        check_run_path(out, force=force)
    if not dry_run:
        launch_if_asked(processes, *([] if out or processes == 1 else _path_for(data)))


def _recipe_name(recipe: str | None, *, probe: bool) -> str | None:
    """The recipe that --recipe or --probe names. ConfigError for both."""
    if probe and recipe:
        raise ConfigError(f"--probe is the recipe probe, and --recipe {recipe} another: give one of them")
    return "probe" if probe else recipe


def _train(request: "TrainRequest", out: Path | None, *, force: bool, track: list[str]) -> None:
    """Train in this process, which may be one of several."""
    from residua.jobs.train import fit_run, start_or_join
    from residua.progress import ProgressPrinter
    from residua.training.processes.world import process_group

    to = console(unbroken=True)
    with process_group() as world:
        if may_restart() and not out:
            raise ConfigError("torchrun may restart this command and must then find its run: give -o RUN")
        printer = ProgressPrinter(aside(to))
        with printer.showing_bars():
            run, prepared = start_or_join(request, out, force=force, listen=printer.show, world=world)
        for line in (*_details(prepared.recipe), f"run     {run.path}"):
            say_wrapped(aside(to), line)
        stopped = _run_with_progress(
            to, run.path, track, lambda see, stop: fit_run(run, prepared, listen=see, stop=stop, world=world)
        )
    _print_end(to, run.path, stopped)


def _print_plan(request: "TrainRequest", out: Path | None, processes: int) -> None:
    """Print what training would do and write, for --dry-run."""
    from residua.jobs.dry_run import plan_run
    from residua.jobs.train import free_path

    to = console()
    plan = plan_run(request, out or free_path(request.source), processes=processes)
    for line in (*plan.lines, *_details(plan.recipe)):
        say_wrapped(to, line)
    say_wrapped(aside(to), "dry run: nothing was trained, nothing was written", "bold")


def _details(recipe: "Recipe") -> list[str]:
    """Every field of the recipe, for --verbose."""
    from residua.recipes.fields import settings_of

    return [f"setting {path}={value}" for path, value in settings_of(recipe)] if is_verbose() else []


def resume(
    run: Path = typer.Argument(metavar="RUN", help="An interrupted run."),
    data: str = typer.Option(
        None,
        "--data",
        metavar="DATA",
        help="Where the data are: if they were moved, or come over the network.",
    ),
    track: list[str] = TRACK,
    force_environment: bool = typer.Option(
        False,
        "--force-environment",
        help="Resume even if results will not be bit-identical (different torch version or hardware).",
    ),
    processes: int = PROCESSES,
) -> None:
    """Continue an interrupted run exactly where it stopped.

    Example: residua resume runs/photos-1
    """
    from residua.runs.run import open_run

    _begin(track)
    if not is_one_of_many() and not (there := open_run(run)).finished:  # what is finished may be read-only
        with there.lock():  # before torch is loaded, which takes seconds
            pass
    launch_if_asked(processes)

    from residua.jobs.train import resume as go_on
    from residua.training.processes.world import process_group

    to = console(unbroken=True)
    with process_group() as world:
        stopped = _run_with_progress(
            to,
            run,
            track,
            lambda see, stop: go_on(
                run,
                data=data,
                force_environment=force_environment,
                listen=see,
                stop=stop,
                world=world,
            ),
        )
    _print_end(to, run, stopped)


def _begin(track: list[str]) -> None:
    """Check the trackers, and handle signals until training does: nothing needs saving so far."""
    from residua.jobs.track import check

    check(track)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores one of them
            signal.signal(number, _stop_early)


def _stop_early(_number: int, _: object) -> None:
    with suppress(RuntimeError):  # it came while a line was being written
        to = console(unbroken=True)
        to.show_cursor()  # a bar hides it
        say(
            to,
            "stopped before the first step: nothing was trained, run the same command again",
            "yellow",
        )
    os._exit(0 if ended(STOPPED) else STOPPED)  # an exception might be caught by whatever is being imported


def _path_for(data: str) -> list[str]:
    """The run directory of several processes: after a restart they must find the same one."""
    from residua.jobs.train import free_path

    return ["-o", str(free_path(data))]


def _run_with_progress(
    to: "Console", path: Path, track: list[str], work: "Callable[[Callable[[Event], None], Stopper], object]"
) -> int | None:
    """Run `work` with progress on the terminal.

    Returns:
        The step after which it was stopped; None when it reached its end.
    """
    from residua.cli.progress import Stopper
    from residua.jobs.track import tracked
    from residua.progress import ProgressPrinter

    printer, stopper = ProgressPrinter(aside(to), _noun(path)), Stopper(to)
    with tracked(path, printer.show, track if speaks() else []) as listen, printer.showing_bars():
        work(listen, stopper)
    return printer.stopped_at


def _print_end(to: "Console", path: Path, stopped: int | None) -> None:
    """Print how the run ended, and the next commands."""
    if stopped is not None:
        say(to, f"stopped after step {stopped:,}, saved in {path}")
        next_line(to, command("resume", path))
        raise typer.Exit(STOPPED)
    say(to, f"report  {path / 'report.html'}")
    next_line(to, command("evaluate", path), command("predict", path, _noun(path).upper()))


def _noun(path: Path) -> str:
    """`image` or `video`: what the run at `path` is trained on."""
    from residua import tasks

    return tasks.predict_task_of([path]).media_type.noun
