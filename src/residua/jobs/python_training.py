"""Training from Python: `residua.train` and `residua.resume`, with progress, a callback and a log."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from residua.data.sources.objects import source_and_listing
from residua.data.sources.table import holds
from residua.errors import ResiduaError
from residua.events import EpochRow, Event, Listen, Note, PlanLine, Stopped
from residua.jobs.train import Stop, fit_run, start_or_join
from residua.jobs.train import resume as resume_run
from residua.jobs.train_request import TrainRequest
from residua.jobs.trained_run import TrainedRun
from residua.nn.network import Network
from residua.progress import ProgressPrinter, epoch_line_with_speed, python_console
from residua.runs.run import Run
from residua.spec.arch import Arch
from residua.spec.changes import Changes

LOG = logging.getLogger("residua")
"""Where a program finds what training reports: plans, notes and finished epochs, at level INFO."""


def train(
    data: object,
    model: str | Arch | Network | None = None,
    *,
    recipe: str | None = None,
    weights: str | Path | bool | None = None,
    from_scratch: bool = False,
    epochs: int | None = None,
    minutes: float | None = None,
    folds: int | None = None,
    image_size: int | None = None,
    changes: Mapping[str, object] | None = None,
    clip: Changes | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    callback: Listen | None = None,
) -> TrainedRun:
    """Train a network on `data`.

    Args:
        data: A source (a folder, a label file, shards, `digits`, ...), or images in memory: arrays `(X, y)`,
            a torch Dataset or a list of (image, label), a Hugging Face dataset, or a tuple of two of these
            for training and validation. docs/how-to/python.md says how each is read.
        model: A network by name, with changes where wanted (`resnet34:shortcut=A`), as the path of a JSON
            file, as an Arch or as a Network. Training starts from the weights of a Network and stores them in
            the run; the Network stays as it is. By default a network that suits the data.
        recipe: Name of a recipe or path of a JSON file; by default one that suits the data.
        weights: The weights that training starts from: published ones by name (`timm.a1`, `timm:resnet18`;
            True or `auto` for the best of the network), a file, a folder or a run. Without `model` the
            network is theirs. None takes the best published ones for the images of a folder, as the command
            does, and none for images in memory.
        from_scratch: Take no weights by default; `weights=False` says the same.
        epochs: Passes over the training examples; by default the recipe's, more for few images.
        minutes: Train as long as fits into so many minutes, with validation, instead of `epochs`.
        folds: Folds of the cross-validation that measures the linear probe, as `--folds`.
        image_size: Side of the images that the network reads, in pixels.
        changes: Fields of the recipe by path, e.g. `{"optim.lr": 0.05}`.
        clip: How a video is read, e.g. `{"frames": 8, "segments": 2}`.
        out: The run directory; by default the first free `runs/NAME-N`.
        progress: Show the plan, a bar and a line for each epoch, on standard error or below the notebook
            cell; False prints nothing.
        callback: Receives every Event of `residua.events`. What it raises ends training; the run keeps its
            last saved state.

    Returns:
        The finished run.

    Raises:
        ConfigError: A name or a setting cannot be used.
        DataError: The data cannot be used.
        CheckpointError: The weights to start from cannot be used.
        RunBusyError: Another process writes the run.
        DivergedError: The loss or the weights are no longer finite.
        OSError: The disk refuses.
    """
    texts = tuple((p, v if isinstance(v, str) else json.dumps(v)) for p, v in (changes or {}).items())
    source, listing = source_and_listing(data)
    request = TrainRequest(
        source,
        model,
        recipe,
        "auto" if weights is True else str(weights or ""),
        epochs,
        texts,
        listing,
        clip or {},
        image_size=image_size,
        minutes=minutes,
        folds=folds,
        from_scratch=from_scratch or weights is False,
    )
    with _listening(_noun(source), progress=progress, callback=callback) as listen:
        run, prepared = start_or_join(request, Path(out) if out else None, listen=listen)
        listen(PlanLine(f"run     {run.path}"))
        with _interruption_explained(run, listen):
            fit_run(run, prepared, listen=listen)
    return TrainedRun(run.path)


def resume(
    path: str | Path | Run,
    *,
    data: object = None,
    force_environment: bool = False,
    progress: bool = True,
    callback: Listen | None = None,
    stop: Stop = lambda: False,
) -> TrainedRun:
    """Continue the run at `path` as if it had never stopped; a finished run is returned as it is.

    Args:
        path: The run, or its directory.
        data: Where the examples are now if they were moved, or where they are if they come over the network;
            or the objects that `train` received.
        force_environment: Resume even if results will not be bit-identical (different torch version,
            processor, device or number of processes).
        progress: As in `train`.
        callback: As in `train`.
        stop: Asked after every step; True saves and stops.

    Returns:
        The run, finished unless `stop` returned True.

    Raises:
        ConfigError: The environment differs from that of the run, without `force_environment`; or the
            examples come over the network, without `data`.
        DataError: The examples changed or are missing.
        CheckpointError: The weights the run began with are lost, and no state exists.
        RunBusyError: Another process writes the run.
    """
    run = TrainedRun(path.path if isinstance(path, Run) else path)
    source = "python"
    with suppress(ResiduaError, OSError):  # `resume_run` may restore it, or says what is wrong
        source = run.recipe.data.source
    with (
        _listening(_noun(source), progress=progress, callback=callback) as listen,
        _interruption_explained(run, listen),
    ):
        resume_run(run.path, data=data, force_environment=force_environment, listen=listen, stop=stop)
    return run


@contextmanager
def _listening(noun: str, *, progress: bool, callback: Listen | None) -> Iterator[Listen]:
    """A listener that writes the log, shows progress and calls `callback`."""
    printer = ProgressPrinter(python_console(), noun) if progress else None

    def listen(event: Event) -> None:
        if text := _log_text(event, noun):
            LOG.info("%s", text)
        if printer:
            printer.show(event)
        if callback:
            callback(event)

    with printer.showing_bars() if printer else nullcontext():
        yield listen


@contextmanager
def _interruption_explained(run: Run, listen: Listen) -> Iterator[None]:
    """Say how to continue after Ctrl-C, or "interrupt kernel" of a notebook."""
    try:
        yield
    except KeyboardInterrupt:
        listen(Note(f"interrupted: residua.resume({str(run.path)!r}) continues from the last saved state"))
        raise


def _log_text(event: Event, noun: str) -> str:
    """The line of an event in the log; none for the progress within an epoch."""
    match event:
        case Note(text) | PlanLine(text):
            return text
        case EpochRow() if event.total:
            return epoch_line_with_speed(event, "", noun)
        case Stopped(step):
            return f"stopped after step {step:,}, saved"
        case _:
            return ""


def _noun(source: str) -> str:
    """`image` or `video`: what a run on `source` is trained on."""
    return "video" if holds(source) == "clips" else "image"
