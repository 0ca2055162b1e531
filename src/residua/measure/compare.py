"""Two networks on the same images: how far apart, whether by chance, and which images changed sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from residua.measure import resample
from residua.measure.evaluate import Judgement
from residua.measure.score import Estimate

TIMES = 10_000
"""Resamples of a pair: cheap, for a pair is three counts."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A second network beside a first, image by image."""

    n: int
    """Images."""
    both: int
    """Right in both."""
    lost: int
    """Right in the first alone."""
    won: int
    """Right in the second alone."""
    neither: int
    """Wrong in both."""
    difference: Estimate
    """Top-1 accuracy of the second minus the first, in percentage points; interval by paired bootstrap."""
    p: float
    """Chance that as uneven a split of `lost` and `won` comes from a fair coin (McNemar 1947, exact)."""


def compare(first: Judgement, second: Judgement) -> Comparison:
    """`second` held against `first`. ValueError unless both judged the same labels in the same order."""
    from scipy.stats import binomtest

    if not np.array_equal(first.labels, second.labels):
        raise ValueError("the two judged other images: give both the same --data")
    one, two = first.guesses == first.labels, second.guesses == second.labels
    both, lost, won = int((one & two).sum()), int((one & ~two).sum()), int((~one & two).sum())
    n = len(one)
    chance = np.random.default_rng(resample.SEED)
    shares = np.array([lost, won, n - lost - won]) / n
    drawn = chance.multinomial(n, shares, size=TIMES)  # images drawn in pairs: only the three counts matter
    low, high = resample.range95(100 * (drawn[:, 1] - drawn[:, 0]) / n)
    p = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return Comparison(
        n, both, lost, won, n - both - lost - won, Estimate(100 * (won - lost) / n, (low, high)), p
    )


def changed(first: Judgement, second: Judgement) -> NDArray[np.int64]:
    """Places of the images on whose class the two disagree, those that changed sides first, surest first."""
    places = np.flatnonzero(first.guesses != second.guesses)
    one, two = (j.guesses[places] == j.labels[places] for j in (first, second))
    sure = np.maximum(first.probabilities[places].max(1), second.probabilities[places].max(1))
    found: NDArray[np.int64] = places[np.lexsort((-sure, one == two))]
    return found


def holm(chances: tuple[float, ...]) -> tuple[float, ...]:
    """`chances`, one a comparison, made larger for their number (Holm 1979)."""
    order = np.argsort(chances)
    raised = np.array(chances)[order] * np.arange(len(chances), 0, -1)
    found = np.empty(len(chances))
    found[order] = np.minimum(1, np.maximum.accumulate(raised))
    return tuple(found.tolist())
