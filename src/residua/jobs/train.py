"""Training a network, and going on after an interruption."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from residua.data.found import Found
from residua.data.objects import find_objects
from residua.data.sources import is_named
from residua.jobs.evaluate import judgement
from residua.jobs.opened import identity, list_quarantined, reopen
from residua.jobs.prepare import Prepared, Wish, prepare
from residua.jobs.report import write_report
from residua.training import run
from residua.training.fit import Event, Fit, Note, initial
from residua.training.run import Run

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
    out: str | Path | None = None,
) -> Run:
    """Train a network on `data` and return its finished Run.

    `data` is a source (a folder, a label file, shards, `digits`, ...), a torch Dataset of (image, label), or
    a pair of two, the second to judge by.
    `changes` overrides fields of the recipe by path, e.g. `{"optim.rate": 0.05}`. The run goes to `out`,
    or to the first free `runs/NAME-N`. ValueError, DataError, RunBusy, Diverged and OSError say what went
    wrong.
    """
    texts = tuple((p, v if isinstance(v, str) else json.dumps(v)) for p, v in (changes or {}).items())
    source, given = _given(data)
    prepared = prepare(Wish(source, model, recipe, str(weights), epochs, texts, given))
    begun = begin(prepared, Path(out) if out else free_path(source))
    work(begun, prepared)
    return begun


def resume(
    path: str | Path,
    *,
    data: object = None,
    listen: Listen = lambda _: None,
    stop: Stop = lambda: False,
) -> Run:
    """Go on with the run at `path` as if it had never stopped; a finished run is returned as it is.

    `data` is what `train` was given, where that was no source but objects.
    """
    given = None if data is None else _given(data)[1]
    begun = run.open_run(Path(path))
    if not begun.finished:
        prepared = pick_up(begun, given)
        for line in begun.moved():
            listen(Note(line))
        work(begun, prepared, listen=listen, stop=stop)
    elif (begun.path / "report.html").exists():
        listen(Note(f"{path} is finished: nothing to do"))
    else:  # stopped between its last state and its report
        with begun.lock():
            write_report(begun, pick_up(begun, given).dataset, judgement(begun.path, None)[0])
    return begun


def begin(prepared: Prepared, path: Path, *, force: bool = False) -> Run:
    """A fresh Run at `path` for what was prepared.

    FileExistsError when one is there, unless `force` clears it.
    """
    known = identity(prepared.dataset, prepared.unreadable)
    begun = run.create(path, prepared.recipe, identity=known, force=force)
    if prepared.recipe.data.bad == "quarantine":
        list_quarantined(begun, prepared.unreadable)
    return begun


def work(
    begun: Run, prepared: Prepared, *, listen: Listen = lambda _: None, stop: Stop = lambda: False
) -> None:
    """Train `begun` to its end or until `stop()`, telling `listen` every Event; at the end write the report.

    RunBusy when another process does already.
    """
    with begun.lock():
        fit = Fit(begun, prepared.network, prepared.dataset, stop=stop)
        for event in fit.events():
            listen(event)
        if begun.finished and fit.judged:
            write_report(begun, prepared.dataset, fit.judged)


def pick_up(begun: Run, given: Found | None = None) -> Prepared:
    """What an interrupted run needs to go on. DataError when its images are no longer the same."""
    recipe = begun.recipe
    dataset = reopen(begun, given)
    return Prepared(recipe, dataset, initial(recipe, dataset.train.classes), ())


def _given(data: object) -> tuple[str, Found | None]:
    """The source that `data` is, or is called, and its images where they are objects."""
    if isinstance(data, str | Path):
        return str(data), None
    found = find_objects(*data) if isinstance(data, tuple) else find_objects(data)
    return found.source, found


def free_path(source: str) -> Path:
    """The first free `runs/NAME-N` for runs on `source`."""
    name = source.partition(":")[0] if is_named(source) else Path(source).resolve().name
    return run.next_free(Path("runs"), name or "run")
