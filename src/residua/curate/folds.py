"""Predictions by networks that did not train on the images: by folds, in runs that go on when stopped."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.images import Images
from residua.data.listing import SourceListing, matched
from residua.data.scan import Tell, scan
from residua.jobs.prepare import TrainRequest, prepare
from residua.jobs.train import Listen, Stop, begin, pick_up, work
from residua.measure.outliers import distances
from residua.measure.views import judge
from residua.predict.classifier import ready
from residua.runs.run import Run
from residua.tasks.run_data import reopen

Hear = Callable[[int], Listen]
"""From the number of a fold to who listens to its training."""
NOBODY = -1
"""The fold of an image that no network of the folds judges."""


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """What networks say of N images that they did not train on."""

    probabilities: NDArray[np.float32]
    """(N, K); rows of zeros where nobody was asked."""
    distance: NDArray[np.float64]
    """(N,) how far an image is from what its network learned from, over the median; NaN where unknown."""

    @classmethod
    def none(cls, images: int, classes: int) -> "FoldPredictions":
        """Nobody was asked yet."""
        return cls(np.zeros((images, classes), np.float32), np.full(images, np.nan))

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) whether somebody was asked."""
        return np.asarray(self.probabilities.sum(1) > 0)


def by_folds(
    wish: TrainRequest,
    images: Images,
    fold: NDArray[np.int64],
    work_in: Path,
    *,
    opinions: FoldPredictions,
    hear: Hear,
    stop: Stop,
) -> bool:
    """Fill in `opinions` of every image with a `fold`, each by a run that learned from all of other folds.

    Images without a fold are learned from by all. The runs lie in `work_in`; finished ones are not trained
    again, a stopped one goes on. Whether it came to its end, and was not stopped.
    """
    for number in range(int(fold.max(initial=NOBODY)) + 1):
        rest, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(held):
            continue
        found = SourceListing(
            wish.source,
            replace(images.subset(rest), name="train"),
            replace(images.subset(held), name="fold"),
            f"fold {number + 1} of {int(fold.max()) + 1}",
        )
        run = Run(work_in / f"fold-{number + 1}")
        if not run.finished:
            _train(replace(wish, given=found), run, hear(number), stop)
        if not run.finished:
            return False
        said = _opinions(run.path, images.subset(held), images.subset(rest))
        opinions.probabilities[held], opinions.distance[held] = said.probabilities, said.distance
    return True


def by_run(path: Path, images: Images, places: NDArray[np.int64], opinions: FoldPredictions) -> None:
    """Fill in `opinions` of the images at `places` by the network at `path`."""
    held = images.subset(places)
    said = _opinions(path, held, reopen(Run(path)).train)
    opinions.probabilities[places], opinions.distance[places] = said.probabilities, said.distance


def learned_from(run: Run, digests: NDArray[np.uint8], *, workers: int, tell: Tell) -> NDArray[np.bool_]:
    """Which of the images with `digests`, (N, 32) SHA-256 of what is kept, `run` was trained on."""
    facts = scan((reopen(run).train,), workers=workers, tell=tell).facts
    seen, asked = (np.ascontiguousarray(found).view("V32").ravel() for found in (facts["digest"], digests))
    return np.isin(asked.view("S32"), seen.view("S32"))


def _train(wish: TrainRequest, run: Run, listen: Listen, stop: Stop) -> None:
    if (run.path / "recipe.json").exists():
        work(run, pick_up(run, given=wish.given), listen=listen, stop=stop)
        return
    prepared = prepare(wish)
    work(begin(prepared, run.path), prepared, listen=listen, stop=stop)


def _opinions(path: Path, images: Images, learned: Images) -> FoldPredictions:
    """What the network at `path` says of `images`, with classes in their order."""
    network, _, plan = ready(path)
    asked = matched(images, network.class_names, owner=f"the network of {path}")
    view = "flip" if Run(path).recipe.augment.flip else "center"  # no mirror that it never learned from
    said = judge(network, asked, plan, view).probabilities
    order = np.array([network.class_names.index(name) for name in images.classes])
    return FoldPredictions(said[:, order], distances(network, images, learned))
