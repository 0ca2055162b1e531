"""One table or figure of a paper: train what it takes, or reuse it, and hold it against what was printed."""

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from residua.data.sources.table import ImageDataset, absolute, open_dataset
from residua.errors import DataError
from residua.jobs.run_pool import Listen, PoolEntry, RunPool
from residua.reproduce import items
from residua.reproduce.grid import Setting, departed, entries, label_of, one_arithmetic
from residua.reproduce.measured import measured
from residua.reproduce.protocols import Departure
from residua.reproduce.published import BUDGETS, Budget, Item, PublishedRow
from residua.runs.run import Run, write
from residua.spec.describe import cost
from residua.spec.record import nearest
from residua.tasks.classify.task import SMALL
from residua.training.processes import world

FOLDER = Path("runs/reproduce")
"""Where runs and reports go when no other place is named."""


class Trainer(Protocol):
    """Something that trains entries: processes here, or tasks on a cluster."""

    def train(self, wanted: Sequence[PoolEntry], *, listen: Listen, stop: Callable[[], bool]) -> object:
        """Train each, from where it stands, until it is finished or `stop()`."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the paper and what came out here."""

    row: PublishedRow
    """The paper's side."""
    net: str
    """The network that was trained or counted."""
    label: str
    """*same protocol*, *same protocol but for* something, *scaled down* or *different data*."""
    values: tuple[float, ...] = ()
    """One a seed, in the row's unit."""
    train: tuple[float, ...] = ()
    """Training error of the last epoch, in percent, one a seed."""
    runs: tuple[Run, ...] = ()
    """Where the values come from, one a seed."""
    note: str = ""
    """Why there is no value."""
    departures: tuple[Departure, ...] = ()
    """What was done otherwise than in the paper, on its own data."""

    @property
    def mean(self) -> float:
        """Of the values; nan without one."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Sample deviation of the values; nan with fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def difference(self) -> float:
        """Mean less the paper's number; nan without either."""
        return self.mean - self.row.paper if self.row.paper is not None else math.nan

    @property
    def middle(self) -> Run | None:
        """The run whose value is the (lower) median."""
        ranked = sorted(zip(self.values, self.runs, strict=True), key=lambda pair: pair[0])
        return ranked[(len(ranked) - 1) // 2][1] if ranked else None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came out for one item."""

    item: Item
    """The table or figure."""
    setting: Setting
    """On which images, how long."""
    lines: tuple[Line, ...]
    """In the paper's order."""
    data: str
    """One line about the images; empty where none were needed."""
    report: Path
    """The page that shows it."""
    seconds: float
    """From the first image to the report; of runs that were reused, nothing."""
    stopped: bool = False
    """Whether it was stopped before all runs were finished; there is no report then."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Labels of the rows that the budget leaves out."""
        return tuple(line.row.label for line in self.lines if self.setting.budget not in line.row.budgets)

    @property
    def kept(self) -> tuple[Line, ...]:
        """The lines of the others."""
        return tuple(line for line in self.lines if self.setting.budget in line.row.budgets)

    def plain(self) -> dict[str, Any]:
        """For JSON: numbers that are missing are null."""
        return {
            "item": self.item.name,
            "budget": self.setting.budget,
            "data": self.data,
            "seconds": round(self.seconds, 1),
            "rows": [_plain(line) for line in self.kept],
            "left_out": list(self.left_out),
            "report": str(self.report),
        }


def _plain(line: Line) -> dict[str, Any]:
    row = line.row
    return {
        "what": row.label,
        "network": line.net,
        "measure": row.measure,
        "views": row.views,
        "paper": row.paper,
        "paper_said": row.printed,
        "ours": _number(line.mean),
        "deviation": _number(line.deviation),
        "n": len(line.values),
        "difference": _number(line.difference),
        "train_error": _number(statistics.fmean(line.train)) if line.train else None,
        "label": line.label,
        "departures": [str(each) for each in line.departures],
        "note": line.note,
    }


def _number(value: float) -> float | None:
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
    listen: Listen = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Reproduction:
    """Reproduce the item `name`, e.g. `he2015/fig6`, and write a page about it into `out`.

    Runs live in `out/runs`: one that is finished is reused, one that was interrupted goes on. `data` is what
    `train` takes, `digits` for the budget `smoke` if not given. `ray` is the address of a cluster whose
    machines share `out`. Call it under `if __name__ == "__main__"`, for it starts processes. ValueError for
    an unknown item or budget, DataError for images that changed since a run began.
    """
    item, started, folder = items.item(name), time.monotonic(), Path(out)
    if budget not in BUDGETS:
        raise ValueError(f"no budget {budget!r}: {nearest(budget, BUDGETS)}")
    if seeds < 1 or (processes is not None and processes < 1):
        raise ValueError(f"seeds is {seeds}, processes {processes}: give at least 1")
    if source := items.UNSCHEDULED.get((*item.needs, "")[0]):
        raise ValueError(
            f"{name} needs {item.needs[0]}, and no schedule for its networks is known: train them, e.g. "
            f"`residua train {source}:DIR -m {item.rows[-1].net.name}`"
        )
    report = folder / f"{name.replace('/', '-')}-{budget}.html"
    if not item.needs:
        lines = tuple(_counted(row) for row in item.rows)
        found = Reproduction(item, Setting("digits", True, budget), lines, "", report, 0.0)
        return _written(found, None)
    source = _source(item, budget, data)
    if not any(row.asks_at(budget) for row in item.rows):
        raise ValueError(f"{name} trains nothing at the budget {budget}: give --budget full")
    dataset = open_dataset(absolute(source), holdout=0.2)
    workers = processes or (1 if _has_gpu() else world.cores())
    setting = Setting(source, dataset.size <= SMALL, budget, max(1, world.cores() // workers))
    wanted = entries(item, setting, folder / "runs", seeds=seeds)
    waiting = [entry for entry in one_arithmetic(wanted.values()) if not Run(entry.path).finished]
    if waiting:
        waiting.sort(key=lambda entry: -cost(entry.recipe.arch).macs)  # the longest first: all end together
        with _trainer(min(workers, len(waiting)), ray, setting.threads) as trainer:
            trainer.train(waiting, listen=listen, stop=stop)
    if stop():
        return Reproduction(item, setting, (), dataset.note, report, time.monotonic() - started, True)
    runs = {key: Run(entry.path) for key, entry in wanted.items()}
    same_images(runs.values())
    lines = tuple(line_of(item, row, setting, runs, seeds=seeds) for row in item.rows)
    found = Reproduction(item, setting, lines, dataset.note, report, time.monotonic() - started)
    return _written(found, dataset)


def _written(found: Reproduction, dataset: ImageDataset | None) -> Reproduction:
    from residua.report.page import render
    from residua.reproduce.page import page

    found.report.parent.mkdir(parents=True, exist_ok=True)
    write(found.report, render(page(found)))
    return found


def _source(item: Item, budget: Budget, data: str | None) -> str:
    if data is not None:
        return data
    if budget == "smoke":
        return "digits"
    kind = item.needs[0]
    hint = (
        "imagenet:DIR, or any folder of classes"
        if kind == "imagenet"
        else f"{kind}:DIR, or {kind} to download it"
    )
    raise ValueError(f"{item.name} at {budget} needs {kind}: give --data {hint}")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _trainer(workers: int, ray: str | None, threads: int) -> AbstractContextManager[Trainer]:
    if ray is None:
        return RunPool(processes=workers)
    from residua.reproduce.ray_backend import Cluster

    return Cluster(ray, threads=threads)


def same_images(runs: "Sequence[Run] | Any") -> None:
    """DataError unless all `runs` saw the same images."""
    told = {
        (run.path / "data.json").read_text(): run.path for run in runs if (run.path / "data.json").exists()
    }
    if len(told) > 1:
        first, second, *_ = told.values()
        raise DataError(f"{first} and {second} saw different images: delete the older, or choose another -o")


def line_of(
    item: Item, row: PublishedRow, setting: Setting, runs: Mapping[tuple[str, int], Run], *, seeds: int
) -> Line:
    """What `runs` say of a row of `item`; measured now where a run has not kept it."""
    net = row.trained(small=setting.small)
    if not row.asks_at(setting.budget):
        if row.measure in ("params", "macs"):
            return _counted(row)
        return Line(row, net.name, "", note=f"not trained at the budget {setting.budget}")
    mine = [runs[net.name, seed] for seed in range(seeds)]
    found = departed(item, row, mine[0].recipe, setting=setting, images=trained_on(mine[0]))
    line = Line(row, net.name, label_of(row, found, setting), departures=found)
    ended = tuple(run for run in mine if run.finished)
    if not ended:
        return replace(line, note="the loss did not stay finite")
    values = tuple(v for run in ended if (v := measured(run, row)) is not None)
    if not values:
        return replace(line, note="five classes or fewer")
    train = tuple(float(run.metrics[-1]["train_error"]) for run in ended)
    return replace(line, values=values, train=train, runs=ended)


def trained_on(run: Run) -> int:
    """How many images `run` learns from."""
    return int(json.loads((run.path / "data.json").read_text("utf-8"))["train"])


def _counted(row: PublishedRow) -> Line:
    found = cost(row.net.arch())
    value = float(found.params if row.measure == "params" else found.macs)
    return Line(row, row.net.name, "same protocol", (value,))
