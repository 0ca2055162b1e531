"""From a TrainRequest to a run that can begin: open the data, then resolve the recipe, each once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from residua import recipes, tasks
from residua.data.dataset import Dataset
from residua.data.images import ImageDataset
from residua.data.listing import SourceListing
from residua.data.mean_image import compute_mean_image
from residua.data.sources.table import parse_source
from residua.errors import ConfigError
from residua.events import Activity, Event, PlanLine
from residua.jobs.first_weights import weights_in_file
from residua.jobs.length import check_minutes, choose_length
from residua.nn.network import Network
from residua.recipes import few_images
from residua.spec import change
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.describe import cost
from residua.spec.detector import Detector
from residua.spec.named_network import apply_changes, is_file, spell, split_text
from residua.spec.preprocess import Preprocess, resize_in_proportion
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

RESIZE = "arch.preprocess.resize"
"""The setting that gives the shorter side of a picture before its centre is cut out."""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Arguments of a training run before defaults are resolved; None and empty mean the default."""

    source: str
    """The DATA argument: a folder, a label file, shards or a name such as `digits` or `voc:DIR`."""
    model: str | Arch | Network | None = None
    """A network by name, with changes where wanted, or as a value; the weights of a Network are the first."""
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
    model_changes: Changes = field(default_factory=Changes)
    """Changes of the network, e.g. `frames`; they win over those in the name."""
    image_size: int | None = None
    """Side of the images that the network reads, in pixels; the size before the crop is in proportion."""
    minutes: float | None = None
    """Minutes that training with its validation may take."""

    @property
    def settings(self) -> frozenset[str]:
        """Paths of the recipe that the user decides.

        Raises:
            ConfigError: There is no such path.
        """
        paths = {setting_path(name) for name, _ in self.changes}
        origin, changes = split_text(self.model) if isinstance(self.model, str) else ("", Changes())
        is_written = isinstance(self.model, Arch | Network) or is_file(origin)
        has_size = is_written or "img_size" in {*changes, *self.model_changes}
        decided = {
            "budget.epochs": self.epochs is not None,
            few_images.SIZE: has_size or self.image_size is not None,
            "weights": bool(self.weights),
        }
        return frozenset(paths | {path for path, is_decided in decided.items() if is_decided})


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
    stores_weights: bool = False
    """Whether the first weights came from Python, so that the run must store them."""
    is_timed: bool = False
    """Whether the length of the run depends on what was timed, so that the next time may give another."""


@dataclass(frozen=True, slots=True)
class _DataSettings:
    """The part of a recipe that says how data are opened, under its path in the recipe."""

    data: Data


def prepare(
    request: TrainRequest, *, processes: int = 1, listen: Callable[[Event], None] = lambda _: None
) -> PreparedRun:
    """Open the data, resolve the recipe, build the network and measure the plan.

    Args:
        request: What the user asked for.
        processes: Processes that will train together.
        listen: Receives each line of what was chosen as soon as it is known, and an Activity before what
            takes seconds.

    Returns:
        Everything a run needs before its first step.

    Raises:
        ConfigError: A name, a path or a setting cannot be used.
        DataError: Data cannot be used.
        CheckpointError: The weights to start from cannot be used.
    """
    lines: list[str] = []

    def tell(name: str, text: str) -> None:
        lines.append(f"{name:7} {text}")
        listen(PlanLine(lines[-1]))

    def announce(text: str) -> None:
        listen(Activity(text))

    announce(f"reading {request.source}")
    with weights_in_file(request.model) as file:
        weighted = _with_weights(request, file)
        opened = open_data(weighted)
        task, dataset = opened.task, opened.dataset
        tell("data", dataset.note)
        recipe = resolve_recipe(weighted, opened)
        for name, text in _network_facts(recipe):
            tell(name, text)
        network = task.initial_network(recipe, dataset.train.classes, listen=partial(tell, "weights"))
    steps = run_length(recipe, len(dataset.train))[1]
    yardstick = task.timing_network(recipe, network)
    batch_size, portions = min(recipe.budget.batch_size, len(dataset.train)), recipe.budget.accumulate
    chosen = plan.choose_plan(
        yardstick, recipe.plan, batch=batch_size, steps=steps, portions=portions, announce=announce
    )
    num_workers = recipe.data.num_workers
    if num_workers < 0:
        num_workers = task.default_workers(recipe, dataset)
    recipe = replace(recipe, plan=chosen.plan, data=replace(recipe.data, num_workers=num_workers))
    resident_bytes = task.resident_bytes(dataset, recipe, recipe.plan)
    fitted = memory.limit_run_memory(network, recipe, resident_bytes=resident_bytes)
    is_own = request.recipe is None and not request.settings & few_images.LENGTH
    timed = choose_length(
        recipe,
        task,
        dataset,
        network,
        minutes=request.minutes,
        is_own=is_own and few_images.is_small(recipe, len(dataset.train)),
        rate=chosen.rate,
        processes=processes,
        announce=announce,
    )
    recipe = timed.recipe
    old_names = [path for path, _ in request.changes if path in OLD_NAMES]
    for name, text in (
        *_plan_facts(recipe, task, dataset, chosen, timed.note),
        ("few", _few_note(request, recipe, opened)),
        ("memory", str(fitted or "")),
        *(("setting", f"{path} is now called {OLD_NAMES[path]}") for path in old_names),
    ):
        if text:
            tell(name, text)
    return PreparedRun(
        recipe, task, dataset, network, tuple(lines), opened.unreadable, bool(file), timed.is_measured
    )


def open_data(request: TrainRequest) -> OpenedData:
    """Stage one: the examples of `request.source`, opened with its settings under `data`.

    Raises:
        ConfigError: A setting cannot be used.
        DataError: The data cannot be used.
    """
    check_minutes(request.minutes, request.settings)
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
    recipe, changes = _standard_recipe(request, opened)
    arch, settings = recipe.arch, request.settings
    if request.recipe is None:
        device = dict(request.changes).get("plan.device", recipe.plan.device)
        placed = replace(recipe, plan=replace(recipe.plan, device=device))
        recipe = replace(task.suit(placed, dataset, settings=settings), plan=recipe.plan)
    recipe = task.complete_recipe(_with_settings(recipe, request))
    if request.recipe is None:
        recipe = few_images.with_length(recipe, len(dataset.train), settings=settings)
    if recipe.arch.classes != arch.classes:
        raise ConfigError(f"arch.classes is {recipe.arch.classes}, the data has {arch.classes}: leave it")
    if recipe.data.source != source:
        raise ConfigError(f"data.source is {recipe.data.source!r}: leave it, and give that as DATA")
    _check_changes(changes, recipe.arch)
    return _with_mean_image(recipe, dataset)


def _standard_recipe(request: TrainRequest, opened: OpenedData) -> tuple[Recipe, Changes]:
    """The recipe before the settings of `request`, and the changes of the network that were asked for."""
    task, dataset = opened.task, opened.dataset
    written = _written_recipe(request.recipe)
    default_model, default_recipe = task.defaults(dataset)
    arch, detector, changes = _chosen_network(request, written, task, default_model)
    arch = task.adapt(arch, dataset)
    if request.image_size is not None:
        arch = task.resize(arch, dataset, request.image_size)
    name = request.recipe if isinstance(request.recipe, str) else default_recipe
    recipe = written or recipes.recipe(name, arch, opened.source)
    data = replace(recipe.data, source=opened.source)
    return replace(recipe, arch=arch, detector=detector, data=data), changes


def _chosen_network(
    request: TrainRequest, written: Recipe | None, task: AnyLearnTask, default_model: str
) -> tuple[Arch, Detector | None, Changes]:
    """The network that `request` asks for, the detector behind it, and the changes that were asked for."""
    model, changes = request.model, request.model_changes
    if model is None and written:
        return apply_changes(written.arch, **changes), written.detector, changes
    if isinstance(model, Network):
        model = model.arch
    if isinstance(model, Arch):
        return apply_changes(model, **changes), None, changes
    if not isinstance(model, str | None):
        raise ConfigError(f"model is of type {type(model).__name__}: give a name, an Arch or a Network")
    text = spell(model or default_model, changes)
    return *task.find_network(text), split_text(text)[1]


def _check_changes(changes: Changes, arch: Arch) -> None:
    """ConfigError for a change that cannot take effect, because the data or the detector decide."""
    fitted = {"in_chans": arch.channels, "img_size": arch.preprocess.size, "num_classes": arch.classes}
    if clip := arch.clip:
        fitted |= {"frames": clip.frames, "segments": clip.segments, "frame_stride": clip.stride}
    for option, value in fitted.items():
        if (request := changes.get(option)) not in (None, value):
            raise ConfigError(f"{option} is {request}, but this run needs {value}: leave {option} out")


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


def _with_weights(request: TrainRequest, file: str) -> TrainRequest:
    """`request` that starts from the weights in `file`, which are those of its network; "" is none."""
    if file and request.weights:
        raise ConfigError(f"weights is {request.weights}, but the network has its own: leave weights out")
    return replace(request, weights=file) if file else request


def _with_settings(recipe: Recipe, request: TrainRequest) -> Recipe:
    if request.weights:
        recipe = replace(recipe, weights=str(Path(request.weights).absolute()))
    if request.epochs is not None:
        recipe = replace(recipe, budget=replace(recipe.budget, epochs=request.epochs, steps=0))
    changes = dict(request.changes)
    size = changes.get(few_images.SIZE, "")
    if size and request.image_size is not None:
        raise ConfigError(f"--image-size {request.image_size} and {few_images.SIZE}={size}: give one")
    if size.isdecimal() and RESIZE not in changes:  # else the crop would be a small part of the picture
        changes[RESIZE] = str(resize_in_proportion(recipe.arch.preprocess, int(size)))
    return _overridden(recipe, changes)


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


def _few_note(request: TrainRequest, recipe: Recipe, opened: OpenedData) -> str:
    """What was chosen because the images are few; empty for nothing."""
    if request.recipe is not None:
        return ""
    settings = request.settings | ({"budget.epochs"} if request.minutes else set())
    standard, _ = _standard_recipe(request, opened)
    return few_images.describe(recipe, standard, len(opened.dataset.train), settings=settings)


def _network_facts(recipe: Recipe) -> list[tuple[str, str]]:
    """What is known before anything is measured: the names and texts of lines."""
    arch, optim = recipe.arch, recipe.optim
    costs, size, colour = cost(arch), arch.preprocess.size, arch.preprocess.colour
    millions = f"{costs.params / 1e6:.2f} M parameters, {costs.macs / 1e6:.1f} M multiply-adds"
    lr = f"{optim.kind.upper()} with learning rate {optim.lr:g}, {recipe.schedule.shape}"
    return [
        ("model", f"{_network_name(recipe)}: {millions}"),
        ("input", f"{size} x {size} {colour}, {arch.classes} classes{_mean_image_note(arch.preprocess)}"),
        ("recipe", f"{recipe.name}: {lr}, batch size {recipe.budget.batch_size}"),
    ]


def _plan_facts(
    recipe: Recipe, task: AnyLearnTask, dataset: Dataset, chosen: PlanChoice, duration: str
) -> list[tuple[str, str]]:
    """What is known once the plan is measured: the names and texts of lines."""
    steps_per_epoch, steps = run_length(recipe, len(dataset.train))
    length = "; ".join(filter(None, (f"{steps:,} steps, {steps_per_epoch:,} per epoch", duration)))
    return [
        ("length", f"{length}; seed {recipe.seed}"),
        ("plan", f"{recipe.plan.precision}, {recipe.plan.memory_format}; {chosen.reason}"),
        ("compile", chosen.compile_reason),
        ("update", _optimizer_note(recipe)),
        (f"{tasks.data_task_of(recipe.data.source).media_type.noun}s", task.describe_input(recipe, dataset)),
        ("hint", task.hint(recipe, dataset)),
    ]
