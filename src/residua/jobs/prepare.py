"""From what somebody wishes to all that a training run needs: images, network, recipe and plan."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from residua import recipes, tasks
from residua.data.images import ImageDataset
from residua.data.listing import SourceListing
from residua.data.mean_image import mean_image
from residua.data.sources.table import absolute
from residua.jobs.models import Changes, changed
from residua.nn.network import Network
from residua.spec import change
from residua.spec.describe import cost
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Recipe, override_recipe, read_recipe
from residua.tasks.kind import Kind, Unreadable
from residua.tasks.run_data import open_readable
from residua.training import memory, plan
from residua.training.optim import FUSED
from residua.training.plan import Chosen
from residua.training.schedule import length
from residua.training.task import Dataset


@dataclass(frozen=True, slots=True)
class TrainRequest:
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
    given: SourceListing | None = None
    """Images from Python, of which `source` is the name alone."""
    clip: Changes = field(default_factory=Changes)
    """Frames of a video, and how far apart: `frames`, `frame_stride`, `segments` of `create_model`."""


@dataclass(frozen=True, eq=False, slots=True)
class PreparedRun:
    """All that is decided before the first step."""

    recipe: Recipe
    """The recipe, resolved."""
    kind: Kind
    """What is learned from."""
    sets: Any
    """The examples."""
    network: Network
    """The network with its first weights."""
    notes: tuple[str, ...]
    """What was chosen and why, one line each."""
    unreadable: Unreadable = field(default_factory=dict)
    """Examples that were left out, and why."""


def prepare(wish: TrainRequest) -> PreparedRun:
    """Decide everything that `wish` leaves open.

    ValueError for a wrong name or path, DataError for bad images.
    """
    kind = tasks.of(wish.source)
    recipe, sets, bad = decide(wish)
    read: list[str] = []
    network = kind.initial(recipe, sets.train.classes, listen=read.append)
    steps = length(recipe, len(sets.train))[1]
    yardstick = kind.yardstick(recipe, network)
    batch, portions = min(recipe.budget.batch_size, len(sets.train)), recipe.budget.accumulate
    chosen = plan.choose(yardstick, recipe.plan, batch=batch, steps=steps, portions=portions)
    workers = kind.workers(recipe, sets) if recipe.data.num_workers < 0 else recipe.data.num_workers
    recipe = replace(recipe, plan=chosen.plan, data=replace(recipe.data, num_workers=workers))
    notes = (
        *_notes(recipe, kind, sets, chosen),
        *(f"weights {line}" for line in read),
    )
    if fitted := memory.fit_run(network, recipe, held=kind.held(sets, recipe, recipe.plan)):
        notes = (*notes, f"{'memory':7} {fitted}")
    return PreparedRun(recipe, kind, sets, network, notes, bad)


def decide(wish: TrainRequest) -> tuple[Recipe, Any, Unreadable]:
    """The recipe and the examples that `wish` means, before anything is measured, and what cannot be read.

    ValueError and DataError as from `prepare`.
    """
    source = wish.source if wish.given else absolute(wish.source)
    filed = _filed(wish.recipe)
    named = wish.recipe if isinstance(wish.recipe, str) else None
    kind = tasks.of(source)
    model, recipe_name = kind.proposal(None)
    arch, detector = kind.drawn(wish.model or model)
    early = filed or replace(recipes.recipe(named or recipe_name, arch, source), detector=detector)
    sets, bad = open_readable(kind, replace(_changed(early, wish).data, source=source), wish.given)
    model, recipe_name = kind.proposal(sets)
    if filed and wish.model is None:
        arch, detector = filed.arch, filed.detector
    elif wish.model is None:
        arch, detector = kind.drawn(model)
    arch = changed(arch, **wish.clip)
    arch = kind.suited(arch, sets)
    made = filed or recipes.recipe(named or recipe_name, arch, source)
    made = replace(made, arch=arch, detector=detector, data=replace(made.data, source=source))
    recipe = kind.settled(_changed(made, wish))
    if recipe.arch.classes != arch.classes:
        raise ValueError(f"arch.classes is {recipe.arch.classes}, the data has {arch.classes}: leave it")
    if recipe.data.source != source:
        raise ValueError(f"data.source is {recipe.data.source!r}: leave it, and give that as DATA")
    return _centred(recipe, sets), sets, bad


def _filed(recipe: str | Recipe | None) -> Recipe | None:
    if isinstance(recipe, Recipe):
        return recipe
    if recipe is None or recipe in recipes.RECIPES or not Path(recipe).is_file():
        return None
    return read_recipe(Path(recipe).read_text())


def _changed(recipe: Recipe, wish: TrainRequest) -> Recipe:
    if wish.weights:
        recipe = replace(recipe, weights=str(Path(wish.weights).absolute()))
    if wish.epochs is not None:
        recipe = replace(recipe, budget=replace(recipe.budget, epochs=wish.epochs, steps=0))
    return _overridden(recipe, dict(wish.changes))


def _overridden(recipe: Recipe, changes: dict[str, str]) -> Recipe:
    """`recipe` with `changes`: one refused waits for the others. ValueError where that does not help."""
    refused: dict[str, ValueError] = {}
    for path, text in changes.items():
        try:
            recipe = override_recipe(recipe, path, text)
        except ValueError as error:
            refused[path] = error
    if not refused:
        return recipe
    if len(refused) == len(changes):
        raise next(iter(refused.values()))
    return _overridden(recipe, {path: changes[path] for path in refused})


def _centred(recipe: Recipe, sets: Any) -> Recipe:
    """`recipe` whose network carries the mean of every pixel of `sets`, if it wants that, and no other."""
    seen, image = recipe.arch.preprocess, ""
    if recipe.data.subtract == "pixel":
        if not isinstance(sets, ImageDataset):
            raise ValueError("data.subtract is pixel, which is for the classes of pictures: give channel")
        image = mean_image(sets.train, seen)
    return replace(recipe, arch=change.with_preprocess(recipe.arch, replace(seen, mean_image=image)))


def _subtracted(preprocess: Preprocess) -> str:
    side = preprocess.mean_side
    return f", less the training images' mean of {side} x {side}" if side else ""


def _optimiser(recipe: Recipe) -> str:
    """Whether the update is one kernel, and why."""
    kind, asked = recipe.optim.kind, recipe.plan.fused
    if kind not in FUSED:
        return f"{kind}, tensor by tensor: it has no fused kernel"
    return f"{kind}, {'tensor by tensor, as asked' if asked == 'off' else 'fused: one pass over memory'}"


def _called(recipe: Recipe) -> str:
    """The network's name, and that of what is behind it."""
    return f"{recipe.detector.name} on {recipe.arch.name}:" if recipe.detector else f"{recipe.arch.name}:"


def _notes(recipe: Recipe, kind: Kind, sets: Dataset, chosen: Chosen) -> tuple[str, ...]:
    arch, optim = recipe.arch, recipe.optim
    found, size = cost(arch), arch.preprocess.size
    each, total = length(recipe, len(sets.train))
    facts: list[tuple[str, Any]] = [
        ("data", sets.note),
        (
            "model",
            f"{_called(recipe)} {found.params / 1e6:.2f} M parameters, "
            f"{found.macs / 1e6:.1f} M multiply-adds",
        ),
        (
            "input",
            f"{size} x {size} {arch.preprocess.colour}, {arch.classes} classes{_subtracted(arch.preprocess)}",
        ),
        (
            "recipe",
            f"{recipe.name}: {optim.kind.upper()} {optim.lr:g}, {recipe.schedule.shape}, "
            f"batch {recipe.budget.batch_size}",
        ),
        ("length", f"{total:,} steps, {each:,} in an epoch; seed {recipe.seed}"),
        ("plan", f"{recipe.plan.precision}, {recipe.plan.memory_format}; {chosen.reason}"),
        ("compile", chosen.translation),
        ("update", _optimiser(recipe)),
        (f"{kind.gate.noun}s", kind.reading(recipe, sets)),
    ]
    if hint := kind.hint(arch):
        facts.append(("hint", hint))
    return tuple(f"{name:7} {text}" for name, text in facts)
