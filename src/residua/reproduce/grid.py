"""The grid of an item: networks x seeds -> the recipe and the run folder of each."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from residua import recipes
from residua.data.sources.table import parse_source
from residua.jobs.run_pool import PoolEntry
from residua.nn.network import build
from residua.recipes.he2015 import WARM_UP_STEPS
from residua.reproduce.items import (
    PAPER_RECIPES,
    TRAINING_IMAGES,
    ProtocolDifference,
    paper_protocol,
    protocol_differences,
    protocol_label,
)
from residua.reproduce.published import Budget, Item, PublishedRow
from residua.runs.run import Run
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.recipe import Data, Plan, Recipe
from residua.training.plan import choose_plan

Precision = Literal["auto", "float32", "bfloat16"]
NetworkSeed = tuple[str, int]
"""Name of a network, and a seed."""
Seeds = int | Mapping[str, int]
"""Runs of each network, or name of a network -> its runs."""

SMALL_IMAGE_STEPS: Mapping[Budget, int] = {"smoke": 100, "small": 6_000}
"""Steps on small images. Ours: at the budget `small` 56 layers take at most an hour on two cores."""
LARGE_IMAGE_STEPS: Mapping[Budget, int] = {"smoke": 100, "small": 1_200}
"""Steps on large images. Ours: about the same time."""
SMALL_IMAGE_BATCH, LARGE_IMAGE_BATCH = 128, 32
"""Batch sizes of a shortened schedule: the papers' on small images; on large ones ours, for more steps in the
same time."""
EARLIER_STEPS, EARLIER_BATCH = 4_000, 64
"""The budget `small` on small images before it kept the papers' batch and warm-up: committed runs have it."""
DIFFERENT_DATA = "different data"
"""Label of a row whose network was trained on other images than the paper's: no numbers are subtracted."""
NOT_AVAILABLE = "protocol not available"
"""Label of a row whose training the paper does not state."""
DIGITS_EPOCHS: Mapping[Budget, int] = {"smoke": 5, "small": 30}
"""Epochs on the digits. Ours: those of the demo, and six times as many."""


@dataclass(frozen=True, slots=True)
class GridSetting:
    """What all runs of a grid share: images, budget and threads."""

    source: str
    """What `residua train` takes: a folder, or a dataset by name."""
    has_small_images: bool
    """Whether `small_network`s are trained, because the images are too small for ImageNet networks."""
    budget: Budget
    """Length of the runs."""
    threads: int = 1
    """CPU threads of one run."""
    is_earlier: bool = False
    """Whether the runs are those of the earlier budget `small`, which say nothing about depth."""

    @property
    def dataset_name(self) -> str:
        """The dataset's name without its folder, or the folder's name."""
        return parse_source(self.source).label


def row_differences(
    item: Item, row: PublishedRow, recipe: Recipe, *, setting: GridSetting, images: int
) -> tuple[ProtocolDifference, ...]:
    """In what a run differs from the paper's protocol.

    Args:
        item: The table or figure.
        row: The row that the run reproduces.
        recipe: The recipe of the run.
        setting: Images and budget of the run.
        images: Training images of the run.

    Returns:
        The differences: network and number of images first; none on other data, where nothing is compared.
    """
    if setting.dataset_name != row.data:
        return ()
    differences = protocol_differences(recipe, item.paper, row.data)
    name, paper_images = (
        row.network_for(small_images=setting.has_small_images).name,
        TRAINING_IMAGES[row.data],
    )
    if images != paper_images:
        differences = (
            ProtocolDifference("training images", f"{images:,}", f"{paper_images:,}"),
            *differences,
        )
    if name != row.network.name:
        differences = (ProtocolDifference("network", name, row.network.name), *differences)
    return differences


def row_label(
    item: Item, row: PublishedRow, differences: tuple[ProtocolDifference, ...], setting: GridSetting
) -> str:
    """How close a number comes to the paper's protocol: the `protocol_label`, or `different data`.

    Args:
        item: The table or figure.
        row: The row that the number reproduces.
        differences: What `row_differences` returns for it.
        setting: Its `dataset_name` is compared with the data of the row.

    Returns:
        `same protocol`, `same protocol but for` the names of the differences, `scaled down`, `different
        data`, or `protocol not available` where the paper's schedule was not published.
    """
    if setting.dataset_name != row.data:
        return DIFFERENT_DATA
    is_stated = bool(paper_protocol(item.paper, row.data, row.network.arch()))
    return protocol_label(differences) if is_stated else NOT_AVAILABLE


def grid_recipe(item: Item, arch: Arch, setting: GridSetting, *, seed: int = 0) -> Recipe:
    """The recipe that trains a network for an item: the paper's, shortened to the budget.

    On digits it is `quick.digits`, unless the budget is `full`. The precision is float32. At the budget
    `small`, on other images than digits, it is `auto`, which `with_one_precision` replaces.

    Args:
        item: The table or figure; its paper gives the recipe.
        arch: The network.
        setting: Images, budget and threads of the run.
        seed: Seed of the run.

    Returns:
        The recipe, in the memory format `channels_last`. On digits `quick.digits` sets the threads, unless
        the budget is `full`.
    """
    source, budget, threads = str(parse_source(setting.source).absolute()), setting.budget, setting.threads
    precision: Precision = "float32"
    if setting.dataset_name == "digits" and budget != "full":
        recipe = recipes.recipe("quick.digits", arch, source)
        threads = recipe.plan.threads
        recipe = replace(recipe, budget=replace(recipe.budget, epochs=DIGITS_EPOCHS[budget]))
    else:
        size = "small" if setting.has_small_images else "large"
        recipe = recipes.recipe(PAPER_RECIPES[item.paper, size], arch, source)
        if budget != "full":
            recipe = _shortened(recipe, setting)
            precision = "auto" if budget == "small" else "float32"
    plan = Plan(memory_format="channels_last", precision=precision, threads=threads)
    return replace(recipe, plan=plan, seed=seed)


def _shortened(recipe: Recipe, setting: GridSetting) -> Recipe:
    """A paper's recipe with the length of the budget.

    On small images every network gets the warm-up of He et al. 2016, appendix: with a rate of 0.1 from the
    first step the loss of 56 layers explodes within 7 steps, and a short schedule has no time to recover.
    """
    budget, schedule = setting.budget, recipe.schedule
    if not setting.has_small_images:
        steps, batch_size = LARGE_IMAGE_STEPS[budget], LARGE_IMAGE_BATCH
    elif setting.is_earlier:
        steps, batch_size = EARLIER_STEPS, EARLIER_BATCH
    else:
        steps, batch_size = SMALL_IMAGE_STEPS[budget], SMALL_IMAGE_BATCH
        if schedule.shape == "step" and budget == "small":
            share = WARM_UP_STEPS / steps
            schedule = replace(
                schedule, warmup=share, warmup_lr_factor=0.1, flat_warmup=True, warmup_error=0.0
            )
    length = replace(recipe.budget, steps=steps, batch_size=batch_size)
    return replace(recipe, budget=length, schedule=schedule)


def with_one_precision(
    entries: Iterable[PoolEntry], *, timed: PoolEntry | None = None, images: int = 0
) -> list[PoolEntry]:
    """The entries, all in the same precision, so that only the networks differ.

    `auto` becomes the precision of a run that has begun, or else the one in which this machine trains the
    network of `timed` faster.

    Args:
        entries: The runs.
        timed: One of them; None takes that of the smallest network.
        images: Training images, which tell the length of a run whose recipe counts epochs.
    """
    entries = list(entries)
    if all(entry.recipe.plan.precision != "auto" for entry in entries):
        return entries
    begun = [entry.path for entry in entries if (entry.path / "recipe.json").exists()]
    precision = (
        Run(begun[0]).recipe.plan.precision
        if begun
        else _fastest_precision([timed] if timed else entries, images)
    )
    return [_in_precision(entry, precision) for entry in entries]


def _in_precision(entry: PoolEntry, precision: Precision) -> PoolEntry:
    plan = replace(entry.recipe.plan, precision=precision)
    return replace(entry, recipe=replace(entry.recipe, plan=plan))


def _fastest_precision(entries: list[PoolEntry], images: int) -> Precision:
    """Measured on the smallest network, with the threads of a run."""
    smallest = min((entry.recipe for entry in entries), key=lambda recipe: cost(recipe.arch).macs)
    plan, length = replace(smallest.plan, compile="off"), smallest.budget
    steps = length.steps or length.epochs * images // length.batch_size
    return choose_plan(build(smallest.arch), plan, batch=length.batch_size, steps=steps).plan.precision


def seed_count(seeds: Seeds, name: str) -> int:
    """Runs of the network called `name`."""
    return seeds if isinstance(seeds, int) else seeds[name]


def run_entries(
    item: Item, setting: GridSetting, folder: Path, *, seeds: Seeds
) -> dict[NetworkSeed, PoolEntry]:
    """The runs of an item at a setting.

    Args:
        item: The table or figure.
        setting: Images, budget and threads.
        folder: Folder of the run folders.
        seeds: Runs of each network.

    Returns:
        Network name and seed -> recipe and run folder, in the order of the rows.
    """
    networks = item.networks(setting.budget, small_images=setting.has_small_images)
    archs = [network.arch() for network in networks]
    return {
        (arch.name, seed): _entry(item, arch, setting, folder, seed)
        for arch in archs
        for seed in range(seed_count(seeds, arch.name))
    }


def _entry(item: Item, arch: Arch, setting: GridSetting, folder: Path, seed: int) -> PoolEntry:
    recipe = grid_recipe(item, arch, setting, seed=seed)
    length = f"{recipe.budget.steps}-steps" if recipe.budget.steps else f"{recipe.budget.epochs}-epochs"
    name = f"{setting.dataset_name}-{length}-{arch.name}-seed{seed}"
    return PoolEntry(f"{arch.name} seed {seed}", run_folder(folder, name, recipe), recipe)


def run_folder(folder: Path, name: str, recipe: Recipe) -> Path:
    """`folder/name`, or the first `folder/name-N`, that holds a run of this recipe, or no run.

    Args:
        folder: Folder of the run folders.
        name: Name of the run folder; N counts from 2.
        recipe: The recipe. A run on another machine, or with its images elsewhere, counts as the same.

    Returns:
        The path of the run folder, which may not exist yet.

    Raises:
        ConfigError: The recipe of a run there is damaged, or a later version wrote it.
    """
    for number in itertools.count(1):
        path = folder / (name if number == 1 else f"{name}-{number}")
        if not (path / "recipe.json").exists() or _is_same_training(Run(path).recipe, recipe):
            return path
    raise AssertionError


def _is_same_training(existing: Recipe, recipe: Recipe) -> bool:
    """Whether two recipes train the same network in the same way, wherever their images and cores are."""
    return _without_machine(existing, recipe.arch) == _without_machine(recipe, recipe.arch)


def _without_machine(recipe: Recipe, arch: Arch) -> Recipe:
    """`recipe` without what a run fits to its images and machine; with the classes and inputs of `arch`."""
    bare_arch = replace(recipe.arch, classes=arch.classes, preprocess=arch.preprocess)
    source = recipe.data.source
    data = Data(parse_source(source).name or source, recipe.data.val_fraction, subtract=recipe.data.subtract)
    length = replace(recipe.budget, save_seconds=0.0)
    return replace(recipe, arch=bare_arch, data=data, budget=length, plan=Plan())
