"""From a TrainRequest to a run that can begin: open the data, then resolve the recipe, each once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from residua import recipes, tasks
from residua.data.inner_split import split_training
from residua.data.listing import SourceListing
from residua.data.sources.table import parse_source
from residua.errors import ConfigError
from residua.events import Activity, Event, PlanLine
from residua.jobs import pretrained, probing
from residua.jobs.default_weights import DefaultWeights, default_weights
from residua.jobs.early_checks import check_changes, check_words
from residua.jobs.first_weights import weights_in_file
from residua.jobs.length import check_minutes, choose_length
from residua.jobs.mean_image import with_mean_image
from residua.jobs.plan_lines import network_facts, plan_facts
from residua.jobs.prepared_run import OpenedData, PreparedRun
from residua.nn.network import Network
from residua.recipes import few_images
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.detector import Detector
from residua.spec.named_network import apply_changes, is_file, spell, split_text
from residua.spec.preprocess import resize_in_proportion
from residua.spec.recipe import OLD_NAMES, Data, Recipe, override_settings, read_recipe, setting_path
from residua.spec.record import override
from residua.tasks.data_task import MAX_WORKERS
from residua.tasks.run_data import open_readable
from residua.training import memory, plan
from residua.training.learn_task import Preview
from residua.training.processes.world import available_cores
from residua.training.schedule import run_length
from residua.weights.named import OpenedWeights, names_weights

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
    """The weights that training starts from: a name, a file, a folder or a run."""
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
    """Minutes that training with its validation, and the probe before it, may take."""
    from_scratch: bool = False
    """Whether no pretrained weights are taken by default."""
    folds: int | None = None
    """Folds of the cross-validation that measures the probe; 1 measures it on training images alone."""

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


@dataclass(frozen=True, slots=True)
class _DataSettings:
    """The part of a recipe that says how data are opened, under its path in the recipe."""

    data: Data


def prepare(
    request: TrainRequest,
    *,
    processes: int = 1,
    download: bool = True,
    listen: Callable[[Event], None] = lambda _: None,
) -> PreparedRun:
    """Open the data, resolve the recipe, build the network and measure the plan.

    Args:
        request: What the user asked for.
        processes: Processes that will train together.
        download: Whether weights may be downloaded, and a probe is fitted: a dry run does neither.
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
    request = _with_weights_of_model(request)
    with weights_in_file(request.model) as file:
        weighted = _with_weights(request, file)
        opened = open_data(weighted, download=download, listen=listen)
        weighted = _with_default(weighted, opened)
        task, dataset = opened.task, opened.dataset
        tell("data", dataset.note)
        if opened.default.note:
            tell("weights", opened.default.note)
        recipe = resolve_recipe(weighted, opened)
        for name, text in (
            *network_facts(recipe),
            *pretrained.describe(recipe, opened.weights, wrote_network=_wrote_network(request)),
        ):
            tell(name, text)
        network = pretrained.initial_network(
            task, recipe, dataset.train.classes, opened.weights, listen=partial(tell, "weights")
        )
    whole, dataset = dataset, split_training(dataset, recipe.data.inner_val_fraction)
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
    probed = probing.begin_with_probe(
        network,
        recipe,
        whole,
        minutes=request.minutes,
        folds=request.folds,
        title=opened.title,
        is_dry=not download,
        listen=listen,
    )
    recipe, dataset = probed.recipe, split_training(whole, probed.recipe.data.inner_val_fraction)
    for name, text in probed.lines:
        tell(name, text)
    is_own = request.recipe is None and not request.settings & few_images.LENGTH
    timed = choose_length(
        recipe,
        task,
        dataset,
        network,
        minutes=probed.minutes,
        is_own=is_own and few_images.is_small(recipe, len(dataset.train)),
        rate=chosen.rate,
        processes=processes,
        announce=announce,
    )
    recipe = timed.recipe
    old_names = [path for path, _ in request.changes if path in OLD_NAMES]
    for name, text in (
        *plan_facts(recipe, task, dataset, chosen, timed.note),
        ("few", _few_note(weighted, recipe, opened)),
        ("memory", str(fitted or "")),
        *(("setting", f"{path} is now called {OLD_NAMES[path]}") for path in old_names),
    ):
        if text:
            tell(name, text)
    return PreparedRun(
        recipe,
        task,
        whole,
        network,
        tuple(lines),
        opened.unreadable,
        bool(file or probed.record) or bool(opened.weights and opened.weights.is_published),
        timed.is_measured,
        probed.record,
    )


def open_data(
    request: TrainRequest, *, download: bool = True, listen: Callable[[Event], None] = lambda _: None
) -> OpenedData:
    """Stage one: the examples of `request.source`, opened with its settings under `data`, and the weights.

    Args:
        request: What the user asked for.
        download: Whether weights that the user names may be downloaded.
        listen: Receives the progress of a download of weights.

    Raises:
        ConfigError: A setting cannot be used, or there are no such weights.
        DataError: The data cannot be used.
        CheckpointError: The weights cannot be used.
        UnreachableError: The weights are not on this machine, and cannot be downloaded.
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
    check_words(
        task,
        model=request.model,
        changes=request.model_changes,
        recipe=request.recipe,
        written=written,
        weights=request.weights,
    )
    dataset, unreadable = open_readable(
        tasks.data_task_of(source),
        replace(settings.data, source=source),
        request.listing,
        workers=min(MAX_WORKERS, available_cores()),
    )
    if isinstance(request.model, Network):  # it brings its own weights, in a file
        return OpenedData(task, source, dataset, unreadable)
    model, network = request.model if isinstance(request.model, str) else "", task.defaults(dataset)[0]
    default = DefaultWeights()
    if task.fine_tuning and _may_take_weights(request):
        default = default_weights(request.source, model or network, download=download, listen=listen)
    weights = pretrained.open_pretrained(
        request.weights or default.name,
        written,
        model=model,
        default=network,
        download=download,
        listen=listen,
    )
    return OpenedData(task, source, dataset, unreadable, weights, default)


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
    recipe = task.complete_recipe(_with_settings(recipe, request, opened.weights))
    recipe = probing.with_balance(recipe, dataset, settings=settings)
    if request.recipe is None:
        learned = split_training(dataset, recipe.data.inner_val_fraction)
        recipe = few_images.with_length(recipe, len(learned.train), settings=settings)
    if recipe.arch.classes != arch.classes:
        raise ConfigError(f"arch.classes is {recipe.arch.classes}, the data has {arch.classes}: leave it")
    if recipe.data.source != source:
        raise ConfigError(f"data.source is {recipe.data.source!r}: leave it, and give that as DATA")
    check_changes(changes, recipe.arch)
    probing.check_probe(recipe, task)
    return with_mean_image(recipe, dataset)


def _standard_recipe(request: TrainRequest, opened: OpenedData) -> tuple[Recipe, Changes]:
    """The recipe before the settings of `request`, and the changes of the network that were asked for."""
    task, dataset = opened.task, opened.dataset
    written = _written_recipe(request.recipe)
    default_model, default_recipe = task.defaults(dataset)
    arch, detector, changes = _chosen_network(request, written, opened, default_model)
    brings_preprocess = opened.weights is not None and opened.weights.preprocess is not None
    keep = brings_preprocess or (isinstance(request.model, Network) and bool(request.model.pretrained_from))
    arch = task.adapt(arch, dataset, keep=keep)
    if request.image_size is not None:
        arch = task.resize(arch, dataset, request.image_size)
    is_pretrained = isinstance(request.model, Network) and request.model.pretrained_from is not None
    if task.fine_tuning and (opened.weights or is_pretrained):
        default_recipe = task.fine_tuning if probing.is_enough_to_train(dataset) else "probe"
    name = request.recipe if isinstance(request.recipe, str) else default_recipe
    recipe = written or recipes.recipe(name, arch, opened.source)
    data = replace(recipe.data, source=opened.source)
    return replace(recipe, arch=arch, detector=detector, data=data), changes


def _chosen_network(
    request: TrainRequest, written: Recipe | None, opened: OpenedData, default_model: str
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
    weights = opened.weights
    if model is None and weights:
        arch, detector = pretrained.network_of(weights, default_model)
        return apply_changes(arch, **changes), detector, changes
    text = spell(model or default_model, changes)
    (arch, detector), changes = opened.task.find_network(text), split_text(text)[1]
    if not is_file(split_text(text)[0]):
        arch = pretrained.with_preprocess(arch, weights, changes)
    return arch, detector, changes


def _wrote_network(request: TrainRequest) -> bool:
    """Whether the user wrote the network in full, as a value, a file or in a recipe."""
    if isinstance(request.model, str):
        return is_file(split_text(request.model)[0])
    return request.model is not None or _written_recipe(request.recipe) is not None


def resolve(request: TrainRequest) -> tuple[Recipe, OpenedData]:
    """The resolved recipe of `request` and its opened data: both stages, nothing measured or built.

    Raises:
        ConfigError: A name or a setting cannot be used.
        DataError: The data cannot be used.
    """
    request = _with_weights_of_model(request)
    opened = open_data(request, download=bool(request.weights))
    return resolve_recipe(_with_default(request, opened), opened), opened


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


def _with_default(request: TrainRequest, opened: OpenedData) -> TrainRequest:
    """`request` with the weights that were taken by default."""
    return replace(request, weights=opened.default.name) if opened.default.name else request


def _may_take_weights(request: TrainRequest) -> bool:
    """Whether pretrained weights may be taken that nobody asked for."""
    is_plain = request.recipe is None and not request.from_scratch and not request.weights
    is_named = request.model is None or (
        isinstance(request.model, str) and not is_file(split_text(request.model)[0])
    )
    return is_plain and is_named and request.listing is None


def _with_weights_of_model(request: TrainRequest) -> TrainRequest:
    """`request` with the weights that its network names: `timm:resnet18` is a network and its weights.

    Raises:
        ConfigError: Weights are refused and needed.
    """
    is_fine_tuning = request.recipe in probing.RECIPES
    if request.from_scratch and (request.weights or is_fine_tuning):
        raise ConfigError(
            f"from_scratch refuses weights, and {request.weights or request.recipe} needs them: leave one out"
        )
    if is_fine_tuning and not request.weights and not isinstance(request.model, Network):
        has_own = isinstance(request.model, str) and names_weights(request.model)
        request = request if has_own else replace(request, weights="auto")
    if not isinstance(request.model, str) or not names_weights(request.model):
        return request
    return replace(request, model=None, weights=request.weights or request.model)


def _with_weights(request: TrainRequest, file: str) -> TrainRequest:
    """`request` that starts from the weights in `file`, which are those of its network; "" is none."""
    if file and request.weights:
        raise ConfigError(f"weights is {request.weights}, but the network has its own: leave weights out")
    return replace(request, weights=file) if file else request


def _with_settings(recipe: Recipe, request: TrainRequest, weights: OpenedWeights | None) -> Recipe:
    if request.weights:
        record = weights.record if weights else ""
        recipe = replace(recipe, weights=record or str(Path(request.weights).absolute()))
    if request.epochs is not None:
        recipe = replace(recipe, budget=replace(recipe.budget, epochs=request.epochs, steps=0))
    changes = dict(request.changes)
    size = changes.get(few_images.SIZE, "")
    if size and request.image_size is not None:
        raise ConfigError(f"--image-size {request.image_size} and {few_images.SIZE}={size}: give one")
    if size.isdecimal() and RESIZE not in changes:  # else the crop would be a small part of the picture
        changes[RESIZE] = str(resize_in_proportion(recipe.arch.preprocess, int(size)))
    return override_settings(recipe, changes)


def _few_note(request: TrainRequest, recipe: Recipe, opened: OpenedData) -> str:
    """What was chosen because the images are few; empty for nothing."""
    if request.recipe is not None:
        return ""
    settings = request.settings | ({"budget.epochs"} if request.minutes else set())
    standard, _ = _standard_recipe(request, opened)
    return few_images.describe(recipe, standard, len(opened.dataset.train), settings=settings)
