"""ProbeRecord: what a run that began with a linear probe knew before its first step, in `probe.json`."""

from dataclasses import dataclass
from pathlib import Path

from residua.files import read_file, write_file
from residua.spec.record import from_plain, parse_json, to_json

PROBE = "probe.json"
"""Name of the file in a run."""
HEAD = "probe.safetensors"
"""File among the checkpoints of a run: the last layer of its probe, fitted to all training images."""


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """The linear probe of a run, and how it was measured."""

    weights: str
    """The weights that the run began from, for people: name, licence, training data."""
    n: int
    """Images of the cross-validation, each predicted once by a probe that did not see it."""
    folds: int
    """Folds of the cross-validation."""
    right: int
    """Images that the probe predicts correctly."""
    knn_right: int
    """Images that their nearest neighbours among the features predict correctly."""
    neighbours: int
    """How many neighbours."""
    strength: float
    """L2 penalty of the logistic regression, chosen by cross-validation."""
    split: str = "training"
    """Which images: `training`, or `all` of a small source without a split of its own."""
    notes: tuple[str, ...] = ()
    """What the user should know: class weights, classes without images, copies."""


def write_probe(run: Path, record: ProbeRecord) -> None:
    """Write `record` into the run at `run`."""
    write_file(run / PROBE, to_json(record))


def read_probe(run: Path) -> ProbeRecord | None:
    """The record in the run at `run`; None where it has none, or a damaged one."""
    try:
        return from_plain(ProbeRecord, parse_json(read_file(run / PROBE)))
    except (OSError, ValueError):
        return None
