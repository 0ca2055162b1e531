"""What was measured earlier on this machine, so that a second run measures nothing.

    save    one file for each subject, written in one step, so that processes may write at the same time
    load    a file that is damaged, of another subject or of another form counts as missing

The files are in the user's folder for caches. Where it cannot be written, nothing is kept, without an error.
"""

import hashlib
import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from residua.errors import ConfigError, ResiduaError
from residua.files import cache_folder, read_file, write_file
from residua.nn.device import device_name
from residua.nn.processor import processor_name
from residua.spec.arch import Arch
from residua.spec.record import from_json, to_json
from residua.version import __version__

FOLDER = "measurements"
"""Folder of the files in the user's folder for caches."""
_MAX_BYTES = 1 << 16
"""Size beyond which a file is none of ours."""


class Measured(Protocol):
    """A record of what was measured."""

    @property
    def subject(self) -> str:
        """All that the numbers depend on, as `describe_subject` writes it."""


MeasuredT = TypeVar("MeasuredT", bound=Measured)


@dataclass(frozen=True, slots=True)
class Measurement:
    """How fast the ways to train a network are on this machine."""

    subject: str
    """All that the speeds depend on, as `describe_subject` writes it."""
    fastest: str
    """Name of the fastest way."""
    rates: dict[str, float]
    """Images per second of each way."""
    first_seconds: dict[str, float] = field(default_factory=dict)
    """Seconds of the first step of each way that has to be compiled."""

    def __post_init__(self) -> None:
        speeds = [*self.rates.values(), *self.first_seconds.values()]
        if self.fastest not in self.rates or not all(0 < speed < math.inf for speed in speeds):
            raise ConfigError(f"fastest is {self.fastest!r}: give one of rates, all of them above 0")


def describe_subject(kind: str, arch: Arch, device: torch.device, **facts: Any) -> str:
    """All that a measurement depends on, as one line of JSON.

    Args:
        kind: What is compared.
        arch: The network.
        device: Where it computes.
        facts: What else the speeds depend on, e.g. the batch size.
    """
    machine = {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "device": device_name(device),
        "torch": str(torch.__version__),
        "residua": __version__,
    }
    digest = hashlib.sha256(to_json(arch).encode()).hexdigest()
    return json.dumps({"kind": kind, "network": digest, **machine, **facts}, sort_keys=True)


def load_measurement(kind: type[MeasuredT], subject: str) -> MeasuredT | None:
    """What was measured of `subject` earlier; None where nothing was, or the file is damaged.

    Args:
        kind: Class of the record.
        subject: As `describe_subject` writes it.
    """
    with suppress(ResiduaError, ValueError, OSError):
        file = _file_of(subject)
        if file.stat().st_size <= _MAX_BYTES:
            measurement = from_json(kind, read_file(file).decode())
            return measurement if measurement.subject == subject else None
    return None


def save_measurement(measurement: Measured) -> None:
    """Keep `measurement` for later runs; nothing happens where the folder cannot be written."""
    with suppress(ResiduaError, OSError):
        file = _file_of(measurement.subject)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, to_json(measurement))


def _file_of(subject: str) -> Path:
    return cache_folder() / FOLDER / f"{hashlib.sha256(subject.encode()).hexdigest()}.json"
