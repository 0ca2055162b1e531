"""Events: what training reports to its caller, one at a time: `residua.train(..., callback=function)`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """One line of information: a fallback, a rollback, an early stop."""

    text: str
    """The line."""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One line of what was chosen before the first step: data, model, recipe, plan, and the run."""

    text: str
    """The line: its first word says what it is about."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What is being done now, before the first step, because it may take seconds; the next event ends it."""

    text: str
    """What is done, and how long it takes at most where that is known."""


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """Progress of the download of one file."""

    file: str
    """Name of the file."""
    done_bytes: int
    """Bytes that have arrived, also those of an earlier, interrupted download."""
    total_bytes: int
    """Bytes of the whole file; 0 when unknown."""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """Progress within an epoch."""

    step: int
    """Updates made."""
    total: int
    """Updates of the whole run."""
    loss: float
    """Mean loss of the epoch so far."""
    lr: float
    """Learning rate of the last update."""
    images_per_second: float
    """Training images per second since training started or resumed; validation is left out."""
    seconds_left: float
    """Seconds to the end of the run, with the validations to come; 0 when unknown."""
    memory_bytes: int = 0
    """Peak memory of this process: on the accelerator, else of the machine."""


@dataclass(frozen=True, slots=True)
class EpochRow:
    """A finished epoch."""

    values: dict[str, Any]
    """Its row of `metrics.jsonl`: epoch, step and metrics."""
    total: int
    """Epochs of the whole run; 0 for a linear probe alone."""
    is_held_out: bool = False
    """Whether its `test_` numbers are those of training images that were held out to choose the weights."""

    @property
    def step(self) -> int:
        """Updates made by its end."""
        return int(self.values["step"])

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that are known, without what counts: errors in percent, losses, learning rate."""
        counts = ("epoch", "step")
        return {name: v for name, v in self.values.items() if v is not None and name not in counts}


@dataclass(frozen=True, slots=True)
class Stopped:
    """Training stopped early on request, after saving."""

    step: int
    """Updates made and saved."""


Event = Note | PlanLine | Activity | DownloadProgress | StepProgress | EpochRow | Stopped
"""Any of them; a callback that wants one kind asks with `isinstance`."""
Listen = Callable[[Event], None]
"""Receives each of them."""
