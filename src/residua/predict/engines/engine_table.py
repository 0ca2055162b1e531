"""EngineTable: what was measured of every engine, as values and as lines; later processes read it again."""

import importlib.metadata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from residua.measure.measurements import describe_subject
from residua.nn.processor import processor_flags
from residua.predict.engines.candidates import EAGER, Workload
from residua.predict.export.graph import weights_digest

_LIBRARIES = ("onnxruntime", "openvino")


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine in the table."""

    name: str
    """Name of the engine."""
    images_per_second: float = 0.0
    """Median over the turns; 0 where it was not timed."""
    difference: float = 0.0
    """Largest difference from the float32 network, as a share of the range of an image's logits."""
    same_top1: float = 1.0
    """Share of the compared images with the same likeliest class."""
    reason: str = ""
    """Why it was not timed; empty where it was."""


@dataclass(frozen=True, slots=True)
class EngineTable:
    """All engines for one network, batch size and machine."""

    subject: str
    """All that the speeds depend on."""
    batch_size: int
    """Views that were computed at once."""
    fastest: str
    """Name of the fastest engine that agrees."""
    rows: tuple[EngineRow, ...]
    """Every engine that applies, in the order in which they were tried."""
    is_earlier: bool = False
    """Whether an earlier process measured it."""
    is_short: bool = False
    """Whether nothing but the network as it is was measured, because the work is short."""
    is_unsure: bool = False
    """Whether there was no time for as many turns as an answer needs."""

    def ratio(self, row: EngineRow) -> float:
        """How many times faster than the network as it is; 0 where it was not timed."""
        eager = next((each.images_per_second for each in self.rows if each.name == EAGER), 0.0)
        return row.images_per_second / eager if eager else 0.0

    def lines(self) -> list[str]:
        """The table as text: a headline, and a line for each engine."""
        when = "measured earlier on this machine" if self.is_earlier else "measured"
        if self.is_unsure:
            when = "measured, too briefly to be certain"
        if self.is_short:
            when = "as it is, because measuring others would take longer than it saves"
        width = max(len(row.name) for row in self.rows)
        return [
            f"engine {self.fastest}: {when}, batch size {self.batch_size}",
            *(f"  {row.name:<{width}}  {self._text(row)}" for row in self.rows),
        ]

    def _text(self, row: EngineRow) -> str:
        if row.reason or not row.images_per_second:
            return row.reason or "not timed"
        speed = f"{row.images_per_second:8.1f} images/s  {self.ratio(row):5.2f} x {EAGER}"
        if row.name == EAGER:
            return speed
        return f"{speed}  largest difference {row.difference:.1e}, same top-1 {100 * row.same_top1:.0f} %"


def engine_subject(work: Workload, names: Sequence[str]) -> str:
    """All that the speeds of engines depend on, as one line.

    Args:
        work: Network, device, threads and batch size.
        names: The engines that are compared.
    """
    return describe_subject(
        "engines",
        work.network.arch,
        torch.device(work.device),
        weights=weights_digest(work.network),
        threads=work.threads,
        batch=work.batch_size,
        flags=processor_flags(),
        libraries={name: _version(name) for name in _LIBRARIES},
        engines=list(names),
    )


def _version(package: str) -> str:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""
