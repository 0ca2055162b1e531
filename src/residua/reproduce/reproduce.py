"""Reproduce one table or figure: train missing runs, measure all, compare with the paper's numbers."""

import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from residua.data.images import ImageDataset
from residua.data.open import open_dataset
from residua.data.sources.table import parse_source
from residua.errors import ConfigError, DataError
from residua.files import write_file
from residua.jobs.run_pool import RunBackend, RunListener, RunPool
from residua.reproduce import items
from residua.reproduce.grid import (
    GridSetting,
    NetworkSeed,
    row_differences,
    row_label,
    run_entries,
    with_one_precision,
)
from residua.reproduce.items import ProtocolDifference
from residua.reproduce.published import BUDGETS, Budget, Item, PublishedRow
from residua.runs.run import Run
from residua.spec.describe import cost
from residua.spec.record import nearest
from residua.tasks.classify.learn_task import SMALL
from residua.training.processes import world

FOLDER = Path("runs/reproduce")
"""Default folder of runs and reports."""


@dataclass(frozen=True, slots=True)
class ReproducedRow:
    """A row of a paper with the values reproduced here."""

    published: PublishedRow
    """The paper's side."""
    network: str
    """Name of the network that was trained or counted."""
    label: str
    """`same protocol [but for ...]`, `scaled down` or `different data`; empty where nothing was trained."""
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

    @property
    def mean(self) -> float:
        """Mean of the values; NaN without one."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the values; NaN with fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def difference(self) -> float:
        """Mean minus the paper's number; NaN without either."""
        return self.mean - self.published.paper if self.published.paper is not None else math.nan

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
            "paper_said": published.paper_text,
            "ours": _finite(self.mean),
            "deviation": _finite(self.deviation),
            "n": len(self.values),
            "difference": _finite(self.difference),
            "train_error": _finite(statistics.fmean(self.train_errors)) if self.train_errors else None,
            "label": self.label,
            "departures": [str(difference) for difference in self.differences],
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


def reproduce(
    name: str,
    *,
    budget: Budget = "smoke",
    seeds: int = 1,
    data: str | None = None,
    processes: int | None = None,
    out: str | Path = FOLDER,
    ray: str | None = None,
    listen: RunListener = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Reproduction:
    """Reproduce a table or figure of the papers and write a page about it.

    Runs are in `out/runs`: a finished one is reused, an interrupted one is resumed. This function starts
    processes, so a script calls it under `if __name__ == "__main__"`.

    Args:
        name: The item, e.g. `he2015/fig6`.
        budget: `smoke` (minutes on digits), `small` (a short schedule) or `full` (the paper's schedule).
        seeds: Runs of each network.
        data: What `residua train` takes; None means `digits` at the budget `smoke`; other budgets need it.
        processes: Runs trained at the same time; None takes one per core, or one where there is a GPU.
        out: Folder of runs and reports.
        ray: Address of a Ray cluster (`auto`, `local` or host:port) whose machines share `out`; None trains
            in processes of this machine.
        listen: Receives the name of a run and each of its Events.
        stop: Asked regularly; True saves all runs and stops.

    Returns:
        The reproduced rows; with `stopped` set where `stop` returned True.

    Raises:
        ConfigError: The item, the budget or another argument cannot be used.
        DataError: The images changed since a run began, or cannot be used.
    """
    started, folder = time.monotonic(), Path(out)
    item = _checked_item(name, budget, seeds, processes)
    report = folder / f"{name.replace('/', '-')}-{budget}.html"
    if not item.datasets:
        rows = tuple(_count_row(row) for row in item.rows)
        return _write_page(Reproduction(item, GridSetting("digits", True, budget), rows, "", report, 0.0))
    dataset, setting, workers = _open_data(item, budget, data, processes)
    entries = run_entries(item, setting, folder / "runs", seeds=seeds)
    missing = [entry for entry in with_one_precision(entries.values()) if not Run(entry.path).finished]
    if missing:
        missing.sort(key=lambda entry: -cost(entry.recipe.arch).macs)  # longest first: workers end together
        with _backend(min(workers, len(missing)), ray, setting.threads) as backend:
            backend.train(missing, listen=listen, stop=stop)
    if stop():
        return Reproduction(item, setting, (), dataset.note, report, time.monotonic() - started, stopped=True)
    runs = {key: Run(entry.path) for key, entry in entries.items()}
    require_same_images(runs.values())
    rows = tuple(reproduce_row(item, row, setting, runs, seeds=seeds) for row in item.rows)
    return _write_page(Reproduction(item, setting, rows, dataset.note, report, time.monotonic() - started))


def _checked_item(name: str, budget: str, seeds: int, processes: int | None) -> Item:
    """The item called `name`; ConfigError where it or another argument cannot be used."""
    item = items.find_item(name)
    if budget not in BUDGETS:
        raise ConfigError(f"no budget {budget!r}: {nearest(budget, BUDGETS)}")
    if seeds < 1 or (processes is not None and processes < 1):
        raise ConfigError(f"seeds is {seeds}, processes {processes}: give at least 1")
    if source := items.DATA_WITHOUT_SCHEDULE.get((*item.datasets, "")[0]):
        raise ConfigError(
            f"{name} needs {item.datasets[0]}, and no schedule for its networks is known: train them, e.g. "
            f"`residua train {source}:DIR -m {item.rows[-1].network.name}`"
        )
    return item


def _open_data(
    item: Item, budget: Budget, data: str | None, processes: int | None
) -> tuple[ImageDataset, GridSetting, int]:
    """The images, the setting of the runs, and how many are trained at the same time."""
    source = data if data is not None else _default_source(item, budget)
    if not any(row.is_trained_at(budget) for row in item.rows):
        raise ConfigError(f"{item.name} trains nothing at the budget {budget}: give --budget full")
    dataset = open_dataset(parse_source(source).absolute(), val_fraction=0.2)
    workers = processes or (1 if _has_gpu() else world.available_cores())
    return (
        dataset,
        GridSetting(source, dataset.size <= SMALL, budget, max(1, world.available_cores() // workers)),
        workers,
    )


def _default_source(item: Item, budget: Budget) -> str:
    if budget == "smoke":
        return "digits"
    needed = item.datasets[0]
    hint = (
        "imagenet:DIR, or any folder of classes"
        if needed == "imagenet"
        else f"{needed}:DIR, or {needed} to download it"
    )
    raise ConfigError(f"{item.name} at {budget} needs {needed}: give --data {hint}")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _backend(workers: int, ray: str | None, threads: int) -> AbstractContextManager[RunBackend]:
    if ray is None:
        return RunPool(processes=workers)
    from residua.reproduce.ray_backend import RayBackend

    return RayBackend(ray, threads=threads)


def _write_page(reproduction: Reproduction) -> Reproduction:
    from residua.report.page import render
    from residua.reproduce.page import page

    reproduction.report.parent.mkdir(parents=True, exist_ok=True)
    write_file(reproduction.report, render(page(reproduction)))
    return reproduction


def require_same_images(runs: Iterable[Run]) -> None:
    """Compare the image digests of all runs.

    Raises:
        DataError: Two of the runs were trained on different images.
    """
    run_of_digest = {
        (run.path / "data.json").read_text(): run.path for run in runs if (run.path / "data.json").exists()
    }
    if len(run_of_digest) > 1:
        first, second, *_ = run_of_digest.values()
        raise DataError(
            f"{first} and {second} were trained on different images: delete the older, or choose another -o"
        )


def reproduce_row(
    item: Item, row: PublishedRow, setting: GridSetting, runs: Mapping[NetworkSeed, Run], *, seeds: int
) -> ReproducedRow:
    """Compare a row of a paper with the runs of its network, measuring what they have not measured yet.

    Args:
        item: The table or figure of the row.
        row: The paper's side.
        setting: Images and budget of the runs.
        runs: Network name and seed -> run.
        seeds: The seeds that are used, from 0 on.
    """
    network = row.network_for(small_images=setting.has_small_images)
    if row.is_counted:
        return _count_row(row)
    if not row.is_trained_at(setting.budget):
        return ReproducedRow(row, network.name, "", note=f"not trained at the budget {setting.budget}")
    row_runs = [runs[network.name, seed] for seed in range(seeds)]
    differences = row_differences(
        item, row, row_runs[0].recipe, setting=setting, images=_training_images(row_runs[0])
    )
    reproduced = ReproducedRow(
        row, network.name, row_label(row, differences, setting), differences=differences
    )
    finished = tuple(run for run in row_runs if run.finished)
    if not finished:
        return replace(reproduced, note="the loss did not stay finite")
    values = tuple(value for run in finished if (value := row_value(run, row)) is not None)
    if not values:
        return replace(reproduced, note="five classes or fewer")
    train_errors = tuple(float(run.metrics[-1]["train_error"]) for run in finished)
    return replace(reproduced, values=values, train_errors=train_errors, runs=finished)


def _training_images(run: Run) -> int:
    return int(json.loads((run.path / "data.json").read_text("utf-8"))["train"])


def _count_row(row: PublishedRow) -> ReproducedRow:
    size = cost(row.network.arch())
    value = float(size.params if row.measure == "params" else size.macs)
    return ReproducedRow(row, row.network.name, "same protocol", (value,))


def row_value(run: Run, row: PublishedRow) -> float | None:
    """The value of a finished run in the measure of `row`, in its unit.

    Other views and layer responses are measured once and kept in the run directory.

    Returns:
        The value; None for the top-5 error of five classes or fewer.
    """
    last = run.metrics[-1]
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
