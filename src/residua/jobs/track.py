"""Curves of a run for other tools, in addition to its own metrics."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from residua.errors import ConfigError
from residua.events import EpochRow, Event, Listen, StepProgress
from residua.runs.run import Run

FOLDER = "tensorboard"
"""The folder of TensorBoard's files in a run."""
STEPS_PER_POINT = 20
"""Steps between two points of a curve; epochs have points of their own."""


def check(tools: Sequence[str]) -> None:
    """Check trackers before a run is created.

    Raises:
        ConfigError: One of `tools` is unknown or not installed.
    """
    for name in tools:
        if name != "tensorboard":
            raise ConfigError(f"no tracker {name!r}: give tensorboard")
        if find_spec(name) is None:
            raise ConfigError("--track tensorboard needs tensorboard: pip install 'residua[track]'")


@contextmanager
def tracked(run: Path, listen: Listen, tools: Sequence[str]) -> Iterator[Listen]:
    """A listener that passes events to `listen` and writes them for each of `tools` into the folder `run`.

    Args:
        run: The run directory.
        listen: Receives every Event.
        tools: Names of trackers that `check` accepts; without any, `listen` itself is the listener.

    Yields:
        The listener. The files of TensorBoard are closed at the end of the context.

    Raises:
        CheckpointError: As `Run.check_files`.
    """
    if "tensorboard" not in tools:
        yield listen
        return
    Run(run).check_files()
    writer = _writer(run / FOLDER)

    def both(event: Event) -> None:
        listen(event)
        for name, value, step in _points(event):
            writer.add_scalar(name, value, step)

    try:
        yield both
    finally:
        writer.close()


def _points(event: Event) -> list[tuple[str, float, int]]:
    """Name, value and step of the points that `event` adds to curves."""
    if isinstance(event, EpochRow):
        values = {name: value for name, value in event.values.items() if name not in ("epoch", "step")}
        return [
            (f"epoch/{name}", float(v), event.values["step"]) for name, v in values.items() if v is not None
        ]
    if isinstance(event, StepProgress) and event.step % STEPS_PER_POINT == 0:
        values = {"loss": event.loss, "lr": event.lr, "images_per_second": event.images_per_second}
        return [(f"step/{name}", value, event.step) for name, value in values.items()]
    return []


def _writer(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))
