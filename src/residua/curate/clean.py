"""Which labels are wrong, and which images should go: found by networks that did not train on them."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.curate.actions import SUMMARY, Cleaned
from residua.curate.folds import NOBODY, FoldPredictions, Hear, by_folds, by_run, learned_from
from residua.curate.suggestions import weighed
from residua.data.images import Images, joined
from residua.data.listing import hashes, parted
from residua.data.near_duplicates import Group, copies
from residua.data.scan import Scan, Tell, scan
from residua.data.sources.objects import PYTHON
from residua.data.sources.table import absolute, find
from residua.data.split import SHARE, folds
from residua.errors import DataError
from residua.jobs.prepare import TrainRequest
from residua.jobs.train import Stop
from residua.runs.run import open_run, write

CSV, PAGE, PLAN = "clean.csv", "clean.html", "plan.json"
"""What a clean writes for people, and for itself."""
FOLDS = 5
"""Networks that are trained, each on all but a fifth: our choice, and that of cleanlab."""


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """What somebody wants cleaned, and by which networks. ValueError for what cannot be done."""

    wish: TrainRequest
    """The source, and the network and recipe of the folds."""
    folds: int = FOLDS
    """Networks to train; 0 judges by `run` alone, and only what it did not train on."""
    run: Path | None = None
    """A run whose word is taken on images that it did not train on."""
    workers: int = 0
    """Processes that look at the files."""

    def __post_init__(self) -> None:
        """Refuse what would judge nothing."""
        if self.folds < 0 or self.folds == 1 or (not self.folds and self.run is None):
            raise ValueError(f"{self.folds} folds: give 2 or more, or 0 with --run")


def clean(
    asked: CleanRequest, out: Path, *, hear: Hear, stop: Stop, tell: Tell, force: bool = False
) -> Cleaned | None:
    """Everything suspicious in the images of `asked`, written to `out`; None when `stop()` came first.

    Nothing is changed, moved or deleted. Called again it goes on where it stopped. FileExistsError when `out`
    holds another clean, or a finished one, unless `force`. DataError for a source that cannot be used.
    """
    source = asked.wish.source
    if source.startswith(f"{PYTHON}:"):
        raise ValueError(f"{source} came from Python: give a folder or a label file")
    train, test, how = parted(find(source), holdout=SHARE)
    images = joined((train, replace(test, name=train.name)), name="all")
    _enter(asked, images, out, force=force)
    looked = scan((images,), workers=asked.workers, tell=tell)
    good = np.array([i for i in range(len(images)) if i not in looked.reasons], np.int64)
    same, near = copies(looked.facts)
    opinions = FoldPredictions.none(len(images), len(images.classes))
    notes = [f"{len(images):,} images, {how}"]
    asks = _ask_run(asked, images, looked, good, opinions, tell) if asked.run else None
    notes += asks.notes if asks else []
    rest = good if asks is None else good[~np.isin(good, asks.places)]
    fold = np.full(len(images), NOBODY)
    if asked.folds and len(rest):
        names = hashes([images.title(i) for i in rest.tolist()])
        fold[rest] = folds(
            images.labels[rest], names, count=asked.folds, together=_inside(rest, (*same, *near))
        )
        notes.append(f"{len(rest):,} by {asked.folds} networks, each trained without those it judges")
        usable = images.subset(good)
        part = FoldPredictions.none(len(good), len(images.classes))
        wish = replace(asked.wish, source=absolute(source))
        if not by_folds(wish, usable, fold[good], out / "work", opinions=part, hear=hear, stop=stop):
            return None
        filled = part.known
        opinions.probabilities[good[filled]] = part.probabilities[filled]
        opinions.distance[good[filled]] = part.distance[filled]
    cleaned = weighed(source, (images, len(train), test.name), looked, (same, near), opinions, tuple(notes))
    _write(cleaned, out, asked)
    return cleaned


@dataclass(frozen=True, eq=False)
class _Asks:
    """Which images a run was asked about, and what to say of that."""

    places: NDArray[np.int64]
    notes: list[str]


def _ask_run(
    asked: CleanRequest,
    images: Images,
    looked: Scan,
    good: NDArray[np.int64],
    opinions: FoldPredictions,
    tell: Tell,
) -> _Asks:
    """Ask the run about all images whose content it did not train on."""
    assert asked.run is not None
    run = open_run(asked.run)
    seen = learned_from(run, looked.facts["digest"], workers=asked.workers, tell=tell)
    places = good[~seen[good]]
    notes = [f"{len(places):,} by {run.path}, which did not train on them"]
    if left := len(good) - len(places):
        notes.append(f"{left:,} it trained on" + ("" if asked.folds else ": nobody judged them"))
    if start := run.recipe.weights:
        notes.append(f"it began from {start}: whether that was trained on them is not known")
    if not len(places) and not asked.folds:
        raise DataError(f"{run.path} was trained on all of these images: give --folds 2 or more")
    if len(places):
        by_run(run.path, images, places, opinions)
    return _Asks(places, notes)


def _inside(places: NDArray[np.int64], groups: Sequence[Group]) -> Iterator[list[int]]:
    """`groups` counted within `places`, members that are elsewhere left out."""
    number = {place: k for k, place in enumerate(places.tolist())}
    for group in groups:
        if len(members := [number[place] for place in group if place in number]) > 1:
            yield members


def _enter(asked: CleanRequest, images: Images, out: Path, *, force: bool) -> None:
    """Make `out` the folder of this clean, or go on in it."""
    wish = asked.wish
    digest = hashlib.sha256(images.identity()).hexdigest()
    plan: dict[str, Any] = {
        "source": absolute(wish.source),
        "digest": digest,
        "folds": asked.folds,
        "run": str(asked.run.absolute()) if asked.run else "",
        "model": wish.model,
        "recipe": wish.recipe,
        "weights": wish.weights,
        "epochs": wish.epochs,
        "changes": [list(change) for change in wish.changes],
    }
    held = json.loads((out / PLAN).read_text()) if (out / PLAN).exists() else None
    if (out / CSV).exists() and not force:
        raise FileExistsError(
            f"{out / CSV} is there already, perhaps with your edits: give --force or another -o"
        )
    if held is not None and held != plan:
        other = ", ".join(name for name in plan if plan[name] != held.get(name))
        if not force:
            raise FileExistsError(f"{out} holds a clean with another {other}: give --force or another -o")
        shutil.rmtree(out / "work", ignore_errors=True)
    (out / "work").mkdir(parents=True, exist_ok=True)
    write(out / PLAN, json.dumps(plan, indent=2))


def _write(cleaned: Cleaned, out: Path, asked: CleanRequest) -> None:
    from residua.curate.clean_page import clean_sheet

    write(out / PAGE, clean_sheet(cleaned, out))
    facts = {**cleaned.plain(), "source": absolute(cleaned.source), "run": str(asked.run or "")}
    write(out / SUMMARY, json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))
    write(out / CSV, cleaned.csv())  # last: where it is, the clean is complete
