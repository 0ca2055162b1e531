"""Find label noise: wrong labels, duplicates, outliers and unreadable files, with suggestions.

    scan the files           -> unreadable files, duplicates and near-duplicates
    --run RUN (optional)     -> predictions on the images that RUN was not trained on
    --folds N                -> predictions on the rest by cross-validation (folds.py), in `work`
    suggest actions          -> keep, relabel or drop for each image (actions.py)
    write                    -> clean.html, clean.json, then clean.csv

`plan.json` records the request, so that the same command resumes and another one is refused. clean.csv is
written last: where it exists, the clean is complete.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.curate.actions import SUMMARY, CleanResult, CleanSplit, suggest_actions
from residua.curate.folds import NO_FOLD, FoldListener, FoldPredictions, predict_by_folds, was_trained_on
from residua.data.images import Images, concatenate
from residua.data.listing import name_hashes, split_listing
from residua.data.near_duplicates import Group, find_duplicates
from residua.data.open import find
from residua.data.scan import ReportProgress, Scan, scan
from residua.data.sources.objects import PYTHON
from residua.data.sources.table import parse_source
from residua.data.split import VAL_FRACTION, fold_numbers
from residua.errors import ConfigError, DataError
from residua.files import write_file
from residua.jobs.first_weights import model_facts
from residua.jobs.train import Stop
from residua.jobs.train_request import TrainRequest
from residua.runs.run import open_run
from residua.spec.amount import quantity
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.run_data import reopen

CSV, PAGE, PLAN = "clean.csv", "clean.html", "plan.json"
"""Files in the output folder: the table to edit, the page, and the recorded request."""
FOLDS = 5
"""Default number of folds, as in cleanlab."""


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """Which source is cleaned, and by which networks.

    Raises:
        ConfigError: No image would be predicted.
    """

    training: TrainRequest
    """The source, and the network and recipe of the folds."""
    folds: int = FOLDS
    """Networks to train; 0 uses `run` alone, on the images that it was not trained on."""
    run: Path | None = None
    """A run that predicts the images it was not trained on; None for none."""
    workers: int = 0
    """Processes that read the files; 0 for this one."""

    def __post_init__(self) -> None:
        if self.folds < 0 or self.folds == 1 or (not self.folds and self.run is None):
            raise ConfigError(f"{self.folds} folds: give 2 or more, or 0 with --run")


def all_images(train: Images, test: Images) -> Images:
    """The images of both splits, as the table of a clean names them."""
    return concatenate((train, replace(test, name=train.name)), name="all")


def clean(
    request: CleanRequest,
    out: Path,
    *,
    listen: FoldListener,
    stop: Stop,
    progress: ReportProgress,
    force: bool = False,
) -> CleanResult | None:
    """Clean a source, as described at the top of this file; no image is changed, moved or deleted.

    Args:
        request: The source and the networks.
        out: Folder of the page, the table and the runs; an interrupted clean in it is resumed.
        listen: Receives the Events of the folds.
        stop: Asked after every step; True saves and stops.
        progress: Receives the number of files read and their total.
        force: Replace a finished clean, or one of another request.

    Returns:
        The result; None where `stop` interrupted it.

    Raises:
        ConfigError: The source consists of Python objects.
        DataError: The source cannot be used.
        FileExistsError: `out` holds a finished clean, or one of another request, without `force`.
    """
    source = request.training.source
    if source.startswith(f"{PYTHON}:"):
        raise ConfigError(f"{source} came from Python: give a folder or a label file")
    train, test, split_note = split_listing(find(source), val_fraction=VAL_FRACTION)
    images = all_images(train, test)
    _prepare_folder(request, images, out, force=force)
    files = scan((images,), workers=request.workers, progress=progress)
    duplicates, near_duplicates = find_duplicates(files.facts)
    predictions = FoldPredictions.empty(len(images), len(images.classes))
    notes = [f"{quantity(len(images), 'image')}, {split_note}"]
    readable = np.array([i for i in range(len(images)) if i not in files.reasons], np.int64)
    if request.run:
        notes += _predict_by_run(request, images, files, readable, predictions, progress)
    rest = readable[~predictions.is_predicted[readable]]
    if request.folds and len(rest):
        fold = np.full(len(images), NO_FOLD)
        names = name_hashes([images.title(i) for i in rest.tolist()])
        together = _groups_within(rest, (*duplicates, *near_duplicates))
        fold[rest] = fold_numbers(images.labels[rest], names, count=request.folds, together=together)
        notes.append(
            f"{len(rest):,} predicted by {quantity(request.folds, 'network')}, "
            "each trained without these images"
        )
        is_finished = predict_by_folds(
            replace(request.training, source=str(parse_source(source).absolute())),
            images,
            fold,
            out / "work",
            usable=readable,
            predictions=predictions,
            listen=listen,
            stop=stop,
        )
        if not is_finished:
            return None
    split = CleanSplit(images, len(train), test.name)
    result = suggest_actions(source, split, files, (duplicates, near_duplicates), predictions, tuple(notes))
    _write(result, out, request)
    return result


def _predict_by_run(
    request: CleanRequest,
    images: Images,
    files: Scan,
    readable: NDArray[np.int64],
    predictions: FoldPredictions,
    progress: ReportProgress,
) -> list[str]:
    """Predict by the run all images whose content it was not trained on; notes on how many these are."""
    assert request.run is not None
    run = open_run(request.run)
    named = str(parse_source(request.training.source).absolute())
    source = named if named == run.recipe.data.source else ""
    in_training = was_trained_on(
        run, files.facts["digest"], source=source, workers=request.workers, progress=progress
    )
    indices = readable[~in_training[readable]]
    notes = [f"{len(indices):,} predicted by {run.path}, which was not trained on them"]
    if trained := len(readable) - len(indices):
        notes.append(f"{trained:,} in its training set" + ("" if request.folds else ": not predicted"))
    if weights := run.recipe.weights:
        notes.append(f"it started from {weights}: whether that was trained on them is not known")
    if not len(indices) and not request.folds:
        raise DataError(f"{run.path} was trained on all of these images: give --folds 2 or more")
    if len(indices):
        training = reopen(run, ClassifyData(), source=source).train
        predictions.predict(run.path, images, indices, trained_on=training)
    return notes


def _groups_within(indices: NDArray[np.int64], groups: Sequence[Group]) -> Iterator[list[int]]:
    """`groups` as positions in `indices`, without members that are elsewhere."""
    position = {index: k for k, index in enumerate(indices.tolist())}
    for group in groups:
        if len(members := [position[index] for index in group if index in position]) > 1:
            yield members


def _prepare_folder(request: CleanRequest, images: Images, out: Path, *, force: bool) -> None:
    """Make `out`, or check that it holds an interrupted clean of the same request."""
    training = request.training
    plan: dict[str, Any] = {
        "source": str(parse_source(training.source).absolute()),
        "digest": hashlib.sha256(images.identity()).hexdigest(),
        "folds": request.folds,
        "run": str(request.run.absolute()) if request.run else "",
        "model": model_facts(training.model, training.model_changes),
        "recipe": training.recipe,
        "weights": training.weights,
        "epochs": training.epochs,
        "changes": [list(change) for change in training.changes],
    }
    existing = json.loads((out / PLAN).read_text()) if (out / PLAN).exists() else None
    if (out / CSV).exists() and not force:
        raise FileExistsError(f"{out / CSV} exists, perhaps with your edits: give --force or another -o")
    if existing is not None and existing != plan:
        differing = ", ".join(name for name in plan if plan[name] != existing.get(name))
        if not force:
            raise FileExistsError(f"{out} holds a clean with another {differing}: give --force or another -o")
        shutil.rmtree(out / "work", ignore_errors=True)
    (out / "work").mkdir(parents=True, exist_ok=True)
    write_file(out / PLAN, json.dumps(plan, indent=2))


def _write(result: CleanResult, out: Path, request: CleanRequest) -> None:
    from residua.curate.clean_page import clean_page

    write_file(out / PAGE, clean_page(result, out))
    source = str(parse_source(result.source).absolute())
    summary = {**result.plain(), "source": source, "run": str(request.run or "")}
    write_file(out / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    write_file(out / CSV, result.csv())  # last: see the top of this file
