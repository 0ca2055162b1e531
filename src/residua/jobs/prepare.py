"""From a TrainRequest to a run that can begin: open the data, then resolve the recipe, each once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from residua import recipes, tasks
from residua.data.inner_split import split_training
from residua.data.sources.table import parse_source
from residua.errors import ConfigError
from residua.events import Activity, Event, PlanLine
from residua.jobs import pretrained, probing
from residua.jobs.default_weights import DefaultWeights, default_weights
from residua.jobs.early_checks import check_changes, check_values, check_words
from residua.jobs.first_weights import weights_in_file
from residua.jobs.length import TimedRecipe, check_minutes, choose_length
from residua.jobs.mean_image import with_mean_image
from residua.jobs.plan_lines import network_facts, old_names, plan_facts
from residua.jobs.prepared_run import OpenedData, PreparedRun
from residua.jobs.probing import Probed
from residua.jobs.train_request import TrainRequest, may_take_weights, with_weights_of_model
from residua.nn.network import Network
from residua.recipes import few_images
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.detector import Detector
from residua.spec.named_network import apply_changes, is_file, spell, split_text
from residua.spec.preprocess import resize_in_proportion
from residua.spec.recipe import Data, Recipe, override_settings, read_recipe, setting_path
from residua.spec.record import override
from residua.tasks.data_task import MAX_WORKERS
from residua.tasks.run_data import open_readable
from residua.training import memory, plan
from residua.training.learn_task import AnyLearnTask, Preview
from residua.training.plan import PlanChoice
from residua.training.processes.world import available_cores
from residua.training.schedule import run_length
from residua.weights.named import OpenedWeights

RESIZE = "arch.preprocess.resize"
"""The setting that gives the shorter side of a picture before its centre is cut out."""


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
    request = with_weights_of_model(request)
    with weights_in_file(request.model) as file:
        weighted, opened, recipe, network = _open_with_network(
            _with_weights(request, file), download=download, tell=tell, listen=listen
        )
    task, whole = opened.task, opened.dataset
    dataset = split_training(whole, recipe.data.inner_val_fraction)
    recipe, chosen = _with_plan(recipe, task, dataset, network, minutes=request.minutes, announce=announce)
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
    timed = _with_length(
        request, probed, task, dataset, network, rate=chosen.rate, processes=processes, announce=announce
    )
    recipe = timed.recipe
    for name, text in (
        *plan_facts(recipe, task, dataset, chosen, timed.note),
        ("few", _few_note(weighted, recipe, opened)),
        ("classes", probing.balance_note(recipe, whole, settings=request.settings)),
        ("weights", opened.default.note),
        ("memory", str(fitted or "")),
        *old_names(path for path, _ in request.changes),
    ):
        if text:
            tell(name, text)
    stores = bool(file or probed.record or (opened.weights and opened.weights.is_published))
    prepared = PreparedRun(recipe, task, whole, network, tuple(lines), opened.unreadable, stores)
    return replace(prepared, is_timed=timed.is_measured, probe=probed.record, probe_of_all=probed.of_all)


def _open_with_network(
    request: TrainRequest,
    *,
    download: bool,
    tell: Callable[[str, str], None],
    listen: Callable[[Event], None],
) -> tuple[TrainRequest, OpenedData, Recipe, Network]:
    """The request with its weights, the opened data, the recipe, and the network with its first weights."""
    opened = open_data(request, download=download, listen=listen)
    request = _with_default(request, opened)
    tell("data", opened.dataset.note)
    recipe = resolve_recipe(request, opened)
    of_weights = pretrained.describe(recipe, opened.weights, wrote_network=_wrote_network(request))
    for name, text in (*network_facts(recipe), *of_weights):
        tell(name, text)
    network = pretrained.initial_network(
        opened.task, recipe, opened.dataset.train.classes, opened.weights, listen=partial(tell, "weights")
    )
    return request, opened, recipe, network


def _with_length(
    request: TrainRequest,
    probed: Probed,
    task: AnyLearnTask,
    dataset: Any,
    network: Network,
    *,
    rate: float,
    processes: int,
    announce: Callable[[str], None],
) -> TimedRecipe:
    """The recipe with the length that its time allows."""
    is_own = request.recipe is None and not request.settings & few_images.LENGTH
    return choose_length(
        probed.recipe,
        task,
        dataset,
        network,
        minutes=probed.minutes,
        is_own=is_own and few_images.is_small(probed.recipe, len(dataset.train)),
        rate=rate,
        processes=processes,
        announce=announce,
    )


def _with_plan(
    recipe: Recipe,
    task: AnyLearnTask,
    dataset: Any,
    network: Network,
    *,
    minutes: float | None,
    announce: Callable[[str], None],
) -> tuple[Recipe, PlanChoice]:
    """`recipe` with a plan and loader workers without `auto`, and how the plan was chosen."""
    count = len(dataset.train)
    requested, steps = recipe.plan, run_length(recipe, count)[1]
    if recipe.probe == "first":
        requested = plan.fast_precision(requested, steps=steps)
    chosen = plan.choose_plan(
        task.timing_network(recipe, network),
        requested,
        batch=min(recipe.budget.batch_size, count),
        steps=steps,
        portions=recipe.budget.accumulate,
        max_seconds=math.inf if minutes is None else 60 * minutes,
        announce=announce,
    )
    num_workers = recipe.data.num_workers
    if num_workers < 0:
        num_workers = task.default_workers(recipe, dataset)
    data = replace(recipe.data, num_workers=num_workers)
    return replace(recipe, plan=chosen.plan, data=data), chosen


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
    check_values(request.changes, written, source=source)
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
    if task.fine_tuning and may_take_weights(request):
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
        recipe = few_images.with_even_batches(recipe, len(learned.train), settings=settings)
    if recipe.arch.classes != arch.classes:
        raise ConfigError(f"arch.classes is {recipe.arch.classes}, the data has {arch.classes}: leave it")
    if recipe.data.source != source:
        raise ConfigError(f"data.source is {recipe.data.source!r}: leave it, and give that as DATA")
    check_changes(changes, recipe.arch)
    probing.check_probe(recipe, task, folds=request.folds)
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
        default_recipe = "probe" if probing.few_of_a_class(dataset) else task.fine_tuning
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
    request = with_weights_of_model(request)
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
    if recipe.probe == "only":
        return probing.few_of_a_class(opened.dataset)
    settings = request.settings | ({"budget.epochs"} if request.minutes else set())
    standard, _ = _standard_recipe(request, opened)
    return few_images.describe(recipe, standard, len(opened.dataset.train), settings=settings)
