"""Cells of a grid: which run a network, a budget and a seed ask for, and where it is kept."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from residua import recipes
from residua.data.sources.table import absolute, is_named
from residua.jobs.run_pool import PoolEntry
from residua.nn.network import build
from residua.reproduce.items import RECIPE_OF
from residua.reproduce.protocols import IMAGES, Departure, departures, label
from residua.reproduce.published import Budget, Item, PublishedRow
from residua.runs.run import Run
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.recipe import Data, Plan, Recipe
from residua.training.plan import choose

Precision = Literal["auto", "float32", "bfloat16"]

STEPS = {"smoke": 100, "small": 4_000}
"""Updates on small pictures; `small` trains figures 1 and 6 of He et al. 2015 in an hour on two cores."""
LARGE_STEPS = {"smoke": 100, "small": 1_200}
"""The same on large ones."""
BATCH, LARGE_BATCH = 64, 32
"""Images per update of small and of large pictures where the schedule is cut: more updates for their time."""
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


def departed(
    item: Item, row: PublishedRow, recipe: Recipe, *, setting: Setting, images: int
) -> tuple[Departure, ...]:
    """What was done otherwise than in the paper, where `recipe` was trained on `images` of them for `row`.

    Nothing is compared on other data.
    """
    if setting.kind != row.data:
        return ()
    found = departures(recipe, item.paper, row.data)
    net, wanted = row.trained(small=setting.small).name, IMAGES[row.data]
    if images != wanted:
        found = (Departure("training images", f"{images:,}", f"{wanted:,}"), *found)
    return (Departure("network", net, row.net.name), *found) if net != row.net.name else found


def label_of(row: PublishedRow, found: tuple[Departure, ...], setting: Setting) -> str:
    """How close a number comes to the paper's protocol, from the departures that were `found`."""
    return label(found) if setting.kind == row.data else "different data"


def recipe_of(item: Item, arch: Arch, setting: Setting, *, seed: int = 0) -> Recipe:
    """The recipe by which `arch` is trained for `item`: the paper's, cut to the budget.

    On digits it is `quick.digits` unless the budget is `full`. In float32; pictures at the budget `small` in
    whatever `one_arithmetic` finds.
    """
    source, budget, threads = absolute(setting.source), setting.budget, setting.threads
    precision: Literal["auto", "float32"] = "float32"
    if setting.kind == "digits" and budget != "full":
        made = recipes.recipe("quick.digits", arch, source)
        made, threads = replace(made, budget=replace(made.budget, epochs=EPOCHS[budget])), made.plan.threads
    else:
        made = recipes.recipe(RECIPE_OF[item.paper, "small" if setting.small else "large"], arch, source)
        if budget != "full":
            made = replace(made, budget=replace(made.budget, **_cut(budget, small=setting.small)))
            precision = "auto" if budget == "small" else "float32"
    plan = Plan(memory_format="channels_last", precision=precision, threads=threads)
    return replace(made, plan=plan, seed=seed)


def _cut(budget: Budget, *, small: bool) -> dict[str, int]:
    """Updates, and images of each."""
    if small:
        return {"steps": STEPS[budget], "batch": BATCH}
    return {"steps": LARGE_STEPS[budget], "batch": LARGE_BATCH}


def one_arithmetic(wanted: Iterable[PoolEntry]) -> list[PoolEntry]:
    """`wanted`, all in one precision, so that nothing but the networks differs.

    That of the runs that have begun, or what measures faster on the smallest network.
    """
    found = list(wanted)
    if all(entry.recipe.plan.precision != "auto" for entry in found):
        return found
    begun = [entry.path for entry in found if (entry.path / "recipe.json").exists()]
    precision = Run(begun[0]).recipe.plan.precision if begun else _fastest(found)
    return [_in_precision(entry, precision) for entry in found]


def _in_precision(entry: PoolEntry, precision: Precision) -> PoolEntry:
    plan = replace(entry.recipe.plan, precision=precision)
    return replace(entry, recipe=replace(entry.recipe, plan=plan))


def _fastest(entries: list[PoolEntry]) -> Precision:
    """The precision that this machine trains the smallest network in, at its own number of threads."""
    smallest = min((entry.recipe for entry in entries), key=lambda recipe: cost(recipe.arch).macs)
    plan, length = replace(smallest.plan, compile="off"), smallest.budget
    return choose(build(smallest.arch), plan, batch=length.batch_size, steps=length.steps).plan.precision


def entries(item: Item, setting: Setting, folder: Path, *, seeds: int) -> dict[tuple[str, int], PoolEntry]:
    """Network and seed -> the run that is wanted, in the order of the rows."""
    found = {}
    for net in item.nets(setting.budget, small=setting.small):
        arch = net.arch()
        for seed in range(seeds):
            found[net.name, seed] = _entry(item, arch, setting, folder, seed)
    return found


def _entry(item: Item, arch: Arch, setting: Setting, folder: Path, seed: int) -> PoolEntry:
    recipe = recipe_of(item, arch, setting, seed=seed)
    length = f"{recipe.budget.steps}-steps" if recipe.budget.steps else f"{recipe.budget.epochs}-epochs"
    name = f"{setting.kind}-{length}-{arch.name}-seed{seed}"
    return PoolEntry(f"{arch.name} seed {seed}", place_of(folder, name, recipe), recipe)


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
    data = Data(name, recipe.data.val_fraction, subtract=recipe.data.subtract)
    length = replace(recipe.budget, save_seconds=0.0)
    return replace(recipe, arch=arch, data=data, budget=length, plan=Plan())
