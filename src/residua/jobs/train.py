"""Create, train and resume runs: what the commands and `jobs/python_training.py` do."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from residua import tasks
from residua.data.listing import SourceListing
from residua.data.sources.objects import source_and_listing
from residua.data.sources.table import parse_source
from residua.errors import CheckpointError, ConfigError, DataError
from residua.events import Listen, Note
from residua.files import next_free, sync_folder, write_file
from residua.jobs.early_checks import check_place
from residua.jobs.first_weights import first_weights_file, store_weights
from residua.jobs.kept_weights import accuracy_text, finish_probe, record_result, store_head
from residua.jobs.prepare import prepare
from residua.jobs.prepared_run import PreparedRun
from residua.jobs.train_request import TrainRequest
from residua.nn.device import device_name, nearest_device
from residua.runs import checkpoint
from residua.runs.metadata_backup import restore_from_backup, write_backup
from residua.runs.probe_record import write_probe
from residua.runs.run import RECIPE, Run, create, open_run
from residua.spec.arch import Head
from residua.spec.recipe import Recipe
from residua.spec.record import to_json
from residua.tasks.run_data import identity, list_quarantined, reopen
from residua.training import memory
from residua.training.learn_task import AnyLearnTask
from residua.training.processes.world import SINGLE_PROCESS, World
from residua.training.session import TrainingSession
from residua.weights.load import check_size
from residua.weights.named import read_record

Stop = Callable[[], bool]


def resume(
    path: str | Path,
    *,
    data: object = None,
    force_environment: bool = False,
    listen: Listen = lambda _: None,
    stop: Stop = lambda: False,
    world: World = SINGLE_PROCESS,
) -> Run:
    """Continue the run at `path` as if it had never stopped; a finished run is returned as it is.

    Args:
        path: The run directory.
        data: Where the examples are now if they were moved, or where they are if they come over the network;
            or the objects that `train` received.
        force_environment: Resume even if results will not be bit-identical (different torch version,
            processor, device or number of processes).
        listen: Receives every Event.
        stop: Asked after every step; True saves and stops.
        world: The processes that share the run.

    Returns:
        The run, finished unless `stop` returned True.

    Raises:
        ConfigError: The environment differs from that of the run, without `force_environment`; or the
            examples come over the network, without `data`.
        DataError: The examples changed or are missing.
        CheckpointError: The weights the run began with are lost, and no state exists.
        RunBusyError: Another process writes the run.
    """
    run = Run(Path(path))
    source, listing = ("", None) if data is None else source_and_listing(data)
    world.run_on_main(lambda: open_run(run.path))
    for line in world.run_on_main(lambda: restore_from_backup(run.path)):
        listen(Note(line))
    source = "" if listing or not source else str(parse_source(source).absolute())
    if source:
        world.run_on_main(lambda: _record_new_source(run, source))
    if world.run_on_main(lambda: _is_finished(run)):
        world.run_on_main(lambda: _write_missing_report(run, listen, listing, source))
        return run
    for line in world.run_on_main(lambda: same_environment(run, world, force=force_environment)):
        listen(Note(line))
    prepared = load_run(run, world, listing=listing, source=source)
    fit_run(run, prepared, listen=listen, stop=stop, world=world)
    return run


def start_or_join(
    request: TrainRequest,
    out: Path | None = None,
    *,
    force: bool = False,
    listen: Listen = lambda _: None,
    world: World = SINGLE_PROCESS,
) -> tuple[Run, PreparedRun]:
    """A new run at `out`, or at a free path: rank 0 prepares and creates it, the other processes load it.

    After a restart by the launcher, the run that the same job created before is continued.

    Args:
        request: What the user asked for.
        out: The run directory; None takes the first free `runs/NAME-N`.
        force: Replace a run that exists.
        listen: Receives what was chosen, line by line as soon as it is known, and what takes seconds.
        world: The processes that share the run.

    Returns:
        The run, and what it needs to train.

    Raises:
        FileExistsError: Another run exists at `out`, without `force`.
        ConfigError: The run would lie among the class folders of its data.
    """
    on_rank_0: list[PreparedRun] = []

    def lead() -> Path:
        check_place(out or free_path(request.source), request.source)
        prepared = prepare(request, processes=world.size, listen=listen)
        world.local_batch_size(
            min(prepared.recipe.budget.batch_size, len(prepared.dataset.train))
        )  # refuse early
        path = out or free_path(request.source)
        if not _was_begun_by(path, prepared, world):
            create_run(prepared, path, force=force, world=world)
            on_rank_0.append(prepared)
        return path

    run = Run(world.run_on_main(lead))
    source = "" if request.listing else str(parse_source(request.source).absolute())
    return run, load_run(run, world, prepared=on_rank_0[0] if on_rank_0 else None, source=source)


def create_run(
    prepared: PreparedRun, path: Path, *, force: bool = False, world: World = SINGLE_PROCESS
) -> Run:
    """A new run directory at `path` for the prepared run.

    Args:
        prepared: Recipe, examples and network of the run.
        path: The run directory, created when it does not exist.
        force: Replace a run that exists.
        world: The processes that share the run; their number and job are recorded.

    Returns:
        The run, before its first step.

    Raises:
        FileExistsError: A run exists at `path`, without `force`.
        RunBusyError: Another process writes the run.
    """
    known, place = identity(prepared.dataset, prepared.unreadable), _hardware(prepared.recipe, world)
    recipe, stores = prepared.recipe, prepared.stores_weights
    is_named = read_record(recipe.weights) or (prepared.probe and Path(recipe.weights).exists())
    if stores and not is_named:  # weights from Python have no name
        recipe = replace(recipe, weights=str(first_weights_file(path.absolute())))

    def fill() -> None:
        if stores:
            store_weights(prepared.network, first_weights_file(path))
        if prepared.probe:
            write_probe(path, prepared.probe)
        if prepared.probe_of_all:
            store_head(path, prepared.network, prepared.probe_of_all)

    run = create(
        path,
        recipe,
        identity=known,
        hardware=place,
        force=force,
        fill=fill,
    )
    write_backup(path)
    with suppress(PermissionError):  # in a folder that cannot be listed
        for folder in (run.checkpoints, path, path.parent):  # a power cut takes no run that was created
            sync_folder(folder)
    if prepared.recipe.data.bad == "quarantine":
        list_quarantined(run, prepared.unreadable)
    return run


def fit_run(
    run: Run,
    prepared: PreparedRun,
    *,
    listen: Listen = lambda _: None,
    stop: Stop = lambda: False,
    world: World = SINGLE_PROCESS,
) -> None:
    """Train `run` to its end or until `stop()` is true; at the end write the report.

    Args:
        run: The run directory.
        prepared: Its recipe, examples and network.
        listen: Receives every Event.
        stop: Asked after every step; True saves and stops.
        world: The processes that share the run.

    Raises:
        RunBusyError: A process outside `world` writes the run.
        DivergedError: The loss or the weights are no longer finite.
    """
    with run.lock() if world.is_main else nullcontext():
        chooses = prepared.recipe.data.inner_val_fraction > 0
        fit = TrainingSession(run, prepared.network, prepared.learned, prepared.task, stop=stop, world=world)
        for event in fit.events():
            listen(event)
        if fit.memory_plan:
            listen(Note(fit.memory_plan.compared(memory.peak_memory(fit.plan))))

        def report() -> str:
            if run.finished and (fit.validation or not (run.path / "report.html").exists()):
                finish_probe(run)
                of_test = None if chooses else fit.validation
                evaluation = of_test or prepared.task.evaluate_run(run, prepared.dataset)
                _tell_result(run, evaluation, listen)
                prepared.task.write_report(run, prepared.dataset, evaluation)
            is_new = run.finished and fit.validation
            return prepared.task.final_hint(prepared.recipe, run.metrics[-1]) if is_new else ""

        if hint := world.run_on_main(report):
            listen(Note(f"{'hint':7} {hint}"))


def load_run(
    run: Run,
    world: World = SINGLE_PROCESS,
    *,
    prepared: PreparedRun | None = None,
    listing: SourceListing | None = None,
    source: str = "",
) -> PreparedRun:
    """What an interrupted run needs to continue.

    Args:
        run: The run directory.
        world: The processes that share the run.
        prepared: What rank 0 prepared when it created the run, returned as it is.
        listing: The examples, where they came from Python.
        source: The examples as the user named them, absolute; needed where they come over the network.

    Raises:
        ConfigError: The examples come over the network, and `source` is not given.
        DataError: The examples are missing or changed.
        CheckpointError: The weights the run began with are lost, and no state exists.
    """
    recipe = world.run_on_main(lambda: run.recipe)
    if prepared:
        return prepared
    if parse_source(recipe.data.source).is_missing():
        hint = f"put them back, or say where they are: residua resume {run.path} --data DATA"
        raise DataError(f"{recipe.data.source}, the examples of {run.path}, does not exist: {hint}")
    task, dataset = tasks.learn_task_of(recipe.data.source), _reopen(run, listing, source)
    return PreparedRun(recipe, task, dataset, _initial_network(run, task, recipe, dataset.train.classes), ())


def _reopen(run: Run, listing: SourceListing | None, source: str) -> Any:
    """The dataset of `run`, as its task opens it."""
    return reopen(run, tasks.data_task_of(run.recipe.data.source), listing, source=source)


def _initial_network(run: Run, task: AnyLearnTask, recipe: Recipe, classes: tuple[str, ...]) -> Any:
    """The network that a state is about to fill; the weights the run began with may be lost, or moved."""
    own = first_weights_file(run.path)
    has_own = recipe.probe != "off" or read_record(recipe.weights) or Path(recipe.weights).name == own.name
    if has_own and own.exists():
        recipe = replace(recipe, weights=str(own))
    if states := checkpoint.list_checkpoints(run.checkpoints):
        arch = recipe.arch if recipe.detector is None else replace(recipe.arch, head=Head(), classes=1)
        check_size(arch, max(states, key=lambda path: path.stat().st_size))
    try:
        return task.initial_network(recipe, classes)
    except CheckpointError:
        with suppress(CheckpointError):
            if state := checkpoint.load_newest(run.checkpoints):
                return task.initial_network(replace(recipe, weights=str(state.path)), classes)
        raise


def _is_finished(run: Run) -> bool:
    """Whether nothing is left to train: a finished run whose last state is damaged trains it again."""
    if not run.finished:
        return False
    try:
        checkpoint.load_last(run.checkpoints)
    except CheckpointError:
        return False
    return True


def _record_new_source(run: Run, source: str) -> None:
    """Record in the run that its examples are at `source` now. DataError when they are other examples."""
    with run.lock():
        recipe = run.recipe
        reopen(run, tasks.data_task_of(source), source=source)
        write_file(run.path / RECIPE, to_json(replace(recipe, data=replace(recipe.data, source=source))))
        write_backup(run.path)


def _write_missing_report(run: Run, listen: Listen, listing: SourceListing | None, source: str) -> None:
    """Write the report of a finished run that was stopped after its last state."""
    if (run.path / "report.html").exists():
        listen(Note(f"{run.path} is finished: nothing to do"))
    else:
        with run.lock():
            task, dataset = tasks.learn_task_of(run.recipe.data.source), _reopen(run, listing, source)
            finish_probe(run)
            evaluation = task.evaluate_run(run, dataset)
            _tell_result(run, evaluation, listen)
            task.write_report(run, dataset, evaluation)


def _tell_result(run: Run, evaluation: Any, listen: Listen) -> None:
    """Record what the kept weights give on the test images, and say it; the same for a probe alone."""
    if run.recipe.data.inner_val_fraction:
        listen(Note(f"{'result':7} {record_result(run, evaluation)}"))
    elif run.recipe.probe == "only":
        listen(Note(f"{'result':7} {accuracy_text(evaluation)}; the probe alone"))


def _was_begun_by(path: Path, prepared: PreparedRun, world: World) -> bool:
    """Whether an earlier attempt of this job created the run at `path` with this recipe.

    torchrun counts no restart when machines join or leave, but the job keeps its name.
    """
    if not (path / "recipe.json").exists():
        return False
    there = Run(path)
    if not world.restarts and (not world.job_id or there.job_id != world.job_id or there.finished):
        return False
    existing, recipe = open_run(path).recipe, prepared.recipe
    if prepared.is_timed:  # another attempt may have found the machine slower
        length = replace(recipe.budget, epochs=existing.budget.epochs, steps=existing.budget.steps)
        recipe = replace(recipe, budget=length)
    measured = replace(recipe.data, num_workers=existing.data.num_workers)
    return existing == replace(recipe, plan=existing.plan, data=measured)


def _hardware(recipe: Recipe, world: World) -> dict[str, object]:
    """What decides the last bits of the results: device, number of processes, and the name of the job."""
    return {
        "device": device_name(nearest_device(recipe.plan.device)),
        "processes": world.size,
        "job": world.job_id,
    }


def same_environment(run: Run, world: World, *, force: bool) -> list[str]:
    """What differs from the environment in which the run began, one line each.

    With `force` the differences are recorded in the run. A lost or damaged `environment.json` is written
    again.

    Args:
        run: The run that is about to continue.
        world: The processes that share the run now.
        force: Continue where something differs.

    Returns:
        Lines for the user, also for a file that was written again; empty where nothing differs.

    Raises:
        ConfigError: Something differs, without `force`.
    """
    if not run.has_environment:
        run.record_environment(_hardware(run.recipe, world))
        file = run.path / "environment.json"
        cause = f"{file} was lost or damaged and is written again"
        return [f"{cause}: the rest is bit-identical only on the machine where the run began"]
    if not (moved := run.environment_changes(_hardware(run.recipe, world))):
        return []
    if not force:
        raise ConfigError(
            f"{run.path}: {', '.join(moved)}: results would not be bit-identical; "
            "give --force-environment to resume anyway"
        )
    run.record_environment_changes(moved)
    return [f"{line}: results will not be bit-identical" for line in moved]


def free_path(source: str) -> Path:
    """The first free `runs/NAME-N` for runs on `source`."""
    return next_free(Path("runs"), parse_source(source).label or "run")
