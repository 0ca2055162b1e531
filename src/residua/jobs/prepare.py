"""From a TrainRequest to a run that can begin: open the data, then resolve the recipe, each once."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from residua import recipes, tasks
from residua.data.dataset import Dataset
from residua.data.images import ImageDataset
from residua.data.listing import SourceListing
from residua.data.mean_image import compute_mean_image
from residua.data.sources.table import parse_source
from residua.errors import ConfigError
from residua.jobs.models import Changes, apply_changes
from residua.nn.network import Network
from residua.spec import change
from residua.spec.describe import cost
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import OLD_NAMES, Data, Recipe, override_recipe, read_recipe, setting_path
from residua.spec.record import override
from residua.tasks.data_task import MAX_WORKERS, Unreadable
from residua.tasks.run_data import open_readable
from residua.training import memory, plan
from residua.training.learn_task import AnyLearnTask, Preview
from residua.training.optim import FUSED
from residua.training.plan import PlanChoice
from residua.training.processes.world import available_cores
from residua.training.schedule import run_length


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Arguments of a training run before defaults are resolved; None and empty mean the default."""

    source: str
    """The DATA argument: a folder, a label file, shards or a name such as `digits` or `voc:DIR`."""
    model: str | None = None
    """Name of a network."""
    recipe: str | Recipe | None = None
    """Name of a recipe, a JSON file, or the recipe itself."""
    weights: str = ""
    """A file or a run whose weights training starts from."""
    epochs: int | None = None
    """Passes over the training examples."""
    changes: tuple[tuple[str, str], ...] = ()
    """Paths of recipe fields, and their new values as text."""
    listing: SourceListing | None = None
    """Images that came from Python; `source` is then their name alone."""
    clip: Changes = field(default_factory=Changes)
    """How a video is read: `frames`, `frame_stride` and `segments` of `create_model`."""


@dataclass(frozen=True, eq=False, slots=True)
class OpenedData:
    """A source after it was opened: stage one of two."""

    task: AnyLearnTask
    """The task of the data."""
    source: str
    """The source, absolute."""
    dataset: Any
    """Its training and validation examples."""
    unreadable: Unreadable
    """Examples that were left out, and why."""


@dataclass(frozen=True, eq=False, slots=True)
class PreparedRun:
    """Everything that is decided before the first step."""

    recipe: Recipe
    """The recipe, resolved."""
    task: AnyLearnTask
    """The task of the data."""
    dataset: Any
    """The examples."""
    network: Network
    """The network with its first weights."""
    notes: tuple[str, ...]
    """What was chosen and why, one line each."""
    unreadable: Unreadable = field(default_factory=dict)
    """Examples that were left out, and why."""


@dataclass(frozen=True, slots=True)
class _DataSettings:
    """The part of a recipe that says how data are opened, under its path in the recipe."""

    data: Data


def prepare(request: TrainRequest) -> PreparedRun:
    """Open the data, resolve the recipe, build the network and measure the plan.

    Args:
        request: What the user asked for.

    Returns:
        Everything a run needs before its first step.

    Raises:
        ConfigError: A name, a path or a setting cannot be used.
        DataError: Data cannot be used.
        CheckpointError: The weights to start from cannot be used.
    """
    recipe, opened = resolve(request)
    task, dataset = opened.task, opened.dataset
    weight_notes: list[str] = []
    network = task.initial_network(recipe, dataset.train.classes, listen=weight_notes.append)
    steps = run_length(recipe, len(dataset.train))[1]
    yardstick = task.timing_network(recipe, network)
    batch_size, portions = min(recipe.budget.batch_size, len(dataset.train)), recipe.budget.accumulate
    chosen = plan.choose_plan(yardstick, recipe.plan, batch=batch_size, steps=steps, portions=portions)
    num_workers = recipe.data.num_workers
    if num_workers < 0:
        num_workers = task.default_workers(recipe, dataset)
    recipe = replace(recipe, plan=chosen.plan, data=replace(recipe.data, num_workers=num_workers))
    notes = [*_notes(recipe, task, dataset, chosen), *(f"weights {line}" for line in weight_notes)]
    resident_bytes = task.resident_bytes(dataset, recipe, recipe.plan)
    if fitted := memory.limit_run_memory(network, recipe, resident_bytes=resident_bytes):
        notes.append(f"{'memory':7} {fitted}")
    for path, _ in request.changes:
        if path in OLD_NAMES:
            notes.append(f"setting {path} is now called {OLD_NAMES[path]}")
    return PreparedRun(recipe, task, dataset, network, tuple(notes), opened.unreadable)


def open_data(request: TrainRequest) -> OpenedData:
    """Stage one: the examples of `request.source`, opened with its settings under `data`.

    Raises:
        ConfigError: A setting cannot be used.
        DataError: The data cannot be used.
    """
    source = request.source if request.listing else str(parse_source(request.source).absolute())
    task = tasks.learn_task_of(source)
    written = _written_recipe(request.recipe)
    settings = _DataSettings(written.data if written else Data(source))
    for name, text in request.changes:
        path = setting_path(name)  # an error here comes before the data are opened, which may take minutes
        if path.startswith("data."):
            settings = override(settings, path, text)
    dataset, unreadable = open_readable(
        tasks.data_task_of(source),
        replace(settings.data, source=source),
        request.listing,
        workers=min(MAX_WORKERS, available_cores()),
    )
    return OpenedData(task, source, dataset, unreadable)


def resolve_recipe(request: TrainRequest, opened: OpenedData) -> Recipe:
    """Stage two: defaults that suit the opened data first, then the settings of `request`.

    Raises:
        ConfigError: A name or a setting cannot be used, or contradicts the data.
    """
    task, dataset, source = opened.task, opened.dataset, opened.source
    written = _written_recipe(request.recipe)
    default_model, default_recipe = task.defaults(dataset)
    if written and request.model is None:
        arch, detector = written.arch, written.detector
    else:
        arch, detector = task.find_network(request.model or default_model)
    arch = task.adapt(apply_changes(arch, **request.clip), dataset)
    name = request.recipe if isinstance(request.recipe, str) else default_recipe
    recipe = written or recipes.recipe(name, arch, source)
    recipe = replace(recipe, arch=arch, detector=detector, data=replace(recipe.data, source=source))
    recipe = task.complete_recipe(_with_settings(recipe, request))
    if recipe.arch.classes != arch.classes:
        raise ConfigError(f"arch.classes is {recipe.arch.classes}, the data has {arch.classes}: leave it")
    if recipe.data.source != source:
        raise ConfigError(f"data.source is {recipe.data.source!r}: leave it, and give that as DATA")
    return _with_mean_image(recipe, dataset)


def resolve(request: TrainRequest) -> tuple[Recipe, OpenedData]:
    """The resolved recipe of `request` and its opened data: both stages, nothing measured or built.

    Raises:
        ConfigError: A name or a setting cannot be used.
        DataError: The data cannot be used.
    """
    opened = open_data(request)
    return resolve_recipe(request, opened), opened


def preview(request: TrainRequest, count: int) -> Preview:
    """What training and testing show the network, before anything is trained.

    Args:
        request: What `train` would receive.
        count: Examples to show, spread over the classes.

    Raises:
        ConfigError: A name or a setting cannot be used.
        DataError: The data cannot be used.
    """
    recipe, opened = resolve(request)
    return opened.task.preview(recipe, opened.dataset, count=count, source=request.source)


def _written_recipe(recipe: str | Recipe | None) -> Recipe | None:
    """The recipe that the user wrote, as a value or as a file; None for a name or nothing."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe is None or recipe in recipes.RECIPES or not Path(recipe).is_file():
        return None
    return read_recipe(Path(recipe).read_text())


def _with_settings(recipe: Recipe, request: TrainRequest) -> Recipe:
    if request.weights:
        recipe = replace(recipe, weights=str(Path(request.weights).absolute()))
    if request.epochs is not None:
        recipe = replace(recipe, budget=replace(recipe.budget, epochs=request.epochs, steps=0))
    return _overridden(recipe, dict(request.changes))


def _overridden(recipe: Recipe, changes: dict[str, str]) -> Recipe:
    """`recipe` with `changes` in any order that is valid: a refused one is tried again after the others.

    Raises:
        ConfigError: The first change that stays refused.
    """
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


def _with_mean_image(recipe: Recipe, dataset: Any) -> Recipe:
    """`recipe` whose network subtracts the mean image of `dataset`, where `data.subtract` is `pixel`."""
    preprocess, image = recipe.arch.preprocess, ""
    if recipe.data.subtract == "pixel":
        if not isinstance(dataset, ImageDataset):
            raise ConfigError("data.subtract is pixel, which needs images with one class each: give channel")
        image = compute_mean_image(dataset.train, preprocess)
    return replace(recipe, arch=change.with_preprocess(recipe.arch, replace(preprocess, mean_image=image)))


def _mean_image_note(preprocess: Preprocess) -> str:
    side = preprocess.mean_side
    return f", less the training images' mean of {side} x {side}" if side else ""


def _optimizer_note(recipe: Recipe) -> str:
    """Whether the update is one fused kernel, and why."""
    kind, fused = recipe.optim.kind, recipe.plan.fused
    if kind not in FUSED:
        return f"{kind}, tensor by tensor: it has no fused kernel"
    return f"{kind}, {'tensor by tensor, as asked' if fused == 'off' else 'fused: one pass over memory'}"


def _network_name(recipe: Recipe) -> str:
    return f"{recipe.detector.name} on {recipe.arch.name}" if recipe.detector else recipe.arch.name


def _notes(recipe: Recipe, task: AnyLearnTask, dataset: Dataset, chosen: PlanChoice) -> list[str]:
    """The lines that `residua train` prints before the first step."""
    arch, optim = recipe.arch, recipe.optim
    costs, size, colour = cost(arch), arch.preprocess.size, arch.preprocess.colour
    steps_per_epoch, steps = run_length(recipe, len(dataset.train))
    millions = f"{costs.params / 1e6:.2f} M parameters, {costs.macs / 1e6:.1f} M multiply-adds"
    lr = f"{optim.kind.upper()} with learning rate {optim.lr:g}, {recipe.schedule.shape}"
    facts = [
        ("data", dataset.note),
        ("model", f"{_network_name(recipe)}: {millions}"),
        ("input", f"{size} x {size} {colour}, {arch.classes} classes{_mean_image_note(arch.preprocess)}"),
        ("recipe", f"{recipe.name}: {lr}, batch size {recipe.budget.batch_size}"),
        ("length", f"{steps:,} steps, {steps_per_epoch:,} per epoch; seed {recipe.seed}"),
        ("plan", f"{recipe.plan.precision}, {recipe.plan.memory_format}; {chosen.reason}"),
        ("compile", chosen.compile_reason),
        ("update", _optimizer_note(recipe)),
        (f"{tasks.data_task_of(recipe.data.source).media_type.noun}s", task.describe_input(recipe, dataset)),
    ]
    if hint := task.hint(arch):
        facts.append(("hint", hint))
    return [f"{name:7} {text}" for name, text in facts]
