"""LinearProbe: the best linear head on a frozen network, with its strength by cross-validation, and kNN.

    plan = feature_plan()
    features = extract_features(network, dataset.train, plan, seed=recipe.seed, listen=listen, stop=stop)
    probe = fit_probe(features)              # seconds; probe.accuracy is cross-validated
    install_head(network, probe)             # network + head now gives the logits of the probe
    probe.neighbours                         # the baseline: k nearest neighbours on the same folds

Only training images are read, so a test set stays unused. All views of an image, and images that look alike,
lie in one fold. Cross-validated predictions are those of the centre crop, as in evaluation.
"""

import copy
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from residua.data.split import fold_numbers
from residua.errors import ConfigError, DataError
from residua.events import Activity, Listen
from residua.measure.score import Estimate, wilson
from residua.nn.network import Network
from residua.spec.amount import quantity
from residua.training.frozen_features import FrozenFeatures
from residua.training.prefetch import StopRequested

FOLDS = 5
"""Folds of the cross-validation; our choice."""
STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""Penalties that are compared, strongest first: each begins where the one before ended."""
DEFAULT_STRENGTH = 10.0
"""The penalty where nothing can be held out."""
NEIGHBOURS = (1, 3, 5, 10, 20)
"""Numbers of neighbours that are compared."""
IMBALANCE = 1.5
"""Largest class over smallest from which on classes are weighted; our choice."""
COARSE, FINE = 1e-3, 1e-4
"""Largest gradient at the end of a fit: of the folds, and of the head."""
ITERATIONS = 500
"""Most iterations of one fit."""
ABSENT = -20.0
"""Bias of a class without images: its probability is at most exp(-20)."""
EXCLUDED = -1
"""Fold of an image that is always trained on: its class has no other."""
ROWS = 1024
"""Images whose neighbours are searched at once."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The baseline: k nearest neighbours by the cosine between features."""

    k: int
    """Number of neighbours, chosen by the folds."""
    accuracy: Estimate
    """Share of held-out images that it gets right, in percent, with Wilson's 95 % interval."""

    def __str__(self) -> str:
        return f"{self.k}-nearest neighbours: {_percent(self.accuracy)}"


@dataclass(frozen=True, eq=False, slots=True)
class LinearProbe:
    """A linear head for a frozen network."""

    weight: Tensor
    """(classes, D) float32, for the features as the network computes them."""
    bias: Tensor
    """(classes,) float32."""
    strength: float
    """L2 penalty of the weights of standardised features; the loss is summed over the images."""
    accuracy: Estimate | None
    """Share of held-out images that are right, in percent, with Wilson's 95 % interval; None if no image
    could be held out."""
    macro: float
    """Mean over classes of that share, in percent; 0 if no image could be held out."""
    loss: float
    """Mean cross-entropy of held-out images, in nats; 0 if no image could be held out."""
    n: int
    """Images that were held out once."""
    folds: int
    """Folds of the cross-validation; 0 if no image could be held out."""
    right: NDArray[np.bool_]
    """Whether each image was right when it was held out; False for those that never were: (N,)."""
    neighbours: Neighbours | None
    """The baseline; None if no image could be held out."""
    notes: tuple[str, ...]
    """What the user should know, a phrase each: class weights, classes without images, copies."""
    seconds: float
    """Seconds of cross-validation and fit, without the features."""

    def __str__(self) -> str:
        if self.accuracy is None:
            tested = "not tested, because no class has two images"
        else:
            tested = f"{_percent(self.accuracy)}, {quantity(self.folds, 'fold')} of {self.n:,} images"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"linear probe: {tested}, strength {self.strength:g}, {self.seconds:.1f} s{notes}"


def fit_probe(
    features: FrozenFeatures,
    *,
    folds: int = FOLDS,
    strengths: Sequence[float] = STRENGTHS,
    is_measured: bool = True,
    listen: Listen = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> LinearProbe:
    """Fit a multinomial logistic regression on standardised features, and the head that it makes.

    The strength is that with the least loss on images that are held out: with 10 images in each of 3 classes
    it gave up to 2 points more on test images than the most right answers, which vary by chance. Where
    classes are imbalanced, they are weighted, in that loss too.

    Args:
        features: Of the training images.
        folds: Folds of the cross-validation, 2 or more.
        strengths: Penalties to compare.
        is_measured: Whether images are held out to choose and to measure; without it there is one strength.
        listen: Receives an Activity.
        stop: Asked after every fit.

    Returns:
        The head, its cross-validated accuracy, and the baseline.

    Raises:
        ConfigError: Fewer than 2 folds, or a strength that is not above 0.
        DataError: Fewer than two classes have images.
        StopRequested: `stop` returned True.
    """
    if folds < 2 or not strengths or min(strengths) <= 0:
        raise ConfigError(
            f"{folds} folds, strengths {tuple(strengths)}: give 2 folds or more, strengths above 0"
        )
    present, labels = np.unique(features.labels, return_inverse=True)
    if len(present) < 2:
        names = ", ".join(features.classes[label] for label in present) or "none"
        raise DataError(f"a linear probe needs images of two classes, the training set has {names}: add more")
    start = time.monotonic()
    ordered = tuple(sorted(strengths, reverse=True))
    fold = np.full(len(labels), EXCLUDED)
    if is_measured:
        listen(Activity(f"linear probe of {quantity(len(labels), 'image')}, {folds} folds"))
        fold = _fold_of_each(features, labels, folds)
    regression = _Regression(labels, len(present), stop)
    held_out = np.flatnonzero(fold != EXCLUDED)
    best = DEFAULT_STRENGTH if is_measured else ordered[0]
    probabilities = np.zeros((len(labels), len(present)))
    if len(held_out):
        tables = regression.cross_validate(features.values, fold, ordered)
        best, probabilities = _best(ordered, tables, regression, held_out)
    weight, bias = regression.fit(features.values, best)
    right = (probabilities.argmax(1) == labels) & (fold != EXCLUDED)
    true = probabilities[held_out, labels[held_out]]
    neighbours = _neighbours(features.values[0], labels, fold, len(present), stop) if len(held_out) else None
    return LinearProbe(
        *_for_all_classes(weight, bias, present, len(features.classes)),
        strength=best,
        accuracy=_estimate(int(right.sum()), len(held_out)) if len(held_out) else None,
        macro=100 * _macro(right, labels, held_out),
        loss=float(-np.log(np.maximum(true, 1e-12)).mean()) if len(held_out) else 0.0,
        n=len(held_out),
        folds=folds if len(held_out) else 0,
        right=right,
        neighbours=neighbours,
        notes=_notes(features, regression, fold, present) if is_measured else (),
        seconds=time.monotonic() - start,
    )


def install_head(network: Network, probe: LinearProbe) -> None:
    """Copy the head of a probe into the last layer of the network it was made for.

    Raises:
        ConfigError: The last layer has another shape.
    """
    layer = network.get_classifier()
    shape = tuple(probe.weight.shape)
    if not isinstance(layer, nn.Linear) or tuple(layer.weight.shape) != shape:
        raise ConfigError(f"the probe has {shape[0]} classes and {shape[1]} features: {layer} has others")
    with torch.no_grad():
        layer.weight.copy_(probe.weight)
        layer.bias.copy_(probe.bias)


@dataclass(frozen=True, eq=False, slots=True)
class _Regression:
    """Logistic regressions on the same images."""

    labels: NDArray[np.int64]
    """(N,) indices into the classes that have images."""
    classes: int
    """How many classes have images."""
    stop: Callable[[], bool]
    """Whether the user asked to stop."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Images of each class."""
        return np.bincount(self.labels, minlength=self.classes)

    @property
    def is_weighted(self) -> bool:
        """Whether classes are so unequal that they are weighted."""
        return bool(self.counts.max() >= IMBALANCE * self.counts.min())

    def cross_validate(
        self, values: NDArray[np.float32], fold: NDArray[np.int64], strengths: Sequence[float]
    ) -> list[Floats]:
        """For each strength, probabilities (N, classes) of the centre crop of each image when held out."""
        tables = [np.zeros((len(fold), self.classes)) for _ in strengths]
        for number in np.unique(fold[fold != EXCLUDED]):
            inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            mean, deviation = _standard(values[0, inside])
            tested = (values[0, outside] - mean) / deviation
            fits = self._path((values[:, inside] - mean) / deviation, inside, strengths, COARSE)
            for table, fit in zip(tables, fits, strict=True):
                table[np.ix_(outside, fit.classes_)] = fit.predict_proba(tested)
        return tables

    def fit(self, values: NDArray[np.float32], strength: float) -> tuple[Floats, Floats]:
        """Weight (classes, D) and bias (classes,) for features that are not standardised."""
        mean, deviation = (each.astype(np.float64) for each in _standard(values[0]))
        everything = np.arange(len(self.labels))
        (fit,) = self._path((values - mean) / deviation, everything, [strength], FINE)
        weight, bias = fit.coef_, fit.intercept_
        if self.classes == 2:  # scikit-learn has one row then: the difference of two
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        weight, bias = weight - weight.mean(0), bias - bias.mean()
        weight = weight / deviation
        return weight, bias - weight @ mean

    def _path(
        self,
        inputs: NDArray[np.floating],
        rows: NDArray[np.int64],
        strengths: Sequence[float],
        tolerance: float,
    ) -> list[Any]:
        """A fit for each strength on (V, n, D) inputs, each begun where the one before ended."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        views = len(inputs)
        flat, targets = inputs.reshape(-1, inputs.shape[-1]), np.tile(self.labels[rows], views)
        model = LogisticRegression(
            tol=tolerance,
            max_iter=ITERATIONS,
            warm_start=True,
            class_weight="balanced" if self.is_weighted else None,
        )
        fits = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # what it has then is as good a head
            for strength in strengths:
                if self.stop():
                    raise StopRequested
                model.set_params(C=1 / (views * strength))
                fits.append(copy.deepcopy(model.fit(flat, targets)))
        return fits


def _standard(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation of each feature of (n, D) values; 1 where it never changes."""
    mean, deviation = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
    return mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)


def _fold_of_each(features: FrozenFeatures, labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The fold of each image; EXCLUDED where its class would have no image outside that fold."""
    fold = fold_numbers(labels, features.hashes, count=count, together=features.copies)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(np.unique(fold[members])) == 1:
            fold[members] = EXCLUDED
    return fold


def _best(
    strengths: Sequence[float], tables: Sequence[Floats], regression: _Regression, rows: NDArray[np.int64]
) -> tuple[float, Floats]:
    """The best strength, and its probabilities."""
    labels = regression.labels[rows]
    weights = 1 / regression.counts[labels] if regression.is_weighted else np.ones(len(rows))
    losses = [-np.log(np.maximum(table[rows, labels], 1e-12)) @ weights for table in tables]
    best = int(np.argmin(losses))
    return strengths[best], tables[best]


def _neighbours(
    values: NDArray[np.float32],
    labels: NDArray[np.int64],
    fold: NDArray[np.int64],
    classes: int,
    stop: Callable[[], bool],
) -> Neighbours:
    """The best number of neighbours, each image looked up among the images of other folds."""
    units = normalize(torch.from_numpy(values))
    rows = np.flatnonzero(fold != EXCLUDED)
    most = min(max(NEIGHBOURS), min(int((fold != number).sum()) for number in np.unique(fold[rows])))
    sizes = [k for k in NEIGHBOURS if k <= most]
    right = np.zeros(len(sizes), np.int64)
    for number in np.unique(fold[rows]):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for some in np.split(outside, range(ROWS, len(outside), ROWS)):
            if stop():
                raise StopRequested
            nearness, places = (units[some] @ units[inside].T).topk(most)
            votes = (
                np.eye(classes)[labels[inside][places.numpy()]] * np.maximum(nearness.numpy(), 0)[..., None]
            )
            for place, k in enumerate(sizes):
                right[place] += int((votes[:, :k].sum(1).argmax(1) == labels[some]).sum())
    best = int(right.argmax())
    return Neighbours(sizes[best], _estimate(int(right[best]), len(rows)))


def _for_all_classes(
    weight: Floats, bias: Floats, present: NDArray[np.int64], classes: int
) -> tuple[Tensor, Tensor]:
    """Weight and bias with rows for classes without images, which are never predicted."""
    all_weights, all_biases = np.zeros((classes, weight.shape[1])), np.full(classes, ABSENT)
    all_weights[present], all_biases[present] = weight, bias
    return torch.from_numpy(all_weights).float(), torch.from_numpy(all_biases).float()


def _macro(right: NDArray[np.bool_], labels: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """Mean over classes of the share of their images in `rows` that are right."""
    counts, hits = np.bincount(labels[rows]), np.bincount(labels[rows], weights=right[rows])
    return float((hits[counts > 0] / counts[counts > 0]).mean()) if len(rows) else 0.0


def _estimate(right: int, count: int) -> Estimate:
    return Estimate(100 * right / count, wilson(right, count))


def _percent(accuracy: Estimate) -> str:
    low, high = accuracy.interval
    return f"{accuracy.value:.1f} % (95 % interval {low:.1f} to {high:.1f})"


def _notes(
    features: FrozenFeatures, regression: _Regression, fold: NDArray[np.int64], present: NDArray[np.int64]
) -> tuple[str, ...]:
    counts, notes = regression.counts, []
    if regression.is_weighted:
        notes.append(f"classes of {counts.min():,} to {counts.max():,} images weighted to count alike")
    if excluded := len(np.unique(regression.labels[fold == EXCLUDED])):
        notes.append(f"{quantity(excluded, 'class')} with one image, which no fold holds out")
    if missing := len(features.classes) - len(present):
        notes.append(f"{quantity(missing, 'class')} without images, never predicted")
    if copies := sum(map(len, features.copies)):
        notes.append(f"{copies:,} images that look alike share folds")
    if len(features.labels) < features.total:
        notes.append(f"{len(features.labels):,} of {features.total:,} images, the same share of each class")
    return tuple(notes)
