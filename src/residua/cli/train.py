"""`residua train` and `residua resume`."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import STOPPED
from residua.cli.network_options import MODEL_SET, NETWORK, NETWORK_HELP, model_changes
from residua.cli.processes import OPTION, ended, is_one_of_many, launch_if_asked, may_restart, speaks
from residua.cli.terminal import command, console, next_line, say, say_wrapped
from residua.data.sources.table import help_text
from residua.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from residua.cli.progress import Stopper
    from residua.events import Event


def train(
    data: str = typer.Argument(metavar="DATA", help=help_text()),
    model: str = typer.Option(None, "-m", "--model", metavar=NETWORK, help=NETWORK_HELP),
    model_set: list[str] = MODEL_SET,
    recipe: str = typer.Option(None, help="Name of a recipe (e.g. he2015.cifar), or a recipe.json."),
    weights: str = typer.Option("", help="Pretrained weights: a checkpoint file or a run to fine-tune from."),
    epochs: int = typer.Option(None, min=1, help="Passes over the training data."),
    frames: int = typer.Option(None, min=1, help="Video: frames that the network reads together."),
    frame_stride: int = typer.Option(
        None,
        "--frame-stride",
        "--stride",
        min=0,
        help="Video: distance between two frames; 0 spreads them evenly.",
    ),
    segments: int = typer.Option(None, min=1, help="Video: segments whose logits are averaged."),
    settings: list[str] = typer.Option(
        [], "--set", metavar="PATH=VALUE", help="One field of the recipe, e.g. optim.lr=0.05."
    ),
    memory_limit: str = typer.Option(
        "", "--memory-limit", metavar="SIZE", help="Limit memory (e.g. 4GiB) with gradient checkpointing."
    ),
    out: Path = typer.Option(None, "-o", "--out", metavar="RUN", help="Run directory to create."),
    force: bool = typer.Option(False, "--force", help="Replace an existing run."),
    track: list[str] = typer.Option(
        [], "--track", help="Also write the curves for another tool: tensorboard."
    ),
    processes: int = OPTION,
) -> None:
    """Train a network on your images, videos or boxes.

    Settings you leave out are chosen for you and printed before training; change any with --set.

    Example: residua train cifar10:DIR -m cifar_resnet20 --epochs 12
    """
    from residua.runs.run import check_run_path
    from residua.spec.amount import parse_bytes

    _begin(track)
    changes = tuple(setting(text) for text in settings)
    of_network = model_changes(model_set, frames=frames, frame_stride=frame_stride, segments=segments)
    if memory_limit:
        changes = (*changes, ("plan.memory_limit", str(parse_bytes(memory_limit))))
    if out and not is_one_of_many():
        check_run_path(out, force=force)  # before torch is loaded, which takes seconds
    launch_if_asked(processes, *([] if out or processes == 1 else _path_for(data)))

    from residua.jobs.prepare import TrainRequest
    from residua.jobs.train import fit_run, start_or_join
    from residua.training.processes.world import process_group

    to = console(unbroken=True)
    request = TrainRequest(data, model, recipe, weights, epochs, changes, model_changes=of_network)
    with process_group() as world:
        if may_restart() and not out:
            raise ConfigError("torchrun may restart this command and must then find its run: give -o RUN")
        run, prepared = start_or_join(request, out, force=force, world=world)
        for line in (*prepared.notes, f"run     {run.path}"):
            say_wrapped(to, line)
        stopped = _run_with_progress(
            to, run.path, track, lambda see, stop: fit_run(run, prepared, listen=see, stop=stop, world=world)
        )
    _print_end(to, run.path, stopped)


def resume(
    run: Path = typer.Argument(metavar="RUN", help="An interrupted run."),
    data: str = typer.Option(
        None, "--data", help="Where the data are: if they were moved, or come over the network."
    ),
    track: list[str] = typer.Option(
        [], "--track", help="Also write the curves for another tool: tensorboard."
    ),
    force_environment: bool = typer.Option(
        False,
        "--force-environment",
        help="Resume even if results will not be bit-identical (different torch version or hardware).",
    ),
    processes: int = OPTION,
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
        say(
            console(unbroken=True),
            "stopped before the first step: nothing was trained, run the same command again",
            "yellow",
        )
    os._exit(0 if ended(STOPPED) else STOPPED)  # an exception might be caught by whatever is being imported


def _path_for(data: str) -> list[str]:
    """The run directory of several processes: after a restart they must find the same one."""
    from residua.jobs.train import free_path

    return ["-o", str(free_path(data))]


def setting(text: str) -> tuple[str, str]:
    """The name and the value in `--set NAME=VALUE`. ConfigError without '='."""
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r} has no '=': give NAME=VALUE, e.g. --set optim.lr=0.05")
    return path.strip(), value.strip()


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

    printer, stopper = ProgressPrinter(to, _noun(path)), Stopper(to)
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
