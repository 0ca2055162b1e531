"""What can be reproduced: every table and figure with its cost, the data it asks for and how far it is."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from residua.recipes import recipe
from residua.reproduce.grid import Setting, entries, recipe_of
from residua.reproduce.items import ITEMS, RECIPE_OF, UNSCHEDULED
from residua.reproduce.protocols import IMAGES
from residua.reproduce.published import BUDGETS, Budget, Item, Net
from residua.runs.run import Run
from residua.spec.describe import cost

DIGITS = 1433
"""Images that are trained on in a pass over the digits."""
SMALLER = 16
"""How many times fewer multiply-adds a network takes on digits of 8 pixels than on pictures of 32."""
SPEED: Mapping[Budget, float] = {"smoke": 6e9, "small": 40e9, "full": 24e9}
"""Multiply-adds of the forward pass that two cores train through in a second, about: on the small maps of
digits, in bfloat16, in float32. Estimated from single threads of a busy machine with bfloat16 units.
"""
START = 40.0
"""Seconds until processes train, and for the page in the end."""
UNITS = (
    ("min", 60.0, 90.0),
    ("h", 3600.0, 36.0),
    ("days", 86_400.0, 700.0),
    ("years", 31_557_600.0, math.inf),
)
"""Name, seconds, and up to how many of it are said."""


def listing(folder: Path) -> list[dict[str, Any]]:
    """One entry per item, for JSON; `folder` is where runs and reports are kept."""
    return [
        {
            "item": item.name,
            "what": item.what,
            "place": item.place,
            "data": list(item.needs),
            "cost": {budget: _cost(item, budget) for budget in BUDGETS} if item.needs else {},
            "minutes": {budget: round(seconds(item, budget) / 60) for budget in BUDGETS}
            if item.needs
            else {},
            "state": _state(item, folder),
            "reason": item.reason or ("counted, not trained" if not item.needs else ""),
        }
        for item in ITEMS.values()
    ]


def _cost(item: Item, budget: Budget) -> str:
    """Networks times updates of one seed, and how long that takes: `4 x 4,000, 36 min`.

    `5 x ?` where no schedule is known.
    """
    nets = _nets(item, budget)
    if nets and set(item.needs) & set(UNSCHEDULED):
        return f"{len(nets)} x ?"
    return f"{len(nets)} x {_length(item, budget)[0]:,}, {said(seconds(item, budget))}" if nets else "none"


def said(seconds: float) -> str:
    """A duration in the unit that people would use: `36 min`, `5 h`, `12 days`."""
    name, size, _ = next(unit for unit in UNITS if seconds / unit[1] < unit[2])
    return f"{max(1, round(seconds / size)):,} {name}"


def seconds(item: Item, budget: Budget) -> float:
    """How long one seed of every network takes on two cores, about."""
    updates, batch = _length(item, budget)
    work = sum(cost(net.arch()).macs for net in _nets(item, budget)) / (SMALLER if budget == "smoke" else 1)
    return START + work * updates * batch / SPEED[budget]


def _nets(item: Item, budget: Budget) -> tuple[Net, ...]:
    return item.nets(budget, small=budget != "full" or "imagenet" not in item.needs)


def _length(item: Item, budget: Budget) -> tuple[int, int]:
    """Updates of a run, and images of each."""
    if budget == "full" and "imagenet" in item.needs:
        made = recipe(RECIPE_OF[item.paper, "large"], item.rows[0].net.arch(), "imagenet").budget
        return made.epochs * (IMAGES["imagenet"] // made.batch_size), made.batch_size
    source = "digits" if budget == "smoke" else item.needs[0]
    length = recipe_of(item, item.rows[0].net.arch(), Setting(source, True, budget)).budget
    return length.steps or length.epochs * (DIGITS // length.batch_size), length.batch_size


def _state(item: Item, folder: Path) -> str:
    """`done`, `scaled`, `needs DATA` or `not feasible`."""
    if item.reason:
        return "not feasible"
    if set(item.needs) & set(UNSCHEDULED):
        return "needs DATA"
    if not item.needs or _is_done(item, folder):
        return "done"
    return "scaled" if item.nets("smoke", small=True) else "needs DATA"


def _is_done(item: Item, folder: Path) -> bool:
    """Whether every network of the item has a finished run at the paper's own budget and data in `folder`."""
    if not (folder / "runs").is_dir() or len(item.needs) > 1:
        return False
    setting = Setting(item.needs[0], item.needs[0] != "imagenet", "full")
    wanted = entries(item, setting, folder / "runs", seeds=1).values()
    return all(Run(entry.path).finished for entry in wanted)
