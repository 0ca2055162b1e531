"""From what somebody wishes to all that a training run needs: images, network, recipe and plan."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua import papers
from residua.data.found import Found
from residua.data.sources import Dataset, absolute
from residua.jobs.opened import MOST_WORKERS, Unreadable, open_readable
from residua.nn.network import Network
from residua.spec import change, zoo
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe
from residua.spec.record import from_json, override
from residua.training import memory, plan, world
from residua.training.first import initial
from residua.training.fit import length
from residua.training.optim import FUSED
from residua.training.plan import Chosen

SMALL = 64
"""Pictures up to this many pixels get the networks and the recipe that were made for CIFAR."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for; None and empty leave the choice to us."""

    source: str
    """A folder, a label file, shards, `digits`, `cifar10[:DIR]` or `cifar100[:DIR]`."""
    model: str | None = None
    """Name of a network."""
    recipe: str | Recipe | None = None
    """Name of a recipe, a JSON file, or the recipe itself."""
    weights: str = ""
    """A file or a run to start from."""
    epochs: int | None = None
    """Passes over the training images."""
    changes: tuple[tuple[str, str], ...] = ()
    """Paths inside the recipe, and new values as text."""
    given: Found | None = None
    """Images from Python, of which `source` is the name alone."""


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """All that is decided before the first step."""

    recipe: Recipe
    """The recipe, resolved."""
    dataset: Dataset
    """The images."""
    network: Network
    """The network with its first weights."""
    notes: tuple[str, ...]
    """What was chosen and why, one line each."""
    unreadable: Unreadable = field(default_factory=dict)
    """Images that were left out, and why."""


def prepare(wish: Wish) -> Prepared:
    """Decide everything that `wish` leaves open.

    ValueError for a wrong name or path, DataError for bad images.
    """
    recipe, dataset, bad = decide(wish)
    read: list[str] = []
    network = initial(recipe, dataset.train.classes, listen=read.append)
    steps = length(recipe, len(dataset.train))[1]
    chosen = plan.choose(network, recipe.plan, batch=recipe.budget.batch, steps=steps)
    workers = _workers(recipe, dataset) if recipe.data.workers < 0 else recipe.data.workers
    recipe = replace(recipe, plan=chosen.plan, data=replace(recipe.data, workers=workers))
    notes = (*_notes(recipe, dataset, chosen), *(f"weights {line}" for line in read))
    if fitted := memory.fit_run(network, recipe, dataset):
        notes = (*notes, f"{'memory':7} {fitted}")
    return Prepared(recipe, dataset, network, notes, bad)


def decide(wish: Wish) -> tuple[Recipe, Dataset, Unreadable]:
    """The recipe and the images that `wish` means, before anything is measured, and what cannot be read.

    ValueError and DataError as from `prepare`.
    """
    source = wish.source if wish.given else absolute(wish.source)
    filed = _filed(wish.recipe)
    named = wish.recipe if isinstance(wish.recipe, str) else None
    first = zoo.arch(wish.model or "cifar_resnet20")
    early = _changed(filed or papers.recipe(named or "quick.small", first, source), wish)
    dataset, bad = open_readable(replace(early.data, source=source), wish.given)
    small = dataset.size <= SMALL
    arch = filed.arch if filed and wish.model is None else zoo.arch(wish.model or _network(small))
    arch = for_images(arch, dataset)
    made = filed or papers.recipe(named or _recipe(source, small), arch, source)
    made = replace(made, arch=arch, data=replace(made.data, source=source))
    recipe = _changed(made, wish)
    if recipe.arch.classes != arch.classes:
        raise ValueError(f"arch.classes is {recipe.arch.classes}, the data has {arch.classes}: leave it")
    return recipe, dataset, bad


def _workers(recipe: Recipe, dataset: Dataset) -> int:
    """Processes that decode: one per core where views are made one by one, none for what is in memory."""
    policy = recipe.augment.policy != "none"
    reads = recipe.augment.whole_images and (dataset.train.files is not None or policy)
    return min(MOST_WORKERS, world.cores()) if reads else 0


def _filed(recipe: str | Recipe | None) -> Recipe | None:
    if isinstance(recipe, Recipe):
        return recipe
    if recipe is None or recipe in papers.RECIPES or not Path(recipe).is_file():
        return None
    return from_json(Recipe, Path(recipe).read_text())


def _network(small: bool) -> str:
    return "cifar_resnet20" if small else "resnet18"


def _recipe(source: str, small: bool) -> str:
    return "quick.digits" if source == "digits" else "quick.small" if small else "quick.photos"


def _changed(recipe: Recipe, wish: Wish) -> Recipe:
    if wish.weights:
        recipe = replace(recipe, weights=str(Path(wish.weights).absolute()))
    if wish.epochs is not None:
        recipe = replace(recipe, budget=replace(recipe.budget, epochs=wish.epochs, steps=0))
    for path, text in wish.changes:
        recipe = override(recipe, path, text)
    return recipe


def for_images(arch: Arch, dataset: Dataset) -> Arch:
    """`arch` for the classes, channels and size of `dataset`; arrays bring their own statistics."""
    arch = change.with_channels(arch, 1 if dataset.grey else 3)
    arch = change.with_classes(arch, len(dataset.train.classes))
    old, pixels = arch.preprocess, dataset.train.pixels
    if pixels is not None:
        mean, std = _statistics(pixels)
        side = dataset.size
        return change.with_preprocess(arch, Preprocess(side, side, mean, std, old.colour, old.interpolation))
    if dataset.size < old.size and dataset.size <= SMALL:
        return change.with_preprocess(arch, replace(old, size=dataset.size, resize=dataset.size))
    return arch


def _statistics(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, from 0 to 1, to four places, from a histogram of the values."""
    counts = [np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(pixels.shape[-1])]
    values = np.arange(256) / 255
    means = [float(values @ count / count.sum()) for count in counts]
    squares = [float(values**2 @ count / count.sum()) for count in counts]
    deviations = [max(square - mean**2, 1e-6) ** 0.5 for mean, square in zip(means, squares, strict=True)]
    return tuple(round(m, 4) for m in means), tuple(round(d, 4) for d in deviations)


def _input(recipe: Recipe, dataset: Dataset) -> str:
    """How images get to the network, and why."""
    images, preprocess, most = dataset.train, recipe.arch.preprocess, recipe.data.resident_bytes
    bytes_ = len(images) * preprocess.size**2 * preprocess.channels
    if recipe.augment.whole_images:
        why = f"every view is made anew ({recipe.augment.kind}, policy {recipe.augment.policy})"
        return f"{recipe.data.workers} workers: {why}"
    if bytes_ <= most:
        return f"in memory, {bytes_ / 2**20:,.0f} MiB: it fits data.resident_bytes"
    return f"{recipe.data.workers} workers: {bytes_ / 2**30:.1f} GiB do not fit data.resident_bytes"


def _optimiser(recipe: Recipe) -> str:
    """Whether the update is one kernel, and why."""
    kind, asked = recipe.optim.kind, recipe.plan.fused
    if kind not in FUSED:
        return f"{kind}, tensor by tensor: it has no fused kernel"
    return f"{kind}, {'tensor by tensor, as asked' if asked == 'off' else 'fused: one pass over memory'}"


def _notes(recipe: Recipe, dataset: Dataset, chosen: Chosen) -> tuple[str, ...]:
    arch, optim = recipe.arch, recipe.optim
    found, size = cost(arch), arch.preprocess.size
    each, total = length(recipe, len(dataset.train))
    facts: list[tuple[str, Any]] = [
        ("data", dataset.note),
        (
            "model",
            f"{arch.name}: {found.params / 1e6:.2f} M parameters, {found.macs / 1e6:.1f} M multiply-adds",
        ),
        ("input", f"{size} x {size} {arch.preprocess.colour}, {arch.classes} classes"),
        (
            "recipe",
            f"{recipe.name}: {optim.kind.upper()} {optim.rate:g}, {recipe.schedule.shape}, "
            f"batch {recipe.budget.batch}",
        ),
        ("length", f"{total:,} steps, {each:,} in an epoch; seed {recipe.seed}"),
        ("plan", f"{recipe.plan.precision}, {recipe.plan.memory_format}; {chosen.reason}"),
        ("compile", chosen.translation),
        ("update", _optimiser(recipe)),
        ("images", _input(recipe, dataset)),
    ]
    if arch.strides()[-1] > size or (size <= SMALL and arch.family in ("resnet", "plain")):
        small = f"{arch.name} was drawn for 224 px and shrinks {size} px {arch.strides()[-1]} times"
        facts.append(("hint", f"{small}: networks for small pictures do better, e.g. -m cifar_resnet20"))
    return tuple(f"{name:7} {text}" for name, text in facts)
