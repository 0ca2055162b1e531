"""Curves of a run for other tools, beside its own metrics."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from residua.training.events import Event, Row, Tick

Listen = Callable[[Event], None]

FOLDER = "tensorboard"
"""Where in a run TensorBoard's files are."""
OFTEN = 20
"""Steps between two points of a curve, at least; epochs have points of their own."""


@contextmanager
def tracked(run: Path, listen: Listen, tools: Sequence[str]) -> Iterator[Listen]:
    """`listen`, and a file for each of `tools` in the folder `run`. ValueError when one is not installed."""
    if "tensorboard" not in tools:
        yield listen
        return
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
    """Name, value and step of what `event` adds to curves."""
    if isinstance(event, Row):
        values = {name: value for name, value in event.values.items() if name not in ("epoch", "step")}
        return [
            (f"epoch/{name}", float(v), event.values["step"]) for name, v in values.items() if v is not None
        ]
    if isinstance(event, Tick) and event.step % OFTEN == 0:
        found = {"loss": event.loss, "rate": event.rate, "images_per_second": event.speed}
        return [(f"step/{name}", value, event.step) for name, value in found.items()]
    return []


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--track tensorboard needs tensorboard: pip install 'residua[track]'") from None
    return SummaryWriter(str(folder))
