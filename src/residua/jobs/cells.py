"""Cells of a grid: which run a network, a budget and a seed ask for, and where it is kept."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

from residua import papers
from residua.data.sources import absolute, is_named
from residua.jobs.contest import Entry
from residua.papers.items import RECIPE_OF
from residua.papers.published import Budget, Item, Row
from residua.spec.arch import Arch
from residua.spec.recipe import Data, Plan, Recipe
from residua.training.run import Run

STEPS = {"smoke": 100, "small": 1_200}
"""Updates on pictures; `small` is meant to train figure 1 of He et al. 2015 in an hour on two cores."""
LARGE_BATCH = 32
"""Images per update of large pictures, where the schedule is cut: what a laptop can do."""
EPOCHS = {"smoke": 5, "small": 30}
"""Passes over the digits: those of the demo, and six times as many."""


@dataclass(frozen=True, slots=True)
class Setting:
    """On which images, how long, and with how many threads."""

    source: str
    """A folder, or a set by name."""
    small: bool
    """Whether its pictures are small, so that networks for them stand in for those of ImageNet."""
    budget: Budget
    """How long."""
    threads: int = 1
    """Of one run."""

    @property
    def kind(self) -> str:
        """The set's name without its folder, or the folder's name."""
        return self.source.partition(":")[0] if is_named(self.source) else Path(self.source).name

    def label(self, row: Row) -> str:
        """How close a number comes to the paper's protocol."""
        if row.measure in ("params", "macs"):
            return "same protocol"
        if self.kind != row.data:
            return "different data"
        return "same protocol" if self.budget == "full" else "scaled down"


def recipe_of(item: Item, arch: Arch, setting: Setting, *, seed: int = 0) -> Recipe:
    """The recipe by which `arch` is trained for `item`: the paper's, cut to the budget; float32.

    On digits it is `quick.digits` unless the budget is `full`.
    """
    source, budget = absolute(setting.source), setting.budget
    if setting.kind == "digits" and budget != "full":
        made = papers.recipe("quick.digits", arch, source)
        made = replace(made, budget=replace(made.budget, epochs=EPOCHS[budget]))
    else:
        made = papers.recipe(RECIPE_OF[item.paper, "small" if setting.small else "large"], arch, source)
        if budget != "full":
            batch = made.budget.batch if setting.small else LARGE_BATCH
            made = replace(made, budget=replace(made.budget, steps=STEPS[budget], batch=batch))
    plan = Plan(memory_format="channels_last", precision="float32", threads=setting.threads)
    return replace(made, plan=plan, seed=seed)


def entries(item: Item, setting: Setting, folder: Path, *, seeds: int) -> dict[tuple[str, int], Entry]:
    """Network and seed -> the run that is wanted, in the order of the rows."""
    found = {}
    for net in item.nets(setting.budget, small=setting.small):
        arch = net.arch()
        for seed in range(seeds):
            found[net.name, seed] = _entry(item, arch, setting, folder, seed)
    return found


def _entry(item: Item, arch: Arch, setting: Setting, folder: Path, seed: int) -> Entry:
    recipe = recipe_of(item, arch, setting, seed=seed)
    length = f"{recipe.budget.steps}-steps" if recipe.budget.steps else f"{recipe.budget.epochs}-epochs"
    name = f"{setting.kind}-{length}-{arch.name}-seed{seed}"
    return Entry(f"{arch.name} seed {seed}", place_of(folder, name, recipe), recipe)


def place_of(folder: Path, name: str, wanted: Recipe) -> Path:
    """`folder/name`, or the first `folder/name-N`, that holds a run with this recipe, or none at all."""
    for number in itertools.count(1):
        path = folder / (name if number == 1 else f"{name}-{number}")
        if not (path / "recipe.json").exists() or _alike(Run(path).recipe, wanted):
            return path
    raise AssertionError


def _alike(held: Recipe, wanted: Recipe) -> bool:
    """Whether two recipes train the same network in the same way, wherever its images and cores are."""
    return _bare(held, wanted.arch) == _bare(wanted, wanted.arch)


def _bare(recipe: Recipe, like: Arch) -> Recipe:
    """`recipe` without what is fitted to images and machine when a run begins."""
    arch = replace(recipe.arch, classes=like.classes, preprocess=like.preprocess)
    source = recipe.data.source
    name = source.partition(":")[0] if is_named(source) else source
    data = Data(name, recipe.data.holdout, subtract=recipe.data.subtract)
    length = replace(recipe.budget, save_seconds=0.0)
    return replace(recipe, arch=arch, data=data, budget=length, plan=Plan())
