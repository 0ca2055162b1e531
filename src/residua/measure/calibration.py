"""Calibration: whether a network with a confidence of 80 % is right in 80 of 100 cases (Guo et al. 2017)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from residua.measure import resample
from residua.measure.score import Estimate

BINS = 15
"""Bins of equal width that confidences are sorted into; more need more images."""
TINY = 1e-30
"""Lower bound of a probability before the logarithm; float32 may round it to 0."""
TEMPERATURES = (0.05, 20.0)
"""Range in which the temperature is searched for."""

Probabilities = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy, bin by bin."""

    confidence: tuple[float, ...]
    """Mean probability of the likeliest class in each bin that is not empty, in percent."""
    accuracy: tuple[float, ...]
    """Share of its images that are right, in percent."""
    count: tuple[int, ...]
    """Its images."""
    ece: Estimate
    """Mean distance of the two, weighted by images, in percentage points. Its interval begins at 0 where
    chance alone would bring a calibrated network to it."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """One number that logits are divided by, fitted on one half of the images and evaluated on the other."""

    value: float
    """The temperature; above 1 the network was too sure."""
    n: int
    """Images of the half that evaluates."""
    ece_before: float
    """Expected calibration error of that half as it was, in percentage points."""
    ece_after: float
    """The same at the temperature."""
    loss_before: float
    """Mean cross-entropy of that half as it was, in nats."""
    loss_after: float
    """The same at the temperature."""


def reliability(probabilities: Probabilities, labels: Labels) -> Reliability:
    """Confidence against accuracy of `probabilities` (N, K) for `labels` (N,), in `BINS` bins."""
    sure, right = _sureness(probabilities, labels)
    bins = _bins(sure)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    confidence = np.bincount(bins, sure, BINS)[filled] / counts[filled]
    accuracy = np.bincount(bins, right, BINS)[filled] / counts[filled]

    ece = 100 * _gap(sure, right)
    low, high = resample.biased_statistic(lambda sample: _gap(sure[sample], right[sample]), len(labels))
    if ece <= _chance_error(sure):
        low = 0.0
    return Reliability(
        tuple((100 * confidence).tolist()),
        tuple((100 * accuracy).tolist()),
        tuple(counts[filled].tolist()),
        Estimate(ece, (100 * low, 100 * high)),
    )


def temperature(probabilities: Probabilities, labels: Labels) -> Temperature | None:
    """The temperature that makes `probabilities` (N, K) likeliest; None where a half would hold no image.

    Halves are drawn by a fixed seed; probabilities stand in for logits, from which they differ by a constant.
    """
    from scipy.optimize import minimize_scalar

    if len(labels) < 2:
        return None
    order = np.random.default_rng(resample.SEED).permutation(len(labels))
    fit, rest = order[: len(order) // 2], order[len(order) // 2 :]
    bounds = tuple(np.log(TEMPERATURES))
    result = minimize_scalar(
        lambda log: loss(rescale(probabilities[fit], float(np.exp(log))), labels[fit]),
        bounds=bounds,
        method="bounded",
    )
    value = float(np.exp(result.x))
    before, after = probabilities[rest], rescale(probabilities[rest], value)
    gaps = [expected_error(each, labels[rest]) for each in (before, after)]
    losses = [loss(each, labels[rest]) for each in (before, after)]
    return Temperature(value, len(rest), gaps[0], gaps[1], losses[0], losses[1])


def rescale(probabilities: Probabilities, value: float) -> Probabilities:
    """`probabilities` (N, K) after their logits were divided by `value`."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), TINY)) / value
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


def losses(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Cross-entropy of each image, in nats: (N,)."""
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    values: NDArray[np.float64] = -np.log(np.maximum(of_label, TINY))
    return values


def loss(probabilities: Probabilities, labels: Labels) -> float:
    """Mean cross-entropy, in nats."""
    return float(losses(probabilities, labels).mean())


def expected_error(probabilities: Probabilities, labels: Labels) -> float:
    """Expected calibration error, in percentage points, in `BINS` bins of equal width."""
    return 100 * _gap(*_sureness(probabilities, labels))


def _gap(sure: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    return float(np.abs(np.bincount(_bins(sure), sure - right, BINS)).sum() / len(sure))


def _chance_error(sure: NDArray[np.float64]) -> float:
    """Calibration error that a calibrated network exceeds in 1 of 40 sets (Bröcker and Smith 2007)."""
    chance = np.random.default_rng(resample.SEED)
    draws = (chance.random(len(sure)) < sure for _ in range(resample.TIMES))
    return 100 * resample.range95(np.array([_gap(sure, right.astype(np.float64)) for right in draws]))[1]


def _sureness(
    probabilities: Probabilities, labels: Labels
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    right = (probabilities.argmax(1) == labels).astype(np.float64)
    return probabilities.max(1).astype(np.float64), right


def _bins(sure: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((sure * BINS).astype(np.int64), BINS - 1)
