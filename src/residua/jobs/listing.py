"""What can be reproduced: every table and figure with its cost, the data it asks for and how far it is."""

from pathlib import Path
from typing import Any

from residua.jobs.cells import EPOCHS, STEPS, Setting, entries
from residua.papers import recipe
from residua.papers.items import IMAGENET_IMAGES, ITEMS, RECIPE_OF, UNSCHEDULED
from residua.papers.published import BUDGETS, Budget, Item
from residua.training.run import Run

DIGITS = 44
"""Updates in a pass over the digits."""


def listing(folder: Path) -> list[dict[str, Any]]:
    """One entry per item, for JSON; `folder` is where runs and reports are kept."""
    return [
        {
            "item": item.name,
            "what": item.what,
            "place": item.place,
            "data": list(item.needs),
            "cost": {budget: _cost(item, budget) for budget in BUDGETS} if item.needs else {},
            "state": _state(item, folder),
            "reason": item.reason or ("counted, not trained" if not item.needs else ""),
        }
        for item in ITEMS.values()
    ]


def _cost(item: Item, budget: Budget) -> str:
    """Networks times updates of one seed: `10 x 64,000`; `5 x ?` where no schedule is known."""
    small = budget != "full" or "imagenet" not in item.needs
    nets = item.nets(budget, small=small)
    if nets and set(item.needs) & set(UNSCHEDULED):
        return f"{len(nets)} x ?"
    return f"{len(nets)} x {_updates(item, budget):,}" if nets else "none"


def _updates(item: Item, budget: Budget) -> int:
    if budget == "smoke":
        return EPOCHS["smoke"] * DIGITS
    if budget == "small":
        return STEPS["small"]
    kind = "large" if "imagenet" in item.needs else "small"
    made = recipe(RECIPE_OF[item.paper, kind], item.rows[0].net.arch(), "digits").budget
    return made.steps or made.epochs * (IMAGENET_IMAGES // made.batch)


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
