"""Compare two networks on the same examples: paired bootstrap, McNemar's test, Holm's correction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from residua.errors import ConfigError
from residua.measure import resample
from residua.measure.evaluation import Evaluation
from residua.measure.score import Estimate

RESAMPLES = 10_000
"""Resamples of a pair; our choice: each is cheap, because it only counts three outcomes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A second network compared with a first, example by example."""

    n: int
    """Examples."""
    both: int
    """Right in both."""
    losses: int
    """Right in the first alone."""
    wins: int
    """Right in the second alone."""
    neither: int
    """Wrong in both."""
    difference: Estimate
    """Top-1 accuracy of the second minus the first, in percentage points; interval by paired bootstrap."""
    p: float
    """Probability of a split of `losses` and `wins` at least as uneven by chance (McNemar 1947, exact)."""


def compare_evaluations(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare `second` with `first`.

    Raises:
        ConfigError: The labels differ, so the examples are not the same.
    """
    if not np.array_equal(first.labels, second.labels):
        raise ConfigError("the two were evaluated on different examples: give both the same --data")
    return compare_outcomes(first.predicted == first.labels, second.predicted == second.labels)


def compare_outcomes(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Comparison:
    """Compare two networks by which examples each gets right.

    Args:
        first: (N,) whether the first network is right.
        second: (N,) whether the second is right, on the same examples.
    """
    from scipy.stats import binomtest

    both, losses, wins = (
        int((first & second).sum()),
        int((first & ~second).sum()),
        int((~first & second).sum()),
    )
    n = len(first)
    chance = np.random.default_rng(resample.SEED)
    shares = np.array([losses, wins, n - losses - wins]) / n
    counts = chance.multinomial(
        n, shares, size=RESAMPLES
    )  # examples are drawn in pairs: three counts suffice
    low, high = resample.range95(100 * (counts[:, 1] - counts[:, 0]) / n)
    p = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    difference = Estimate(100 * (wins - losses) / n, (low, high))
    return Comparison(n, both, losses, wins, n - both - losses - wins, difference, p)


def changed(first: Evaluation, second: Evaluation) -> NDArray[np.int64]:
    """Indices of the examples that the two predict differently.

    Those that only one of them gets right come first, each group with the highest confidence first.
    """
    indices = np.flatnonzero(first.predicted != second.predicted)
    one, two = (e.predicted[indices] == e.labels[indices] for e in (first, second))
    confidence = np.maximum(first.probabilities[indices].max(1), second.probabilities[indices].max(1))
    ordered: NDArray[np.int64] = indices[np.lexsort((-confidence, one == two))]
    return ordered


def holm(p_values: tuple[float, ...]) -> tuple[float, ...]:
    """`p_values`, one a comparison, corrected for their number (Holm 1979)."""
    order = np.argsort(p_values)
    products = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(products))
    return tuple(corrected.tolist())
