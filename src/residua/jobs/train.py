"""Training a network, and going on after an interruption."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from residua.data.decode import DataError
from residua.data.sources import Dataset, open_dataset
from residua.jobs.evaluate import judgement
from residua.jobs.prepare import Prepared, Wish, is_named, prepare
from residua.jobs.report import write_report
from residua.training import memory, run
from residua.training.fit import Event, Fit, Note, initial
from residua.training.run import Run

Listen = Callable[[Event], None]
Stop = Callable[[], bool]


def train(
    data: str | Path,
    model: str | None = None,
    *,
    recipe: str | None = None,
    weights: str | Path = "",
    epochs: int | None = None,
    changes: Mapping[str, object] | None = None,
    out: str | Path | None = None,
) -> Run:
    """Train a network on `data` (a folder, `digits`, `cifar10[:DIR]`) and return its finished Run.

    `changes` overrides fields of the recipe by path, e.g. `{"optim.rate": 0.05}`. The run goes to `out`,
    or to the first free `runs/NAME-N`. ValueError, DataError, RunBusy, Diverged and OSError say what went
    wrong.
    """
    texts = tuple((p, v if isinstance(v, str) else json.dumps(v)) for p, v in (changes or {}).items())
    prepared = prepare(Wish(str(data), model, recipe, str(weights), epochs, texts))
    begun = begin(prepared, Path(out) if out else free_path(str(data)))
    work(begun, prepared)
    return begun


def resume(path: str | Path, *, listen: Listen = lambda _: None, stop: Stop = lambda: False) -> Run:
    """Go on with the run at `path` as if it had never stopped; a finished run is returned as it is."""
    begun = run.open_run(Path(path))
    if not begun.finished:
        prepared = pick_up(begun)
        for line in begun.moved():
            listen(Note(line))
        work(begun, prepared, listen=listen, stop=stop)
    elif (begun.path / "report.html").exists():
        listen(Note(f"{path} is finished: nothing to do"))
    else:  # stopped between its last state and its report
        with begun.lock():
            write_report(begun, pick_up(begun).dataset, judgement(begun.path, None)[0])
    return begun


def begin(prepared: Prepared, path: Path, *, force: bool = False) -> Run:
    """A fresh Run at `path` for what was prepared.

    FileExistsError when one is there, unless `force` clears it.
    """
    return run.create(path, prepared.recipe, identity=_identity(prepared.dataset), force=force)


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
        if fit.fitted:
            listen(Note(fit.fitted.compared(memory.taken(begun.recipe.plan))))
        if begun.finished and fit.judged:
            write_report(begun, prepared.dataset, fit.judged)


def pick_up(begun: Run) -> Prepared:
    """What an interrupted run needs to go on. DataError when its images are no longer the same."""
    recipe = begun.recipe
    dataset = open_dataset(recipe.data.source, holdout=recipe.data.holdout)
    now, then = _identity(dataset), json.loads((begun.path / "data.json").read_text())
    if now != then:
        parts = ", ".join(name for name in now if now[name] != then.get(name))
        source = recipe.data.source
        raise DataError(f"{source} changed since {begun.path} began ({parts}): put it back, or train anew")
    return Prepared(recipe, dataset, initial(recipe, dataset.train.classes), ())


def free_path(source: str) -> Path:
    """The first free `runs/NAME-N` for runs on `source`."""
    name = source.partition(":")[0] if is_named(source) else Path(source).resolve().name
    return run.next_free(Path("runs"), name or "run")


def _identity(dataset: Dataset) -> dict[str, object]:
    """What must not change during a run: classes, counts, and a digest of labels and names or pixels."""
    digest = hashlib.sha256()
    for images in (dataset.train, dataset.test):
        digest.update(images.labels.tobytes())
        if images.files is not None:
            digest.update(images.files.names)
        if images.pixels is not None:
            digest.update(images.pixels.tobytes())
    classes = list(dataset.train.classes)
    return {
        "classes": classes,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "digest": digest.hexdigest(),
    }
