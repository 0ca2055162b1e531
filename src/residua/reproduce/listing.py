"""All tables and figures with their state, the data they need, and the estimated cost of reproducing them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from residua.recipes import recipe
from residua.reproduce import highway, ladder
from residua.reproduce.grid import GridSetting, grid_recipe, run_entries
from residua.reproduce.items import DATA_WITHOUT_SCHEDULE, ITEMS, PAPER_RECIPES, TRAINING_IMAGES
from residua.reproduce.ladder_steps import finished_ladder
from residua.reproduce.published import BUDGETS, Budget, Item, NamedNetwork
from residua.runs.run import Run
from residua.spec import zoo
from residua.spec.describe import cost

DIGITS_TRAINING_IMAGES = 1433
"""Digits in an epoch."""
DIGITS_SPEEDUP = 16
"""Multiply-adds of a network on images of 32 pixels, over those on digits of 8 pixels."""
MACS_PER_SECOND: Mapping[Budget, float] = {"smoke": 6e9, "small": 40e9, "full": 24e9}
"""Multiply-adds of the forward pass that two cores train in a second, about: on the small maps of digits, in
bfloat16, in float32. Estimated from single threads of a busy machine with bfloat16 units.
"""
LADDER_MACS_PER_SECOND = 48e9
"""The same for the wider networks of the ladder, in bfloat16."""
SEEDS = 3
"""Runs of each network where one takes minutes: a difference needs an interval."""
MINUTES = 15.0
"""Longest run that is repeated without being asked; our choice."""
STARTUP_SECONDS = 40.0
"""Time until processes train, and for the page at the end."""
DURATION_UNITS = (
    ("min", 60.0, 90.0),
    ("h", 3600.0, 36.0),
    ("days", 86_400.0, 700.0),
    ("years", 31_557_600.0, math.inf),
)
"""Name, seconds, and the number of units below which it is used."""


def listing(folder: Path) -> list[dict[str, Any]]:
    """One entry for each item, for JSON.

    Args:
        folder: Folder of runs and reports: it decides which items are `done`.
    """
    return [*(_entry(item, folder) for item in ITEMS.values()), *_project_entries(folder)]


def _project_entries(folder: Path) -> list[dict[str, Any]]:
    """The experiments of ours, which are no tables or figures of a paper."""
    climb = {budget: _ladder_seconds(extent) for budget, extent in ladder.EXTENTS.items()}
    drive = {budget: _highway_seconds(extent) for budget, extent in highway.EXTENTS.items()}
    count = len(ladder.ladder_runs(ladder.EXTENTS["full"]))
    is_climbed = bool(finished_ladder("full", folder))
    return [
        _project_entry(ladder.NAME, ladder.TITLE, climb, f"{count} networks", is_done=is_climbed),
        _project_entry(highway.NAME, highway.TITLE, drive, "2 networks", is_done=False),
    ]


def _project_entry(
    name: str, title: str, seconds: Mapping[Budget, float], networks: str, *, is_done: bool
) -> dict[str, Any]:
    return {
        "item": name,
        "what": title,
        "place": "an experiment of ours, in no paper",
        "data": [ladder.DATA],
        "cost": {budget: f"{networks}, {duration_text(seconds[budget])}" for budget in seconds},
        "minutes": {budget: round(seconds[budget] / 60) for budget in seconds},
        "state": "done" if is_done else "scaled",
        "reason": "",
    }


def _highway_seconds(extent: highway.HighwayExtent) -> float:
    """Estimated time of both networks on two cores, in seconds."""
    images = extent.images[0] if extent.images else TRAINING_IMAGES[highway.DATA]
    macs = sum(cost(zoo.arch(name)).macs for name in highway.NETWORKS.values())
    return STARTUP_SECONDS + macs * images * extent.epochs / MACS_PER_SECOND["full"]


def _ladder_seconds(extent: ladder.Extent) -> float:
    """Estimated time of all runs on two cores, in seconds."""
    runs = ladder.ladder_runs(extent).values()
    work = sum(cost(run.arch).macs * run.updates * run.batch for run in runs)
    return STARTUP_SECONDS + work / LADDER_MACS_PER_SECOND


def _entry(item: Item, folder: Path) -> dict[str, Any]:
    budgets = BUDGETS if item.datasets else ()
    return {
        "item": item.name,
        "what": item.title,
        "place": item.source,
        "data": list(item.datasets),
        "cost": {budget: _cost_text(item, budget) for budget in budgets},
        "minutes": {budget: round(estimated_seconds(item, budget) / 60) for budget in budgets},
        "state": _state(item, folder),
        "reason": item.obstacle or ("" if item.datasets else "counted, not trained"),
    }


def _cost_text(item: Item, budget: Budget) -> str:
    """Networks times steps of one seed, and the time: `4 x 4,000, 36 min`; `5 x ?` without a schedule."""
    networks = _networks(item, budget)
    if not networks:
        return "none"
    if set(item.datasets) & set(DATA_WITHOUT_SCHEDULE):
        return f"{len(networks)} x ?"
    steps, _ = _steps_and_batch_size(item, budget)
    return f"{len(networks)} x {steps:,}, {duration_text(estimated_seconds(item, budget))}"


def duration_text(seconds: float) -> str:
    """A duration in a suitable unit: `36 min`, `5 h`, `12 days`."""
    name, size, _ = next(unit for unit in DURATION_UNITS if seconds / unit[1] < unit[2])
    return f"{max(1, round(seconds / size)):,} {name}"


def estimated_seconds(item: Item, budget: Budget) -> float:
    """Estimated time for one seed of every network on two cores, in seconds."""
    steps, batch_size = _steps_and_batch_size(item, budget)
    macs = sum(cost(network.arch()).macs for network in _networks(item, budget))
    return STARTUP_SECONDS + _seconds(macs, steps * batch_size, budget)


def default_seeds(item: Item, budget: Budget, *, small_images: bool) -> dict[str, int]:
    """Name of each network that the item trains -> SEEDS where it takes minutes at this budget, else 1."""
    steps, batch_size = _steps_and_batch_size(item, budget)
    archs = [network.arch() for network in item.networks(budget, small_images=small_images)]
    return {
        arch.name: SEEDS if _seconds(cost(arch).macs, steps * batch_size, budget) < MINUTES * 60 else 1
        for arch in archs
    }


def _seconds(macs: float, images: int, budget: Budget) -> float:
    """Estimated time to train on so many images, with so many multiply-adds each, on two cores."""
    return macs / (DIGITS_SPEEDUP if budget == "smoke" else 1) * images / MACS_PER_SECOND[budget]


def _networks(item: Item, budget: Budget) -> tuple[NamedNetwork, ...]:
    return item.networks(budget, small_images=budget != "full" or "imagenet" not in item.datasets)


def _steps_and_batch_size(item: Item, budget: Budget) -> tuple[int, int]:
    """Of one run."""
    arch = item.rows[0].network.arch()
    if budget == "full" and "imagenet" in item.datasets:
        length = recipe(PAPER_RECIPES[item.paper, "large"], arch, "imagenet").budget
        return length.epochs * (TRAINING_IMAGES["imagenet"] // length.batch_size), length.batch_size
    source = "digits" if budget == "smoke" else item.datasets[0]
    length = grid_recipe(item, arch, GridSetting(source, True, budget)).budget
    return length.steps or length.epochs * (DIGITS_TRAINING_IMAGES // length.batch_size), length.batch_size


def _state(item: Item, folder: Path) -> str:
    """`done`, `scaled`, `needs DATA` or `not feasible`."""
    if item.obstacle:
        return "not feasible"
    if set(item.datasets) & set(DATA_WITHOUT_SCHEDULE):
        return "needs DATA"
    if not item.datasets or _is_done(item, folder):
        return "done"
    return "scaled" if item.networks("smoke", small_images=True) else "needs DATA"


def _is_done(item: Item, folder: Path) -> bool:
    """Whether every network has a finished run with the paper's own data and schedule in `folder`."""
    if not (folder / "runs").is_dir() or len(item.datasets) > 1:
        return False
    setting = GridSetting(item.datasets[0], item.datasets[0] != "imagenet", "full")
    entries = run_entries(item, setting, folder / "runs", seeds=1).values()
    return all(Run(entry.path).finished for entry in entries)
