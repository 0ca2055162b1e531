"""What a run would do and write, without training it: `residua train --dry-run`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

from residua.data.sources.table import SOURCES, parse_source
from residua.errors import ConfigError
from residua.jobs.early_checks import check_place
from residua.jobs.prepare import prepare
from residua.jobs.train_request import TrainRequest
from residua.spec.amount import format_bytes
from residua.spec.recipe import Recipe

OPTIMIZER_STATES: Mapping[str, int] = {"sgd": 1, "adamw": 2, "lamb": 2, "muon": 1}
"""Optimizer -> values that it stores for each parameter."""
FLOAT_BYTES = 4
"""Bytes of a stored value."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that was planned and neither trained nor written."""

    recipe: Recipe
    """The recipe, resolved."""
    lines: tuple[str, ...]
    """The plan, one line each, as training prints it; the last say what would be written."""


def plan_run(request: TrainRequest, path: Path, *, processes: int = 1) -> PlannedRun:
    """The plan of a run, with everything that would be wrong with it.

    Args:
        request: What the user asked for.
        path: The run directory that would be created.
        processes: Processes that would train together.

    Raises:
        ConfigError: A name, a path or a setting cannot be used, or the data would have to be downloaded.
        DataError: Data cannot be used.
        CheckpointError: The weights to start from cannot be used.
    """
    _check_needs_no_download(request.source)
    check_place(path, request.source)
    prepared = prepare(request, processes=processes, download=False)
    optim, average = prepared.recipe.optim, prepared.recipe.average
    copies = 1 + (OPTIMIZER_STATES[optim.kind] if optim.momentum or optim.kind != "sgd" else 0)
    copies += bool(average.ema_decay)
    values = sum(weights.numel() for weights in prepared.network.parameters())
    size = format_bytes(FLOAT_BYTES * values * copies)
    writes = (
        f"{'run':7} {path}",
        f"{'writes':7} recipe.json, environment.json, metrics.jsonl, report.html; the two newest checkpoints "
        f"of about {size} each, and the best weights",
    )
    return PlannedRun(prepared.recipe, (*prepared.notes, *writes))


def _check_needs_no_download(text: str) -> None:
    """ConfigError for a source whose files would be stored on this machine first."""
    source = parse_source(text)
    kind = SOURCES[source.name] if source.name else None
    if kind and kind.is_local and not resolve_name(kind.is_local)(source):
        raise ConfigError(
            f"{text} is not on this machine, and a dry run downloads nothing: "
            f"download it first, e.g. with `residua data check {text}`"
        )
