"""Rows of a paper measured on finished runs: their values, and how they differ from the paper."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from residua.errors import DataError
from residua.files import write_file
from residua.measure.score import wilson
from residua.reproduce.grid import (
    DIFFERENT_DATA,
    GridSetting,
    NetworkSeed,
    Seeds,
    row_differences,
    row_label,
    seed_count,
)
from residua.reproduce.items import ProtocolDifference
from residua.reproduce.published import Item, PublishedRow
from residua.runs.run import Run
from residua.spec.describe import cost, main_path_activations

COUNTED = "counted"
"""Label of a row that no training is needed for."""


@dataclass(frozen=True, slots=True)
class ReproducedRow:
    """A row of a paper with the values reproduced here."""

    published: PublishedRow
    """The paper's side."""
    network: str
    """Name of the network that was trained or counted."""
    label: str
    """`same protocol [but for ...]`, `scaled down`, DIFFERENT_DATA, NOT_AVAILABLE or COUNTED."""
    values: tuple[float, ...] = ()
    """One for each seed, in the measure's unit."""
    train_errors: tuple[float, ...] = ()
    """Training error of the last epoch, in percent, one for each seed."""
    runs: tuple[Run, ...] = ()
    """The runs of the values, one for each seed."""
    note: str = ""
    """Why there is no value; empty where there is one."""
    differences: tuple[ProtocolDifference, ...] = ()
    """Differences from the paper's protocol, on the paper's own data."""
    num_diverged: int = 0
    """Runs whose loss was no longer finite; they have no values."""

    @property
    def mean(self) -> float:
        """Mean of the values; NaN without one."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the values; NaN with fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval, in the unit of the values: nan where there is neither a second run nor a share.

        Of the mean over seeds by Student's t, cut at 0 and 100 %; of a single run's error as a share of its
        test images (Wilson).
        """
        n, images = len(self.values), int(self.runs[0].identity["test"]) if self.runs else 0
        if n > 1 and self.runs:
            from scipy import stats

            reach = float(stats.t.ppf(0.975, n - 1)) * self.deviation / math.sqrt(n)
            least, most = (0.0, 100.0) if self.published.measure.endswith("error") else (-math.inf, math.inf)
            return max(least, self.mean - reach), min(most, self.mean + reach)
        if n and images and self.published.measure.endswith("error"):
            return wilson(round(self.mean / 100 * images), images)
        return math.nan, math.nan

    @property
    def difference(self) -> float:
        """Mean minus the paper's number; NaN without either, and on other data than the paper's."""
        if self.published.paper is None or self.label == DIFFERENT_DATA:
            return math.nan
        return self.mean - self.published.paper

    @property
    def median_run(self) -> Run | None:
        """The run with the (lower) median value; None without runs."""
        ranked = sorted(zip(self.values, self.runs, strict=True), key=lambda pair: pair[0])
        return ranked[(len(ranked) - 1) // 2][1] if ranked else None

    def plain(self) -> dict[str, Any]:
        """For JSON; missing numbers are null."""
        published = self.published
        return {
            "what": published.label,
            "network": self.network,
            "measure": published.measure,
            "views": published.views,
            "paper": published.paper,
            "paper_text": published.paper_text,
            "ours": _finite(self.mean),
            "deviation": _finite(self.deviation),
            "interval": [_finite(end) for end in self.interval],
            "n": len(self.values),
            "diverged": self.num_diverged,
            "difference": _finite(self.difference),
            "train_error": _finite(statistics.fmean(self.train_errors)) if self.train_errors else None,
            "label": self.label,
            "differences": [str(difference) for difference in self.differences],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Reproduction:
    """All values reproduced for one table or figure."""

    item: Item
    """The table or figure."""
    setting: GridSetting
    """Images, budget and threads of the runs."""
    rows: tuple[ReproducedRow, ...]
    """In the paper's order; empty where `stopped`."""
    data: str
    """One line about the images; empty where none were needed."""
    report: Path
    """The HTML page."""
    seconds: float
    """From the start to the report; runs that were reused cost nothing."""
    stopped: bool = False
    """Whether it was stopped before all runs were finished; there is no report then."""

    @property
    def rows_in_budget(self) -> tuple[ReproducedRow, ...]:
        """The rows that the budget trains or counts."""
        return tuple(row for row in self.rows if self.setting.budget in row.published.budgets)

    @property
    def labels_left_out(self) -> tuple[str, ...]:
        """Labels of the rows that the budget leaves out."""
        return tuple(
            row.published.label for row in self.rows if self.setting.budget not in row.published.budgets
        )

    def plain(self) -> dict[str, Any]:
        """For JSON; missing numbers are null."""
        return {
            "item": self.item.name,
            "budget": self.setting.budget,
            "data": self.data,
            "seconds": round(self.seconds, 1),
            "rows": [row.plain() for row in self.rows_in_budget],
            "left_out": list(self.labels_left_out),
            "report": str(self.report),
        }


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def require_same_images(runs: Iterable[Run]) -> None:
    """Compare the images of all runs, in whatever their versions of residua recorded of them.

    Raises:
        DataError: Two of the runs were trained on different images.
    """
    known = [run for run in runs if (run.path / "data.json").exists()]
    for other in known[1:]:
        first = known[0]
        one, two = first.identity, other.identity
        if any(one[name] != two[name] for name in one.keys() & two.keys()):
            raise DataError(
                f"{first.path} and {other.path} were trained on different images: "
                "delete the older, or choose another -o"
            )


def reproduce_row(
    item: Item, row: PublishedRow, setting: GridSetting, runs: Mapping[NetworkSeed, Run], *, seeds: Seeds
) -> ReproducedRow:
    """Compare a row of a paper with the runs of its network, measuring what they have not measured yet.

    Args:
        item: The table or figure of the row.
        row: The paper's side.
        setting: Images and budget of the runs.
        runs: Network name and seed -> run.
        seeds: Runs of each network; their seeds count from 0.
    """
    network = row.network_for(small_images=setting.has_small_images)
    if row.is_counted:
        return count_row(row)
    if not row.is_trained_at(setting.budget):
        return ReproducedRow(row, network.name, "", note=f"not trained at the budget {setting.budget}")
    row_runs = [runs[network.name, seed] for seed in range(seed_count(seeds, network.name))]
    differences = row_differences(
        item, row, row_runs[0].recipe, setting=setting, images=_training_images(row_runs[0])
    )
    finished = tuple(run for run in row_runs if run.finished)
    reproduced = ReproducedRow(
        row,
        network.name,
        row_label(item, row, differences, setting),
        differences=differences,
        num_diverged=len(row_runs) - len(finished),
    )
    if not finished:
        return replace(reproduced, note="diverged: the loss did not stay finite")
    values = tuple(value for run in finished if (value := row_value(run, row)) is not None)
    if not values:
        return replace(reproduced, note="five classes or fewer")
    train_errors = tuple(float(run.epochs("train_error")[-1]["train_error"]) for run in finished)
    return replace(reproduced, values=values, train_errors=train_errors, runs=finished)


def _training_images(run: Run) -> int:
    return int(run.identity["train"])


def count_row(row: PublishedRow) -> ReproducedRow:
    """A row of a paper with something counted from its network."""
    if row.measure == "activations":
        value = float(main_path_activations(row.network.arch()))
        return ReproducedRow(row, row.network.name, COUNTED, (value,))
    size = cost(replace(row.network.arch(), sides=()))  # auxiliary classifiers are for training alone
    value = float(size.params if row.measure == "params" else size.macs)
    return ReproducedRow(row, row.network.name, COUNTED, (value,))


def row_value(run: Run, row: PublishedRow) -> float | None:
    """The value of a finished run in the measure of `row`, in its unit.

    Other views and layer responses are measured once and kept in the run directory.

    Returns:
        The value; None for the top-5 error of five classes or fewer.
    """
    last = run.epochs("train_error", "test_error")[-1]
    if row.measure in ("train_error", "test_error"):
        return float(last[row.measure])
    if row.measure == "response":
        return statistics.fmean(recorded_responses(run)["deviations"])
    if row.measure == "top1_error" and row.views == "center":
        return float(last["test_error"])
    return _errors(run, row.views)[row.measure]


def _errors(run: Run, views: str) -> dict[str, float | None]:
    """Top-1 and top-5 errors of `run` under `views`, in percent, kept in `scores.json`."""
    from residua.jobs.evaluate import evaluate

    file = run.path / "scores.json"
    errors: dict[str, dict[str, float | None]] = json.loads(file.read_text()) if file.exists() else {}
    if views not in errors:
        score = evaluate(run, views=[views])[0]
        top5_error = 100 - score.top5.value if score.top5 else None
        errors[views] = {"top1_error": score.error, "top5_error": top5_error, "n": score.n}
        write_file(file, json.dumps(errors, indent=2, allow_nan=False))
    return errors[views]


def recorded_responses(run: Run) -> dict[str, tuple[Any, ...]]:
    """`layers` and `deviations` of the outputs of all 3x3 layers on test images, kept in `responses.json`."""
    from residua.jobs.analyse import analyse

    file = run.path / "responses.json"
    if not file.exists():
        (study,) = analyse([run.path], what=["responses"])
        (responses,) = study.numbers.values()
        write_file(file, json.dumps(responses, indent=2, allow_nan=False))
    measured = json.loads(file.read_text())
    return {name: tuple(measured[name]) for name in ("layers", "deviations")}
