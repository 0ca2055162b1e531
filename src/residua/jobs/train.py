"""Training a network, and going on after an interruption."""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from residua import tasks
from residua.data.listing import SourceListing
from residua.data.sources.objects import find_objects
from residua.data.sources.table import absolute, is_named
from residua.errors import CheckpointError, DataError
from residua.jobs.models import Changes
from residua.jobs.prepare import PreparedRun, TrainRequest, prepare
from residua.nn.device import device_name, nearest_device
from residua.runs import checkpoint, run
from residua.runs.metadata_backup import keep, mend
from residua.runs.run import Run
from residua.spec.recipe import Recipe
from residua.spec.record import to_json
from residua.tasks.kind import Kind
from residua.tasks.run_data import identity, list_quarantined, reopen
from residua.training import memory
from residua.training.events import Event, Note
from residua.training.fit import Fit
from residua.training.processes.world import ALONE, World
from residua.weights.store import sync_folder

Listen = Callable[[Event], None]
Stop = Callable[[], bool]


def train(
    data: object,
    model: str | None = None,
    *,
    recipe: str | None = None,
    weights: str | Path = "",
    epochs: int | None = None,
    changes: Mapping[str, object] | None = None,
    clip: Changes | None = None,
    out: str | Path | None = None,
) -> Run:
    """Train a network on `data` and return its finished Run.

    `data` is a source (a folder, a label file, shards, `digits`, ...), a torch Dataset of (image, label), or
    a pair of two, the second to judge by.
    `changes` overrides fields of the recipe by path, e.g. `{"optim.lr": 0.05}`; `clip` says which frames of
    a video are read, e.g. `{"frames": 8, "segments": 2}`. The run goes to `out`, or to the first free
    `runs/NAME-N`. ValueError, DataError, RunBusyError, DivergedError and OSError say what went wrong.
    """
    texts = tuple((p, v if isinstance(v, str) else json.dumps(v)) for p, v in (changes or {}).items())
    source, given = _given(data)
    wish = TrainRequest(source, model, recipe, str(weights), epochs, texts, given, clip or {})
    begun, prepared = enter(wish, Path(out) if out else None)
    work(begun, prepared)
    return begun


def resume(
    path: str | Path,
    *,
    data: object = None,
    force_environment: bool = False,
    listen: Listen = lambda _: None,
    stop: Stop = lambda: False,
    world: World = ALONE,
) -> Run:
    """Go on with the run at `path` as if it had never stopped; a finished run is returned as it is.

    `data` is where the examples are now, if they were moved, or what `train` was given, where that was no
    source but objects. ValueError when the last bits could differ from an uninterrupted run, because torch,
    the processor, the device or the number of processes is another one, unless `force_environment`.
    """
    begun = Run(Path(path))
    source, given = ("", None) if data is None else _given(data)
    for line in world.share(lambda: mend(begun.path)):
        listen(Note(line))
    world.share(lambda: run.open_run(begun.path))
    if source and not given:
        world.share(lambda: _move(begun, absolute(source)))
    if world.share(lambda: _is_over(begun)):
        world.share(lambda: _complete(begun, listen, given))
        return begun
    for line in world.share(lambda: same_environment(begun, world, force=force_environment)):
        listen(Note(line))
    work(begun, pick_up(begun, world, given=given), listen=listen, stop=stop, world=world)
    return begun


def enter(
    wish: TrainRequest, out: Path | None = None, *, force: bool = False, world: World = ALONE
) -> tuple[Run, PreparedRun]:
    """A Run at `out`, or at a free path, that rank 0 has prepared and begun, and the others have picked up.

    Started anew by the launcher, it goes on with the run that it began before: one with the same recipe.
    FileExistsError when another run is there, unless `force` clears it.
    """
    prepared: list[PreparedRun] = []

    def lead() -> Path:
        found = prepare(wish)
        world.images(min(found.recipe.budget.batch_size, len(found.sets.train)))  # before a run is begun
        path = out or free_path(wish.source)
        if not _goes_on(path, found.recipe, world):
            begin(found, path, force=force, world=world)
            prepared.append(found)
        return path

    begun = Run(world.share(lead))
    return begun, pick_up(begun, world, known=prepared[0] if prepared else None)


def begin(prepared: PreparedRun, path: Path, *, force: bool = False, world: World = ALONE) -> Run:
    """A fresh Run at `path` for what was prepared.

    FileExistsError when one is there, unless `force` clears it.
    """
    known, place = identity(prepared.sets, prepared.unreadable), _place(prepared.recipe, world)
    begun = run.create(path, prepared.recipe, identity=known, place=place, force=force)
    keep(path)
    with suppress(PermissionError):  # on a folder whose names nobody may list
        for folder in (begun.checkpoints, path, path.parent):  # a power cut takes no run that was begun
            sync_folder(folder)
    if prepared.recipe.data.bad == "quarantine":
        list_quarantined(begun, prepared.unreadable)
    return begun


def work(
    begun: Run,
    prepared: PreparedRun,
    *,
    listen: Listen = lambda _: None,
    stop: Stop = lambda: False,
    world: World = ALONE,
) -> None:
    """Train `begun` to its end or until `stop()`, telling `listen` every Event; at the end write the report.

    RunBusyError when another process, which is none of `world`, does already.
    """
    with begun.lock() if world.leads else nullcontext():
        fit = Fit(begun, prepared.network, prepared.sets, prepared.kind, stop=stop, world=world)
        for event in fit.events():
            listen(event)
        if fit.fitted:
            listen(Note(fit.fitted.compared(memory.taken(fit.plan))))

        def report() -> None:
            if begun.finished and (fit.judged or not (begun.path / "report.html").exists()):
                judged = fit.judged or prepared.kind.judgement(begun, prepared.sets)
                prepared.kind.report(begun, prepared.sets, judged)

        world.share(report)


def pick_up(
    begun: Run, world: World = ALONE, *, known: PreparedRun | None = None, given: SourceListing | None = None
) -> PreparedRun:
    """What an interrupted run needs to go on; `known` where rank 0 has it already.

    DataError when its images are no longer there, or no longer the same.
    """
    recipe = world.share(lambda: begun.recipe)
    if known:
        return known
    if _is_missing(recipe.data.source):
        where = f"put them back, or say where they are: residua resume {begun.path} --data DATA"
        raise DataError(f"{recipe.data.source}, the examples of {begun.path}, does not exist: {where}")
    kind, sets = tasks.of(recipe.data.source), reopen(begun, given)
    return PreparedRun(recipe, kind, sets, _drawn(begun, kind, recipe, sets.train.classes), ())


def _drawn(begun: Run, kind: Kind, recipe: Recipe, classes: tuple[str, ...]) -> Any:
    """The network that a state is about to fill, though the weights it began with may be gone."""
    try:
        return kind.initial(recipe, classes)
    except CheckpointError:
        with suppress(CheckpointError):
            if state := checkpoint.newest(begun.checkpoints):
                return kind.initial(replace(recipe, weights=str(state.path)), classes)
        raise


def _is_over(begun: Run) -> bool:
    """Whether nothing is left to train: where its last state is damaged, a finished run makes it again."""
    if not begun.finished:
        return False
    try:
        checkpoint.last(begun.checkpoints)
    except CheckpointError:
        return False
    return True


def _move(begun: Run, source: str) -> None:
    """Write down that the examples of `begun` are at `source` now. DataError when they are others."""
    with begun.lock():
        recipe = begun.recipe
        reopen(begun, source=source)
        run.write(begun.path / run.RECIPE, to_json(replace(recipe, data=replace(recipe.data, source=source))))
        keep(begun.path)


def _given(data: object) -> tuple[str, SourceListing | None]:
    """The source that `data` is, or is called, and its images where they are objects."""
    if isinstance(data, str | Path):
        return str(data), None
    found = find_objects(*data) if isinstance(data, tuple) else find_objects(data)
    return found.source, found


def _complete(begun: Run, listen: Listen, given: SourceListing | None) -> None:
    """A finished run may lack its report, when it was stopped after its last state."""
    if (begun.path / "report.html").exists():
        listen(Note(f"{begun.path} is finished: nothing to do"))
    else:
        with begun.lock():
            kind, sets = tasks.of(begun.recipe.data.source), reopen(begun, given)
            kind.report(begun, sets, kind.judgement(begun, sets))


def _is_missing(source: str) -> bool:
    """Whether `source`, as a recipe keeps it, names a file or folder that is not there."""
    place = Path(source.partition(":")[2] if is_named(source) else source)
    return place.is_absolute() and not place.exists()


def _goes_on(path: Path, recipe: Recipe, world: World) -> bool:
    """Whether `world` began the run at `path` in an attempt before: what `recipe` would make, as measured.

    A launcher counts no restart where machines come or go, but its job keeps its name.
    """
    if not (path / "recipe.json").exists():
        return False
    there = Run(path)
    if not world.restarts and (not world.job or there.job != world.job or there.finished):
        return False
    held = run.open_run(path).recipe
    return held == replace(
        recipe, plan=held.plan, data=replace(recipe.data, num_workers=held.data.num_workers)
    )


def _place(recipe: Recipe, world: World) -> dict[str, object]:
    """Where the arithmetic happens, as far as the last bits depend on it."""
    return {
        "device": device_name(nearest_device(recipe.plan.device)),
        "processes": world.size,
        "job": world.job,
    }


def same_environment(begun: Run, world: World, *, force: bool) -> list[str]:
    """What differs from where the run began, one line each; ValueError for anything, unless `force`."""
    if not begun.knows_environment:
        begun.record_environment(_place(begun.recipe, world))
        lost = f"{begun.path / 'environment.json'} is lost or damaged, so it is written anew"
        return [f"{lost}: the rest equals an uninterrupted run only if this is where that began"]
    if not (moved := begun.moved(_place(begun.recipe, world))):
        return []
    if not force:
        raise ValueError(
            f"{begun.path}: {', '.join(moved)}: the rest would not equal an uninterrupted run; "
            "give --force-environment to go on all the same"
        )
    begun.record_move(moved)
    return [f"{line}: the rest will not equal an uninterrupted run" for line in moved]


def free_path(source: str) -> Path:
    """The first free `runs/NAME-N` for runs on `source`."""
    name = source.partition(":")[0] if is_named(source) else Path(source).resolve().name
    return run.next_free(Path("runs"), name or "run")
