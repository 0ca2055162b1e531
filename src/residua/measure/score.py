"""Score: a number that never travels without its protocol, its N and its interval."""

import math
from dataclasses import dataclass

NORMAL_95 = 1.959964
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Score:
    """Top-1 accuracy under one protocol."""

    views: str
    """How each image is shown: `center` is one centre crop."""
    top1: float
    """Images whose likeliest class is their label's, in percent."""
    interval: tuple[float, float]
    """Wilson's 95 % interval of `top1`, in percent."""
    n: int
    """Images, each counted once."""
    split: str
    """Which images."""
    weights: str
    """Which weights: `raw`, after how many steps."""

    @property
    def error(self) -> float:
        """100 - top1, in percent."""
        return 100 - self.top1


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval, in percent, of the share that `right` of `count` estimates (Wilson 1927)."""
    share, z = right / count, NORMAL_95
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, 100 * (middle - half)), min(100.0, 100 * (middle + half))
