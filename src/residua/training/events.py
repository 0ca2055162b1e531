"""What training tells its caller, one Event at a time."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """Something the caller should be told once."""

    text: str
    """One line."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Where training is."""

    step: int
    """Updates made."""
    total: int
    """Updates to make."""
    loss: float
    """Mean loss of the epoch so far."""
    rate: float
    """Learning rate."""
    speed: float
    """Training images per second since the last start, judging left out."""
    seconds_left: float
    """To the end, at that speed."""
    memory_bytes: int = 0
    """The most that this process held at a time: of the accelerator's memory, else of the machine's."""


@dataclass(frozen=True, slots=True)
class EpochRow:
    """A finished epoch: what was appended to the metrics."""

    values: dict[str, Any]
    """Its line."""
    total: int
    """Epochs to make."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Training stopped early because it was asked to, after saving."""

    step: int
    """Updates made and saved."""


Event = Note | Tick | EpochRow | Stopped
