"""Predictions on images by networks that did not train on them: cross-validation in resumable runs.

Every fold is a run of its own in `work/fold-N`. A finished run is not trained again; a stopped one is
resumed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.images import Images
from residua.data.listing import SourceListing, match_classes
from residua.data.scan import ReportProgress, scan
from residua.events import Event, Listen
from residua.jobs.prepare import prepare
from residua.jobs.train import Stop, create_run, fit_run, load_run
from residua.jobs.train_request import TrainRequest
from residua.measure.outliers import distances
from residua.measure.views import evaluate_view
from residua.predict.classifier import load
from residua.runs.run import Run
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.run_data import reopen

FoldListener = Callable[[int, Event], None]
"""Receives the number of a fold, from 0, and an Event of its run."""
NO_FOLD = -1
"""The fold of an image that no network of the folds predicts."""


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """Predictions on N images of K classes; rows are filled in as networks make them."""

    probabilities: NDArray[np.float32]
    """(N, K); a row of zeros where there is no prediction."""
    distances: NDArray[np.float64]
    """(N,) distance of an image from the network's training images, over the median; NaN where unknown."""

    @classmethod
    def empty(cls, images: int, classes: int) -> "FoldPredictions":
        """For `images` without predictions."""
        return cls(np.zeros((images, classes), np.float32), np.full(images, np.nan))

    @property
    def is_predicted(self) -> NDArray[np.bool_]:
        """(N,) whether there is a prediction."""
        return np.asarray(self.probabilities.sum(1) > 0)

    def predict(self, path: Path, images: Images, indices: NDArray[np.int64], *, trained_on: Images) -> None:
        """Fill in the predictions of a network on some of the images.

        Args:
            path: The run of the network.
            images: The N images.
            indices: Those that are predicted.
            trained_on: Images that the network was trained on, for the distances.
        """
        some = images.subset(indices)
        classifier = load(path)
        matched = match_classes(some, classifier.classes, owner=f"the network of {path}")
        flips = bool(Run(path).recipe.augment.flip)  # only where training has them
        view = "flip" if flips else "center"
        probabilities = evaluate_view(classifier, matched, view, portion=len(matched)).probabilities
        order = np.array([classifier.classes.index(name) for name in images.classes])
        self.probabilities[indices] = probabilities[:, order]
        self.distances[indices] = distances(classifier.network, some, trained_on)


def predict_by_folds(
    request: TrainRequest,
    images: Images,
    fold: NDArray[np.int64],
    work: Path,
    *,
    usable: NDArray[np.int64],
    predictions: FoldPredictions,
    listen: FoldListener,
    stop: Stop,
) -> bool:
    """Train one network for each fold on the images of all other folds, and predict the fold with it.

    Args:
        request: Network, recipe and source; the source is absolute.
        images: N images.
        fold: (N,) fold of each image, or NO_FOLD: such images are in every training set.
        work: Folder of the runs.
        usable: Indices of the readable images: others are neither trained on nor predicted.
        predictions: Filled in.
        listen: Receives the Events of the runs.
        stop: Asked after every step; True saves the run and stops.

    Returns:
        Whether all folds are finished, and `stop` did not interrupt them.
    """
    count = int(fold.max(initial=NO_FOLD)) + 1
    for number in range(count):
        train, held_out = usable[fold[usable] != number], usable[fold[usable] == number]
        if not len(held_out):
            continue
        listing = SourceListing(
            request.source,
            replace(images.subset(train), name="train"),
            replace(images.subset(held_out), name="fold"),
            f"fold {number + 1} of {count}",
        )
        run = Run(work / f"fold-{number + 1}")
        if not run.finished:
            _train(replace(request, listing=listing), run, partial(listen, number), stop)
        if not run.finished:
            return False
        predictions.predict(run.path, images, held_out, trained_on=images.subset(train))
    return True


def _train(request: TrainRequest, run: Run, listen: Listen, stop: Stop) -> None:
    if (run.path / "recipe.json").exists():
        fit_run(run, load_run(run, listing=request.listing), listen=listen, stop=stop)
        return
    prepared = prepare(request)
    fit_run(create_run(prepared, run.path), prepared, listen=listen, stop=stop)


def was_trained_on(
    run: Run, digests: NDArray[np.uint8], *, source: str = "", workers: int, progress: ReportProgress
) -> NDArray[np.bool_]:
    """Which images were among the training images of a run, by their content.

    Args:
        run: The run.
        digests: (N, 32) SHA-256 of the images as they are stored.
        source: The source of the run's images, if the user named it: no other may be on another machine.
        workers: Processes that read the training images; 0 for this one.
        progress: Receives the number of images read and their total.

    Returns:
        (N,) True for images with the content of a training image.
    """
    facts = scan(
        (reopen(run, ClassifyData(), source=source).train,), workers=workers, progress=progress
    ).facts
    trained, candidates = (
        np.ascontiguousarray(rows).view("V32").ravel() for rows in (facts["digest"], digests)
    )
    return np.isin(candidates.view("S32"), trained.view("S32"))
