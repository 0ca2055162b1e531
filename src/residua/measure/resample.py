"""Intervals by resampling (bootstrap): the range of a number over other images of the same kind."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

TIMES = 1000
"""Resamples; our choice: the ends of a 95 % interval then vary by a few hundredths of its width."""
SEED = 0
"""Seed of the resampling: the same predictions give the same interval."""

Floats = NDArray[np.float64]


def range95(values: Floats) -> tuple[float, float]:
    """The middle 95 % of resampled `values`, without NaN: samples for which the number is not defined."""
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)


def mean(values: Floats) -> tuple[float, float]:
    """95 % interval of the mean of `values` (N,), images drawn with replacement."""
    return statistic(lambda sample: float(values[sample].mean()), len(values))


def statistic(of: Callable[[NDArray[np.int64]], float], count: int) -> tuple[float, float]:
    """95 % interval of `of`, a function of the indices (N,) of `count` images drawn with replacement."""
    chance = np.random.default_rng(SEED)
    return range95(np.array([of(chance.integers(0, count, count)) for _ in range(TIMES)]))


def biased_statistic(of: Callable[[NDArray[np.int64]], float], count: int) -> tuple[float, float]:
    """95 % interval of a number that chance makes larger, such as a mean distance; it holds the number.

    A sample is to the images as the images are to all images of their kind, so both lean up alike: resampled
    values are moved down by twice their mean excess (Efron and Tibshirani 1993, chapter 10).

    Args:
        of: A function of the indices (N,) of images drawn with replacement, at least 0.
        count: Number of images.

    Returns:
        Both ends, at least 0.
    """
    chance = np.random.default_rng(SEED)
    value = of(np.arange(count))
    samples = np.array([of(chance.integers(0, count, count)) for _ in range(TIMES)])
    low, high = range95(samples - 2 * (samples.mean() - value))
    return max(0.0, min(low, value)), max(high, value)


def mean_of_shares(right: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """95 % interval, from 0 to 1, of the mean of `right` / `counts`, (K,), images drawn within their class.

    Drawing with replacement from a class that has a share p of right ones is a binomial draw.
    """
    chance = np.random.default_rng(SEED)
    samples = chance.binomial(counts, right / counts, size=(TIMES, len(counts)))
    return range95((samples / counts).mean(1))
