"""`residua train` and `residua resume`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import STOPPED
from residua.cli.terminal import console, next_line, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from residua.cli.progress import Stopper, Watcher


def train(
    data: str = typer.Argument(metavar="DATA", help="A folder of classes, digits, or cifar10[:DIR]."),
    model: str = typer.Option(None, "-m", "--model", help="Name of a network; `residua models` lists them."),
    recipe: str = typer.Option(None, help="Name of a recipe (e.g. he2015.cifar), or a recipe.json."),
    weights: str = typer.Option("", help="A checkpoint file or a run to start from."),
    epochs: int = typer.Option(None, min=1, help="Passes over the training images."),
    settings: list[str] = typer.Option(
        [], "--set", metavar="PATH=VALUE", help="One field of the recipe, e.g. optim.rate=0.05."
    ),
    memory_limit: str = typer.Option(
        "", "--memory-limit", metavar="SIZE", help="Most memory to use, e.g. 4GiB: blocks are computed twice."
    ),
    out: Path = typer.Option(None, "-o", "--out", metavar="RUN", help="Run directory to make."),
    force: bool = typer.Option(False, "--force", help="Replace a run that is there."),
) -> None:
    """Train a network on your images.

    Example: residua train cifar10:DIR -m cifar_resnet20 --epochs 12
    """
    from residua.spec.memory import parse_bytes
    from residua.training.run import check_free

    changes = tuple(_setting(text) for text in settings)
    if memory_limit:
        changes = (*changes, ("plan.memory_limit", str(parse_bytes(memory_limit))))
    if out:
        check_free(out, force=force)  # before torch is loaded: whoever is refused should not wait

    from residua.jobs.prepare import Wish, prepare
    from residua.jobs.train import begin, free_path, work

    to = console()
    wish = Wish(data, model, recipe, weights, epochs, changes)
    prepared = prepare(wish)
    run = begin(prepared, out or free_path(data), force=force)
    for line in (*prepared.notes, f"run     {run.path}"):
        say(to, line)
    _watch(run.path, lambda watcher, stop: work(run, prepared, listen=watcher.see, stop=stop))


def resume(run: Path = typer.Argument(metavar="RUN", help="A run that was interrupted.")) -> None:
    """Go on with an interrupted run, exactly where it stopped.

    Example: residua resume runs/photos-1
    """
    from residua.training.run import open_run

    with open_run(run).lock():  # before torch is loaded: whoever is refused should not wait
        pass

    from residua.jobs.train import resume as go_on

    _watch(run, lambda watcher, stop: go_on(run, listen=watcher.see, stop=stop))


def _setting(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text!r} has no '=': give PATH=VALUE, e.g. --set optim.rate=0.05")
    return path.strip(), value.strip()


def _watch(path: Path, work: "Callable[[Watcher, Stopper], object]") -> None:
    """Run `work` under watch and say how it ended."""
    from residua.cli.progress import Stopper, Watcher

    to = console()
    watcher, stopper = Watcher(to), Stopper(to)
    with watcher.watching():
        work(watcher, stopper)
    if watcher.stopped_at is not None:
        say(to, f"stopped after step {watcher.stopped_at:,}, saved in {path}")
        next_line(to, f"residua resume {path}")
        raise typer.Exit(STOPPED)
    say(to, f"report  {path / 'report.html'}")
    next_line(to, f"residua evaluate {path}", f"residua predict {path} IMAGE")
