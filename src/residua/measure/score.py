"""Score: a number with its protocol, its number of examples and its 95 % interval."""

import math
from dataclasses import dataclass

NORMAL_95 = 1.959964
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and the range that other images of the same kind would put it in."""

    value: float
    """The number, in the unit of the field that holds it."""
    interval: tuple[float, float]
    """95 % interval, in the same unit."""


@dataclass(frozen=True, slots=True, repr=False)
class Score:
    """Top-1 accuracy under one protocol, and other numbers from the same predictions."""

    views: str
    """How each image is shown: a name in `measure.views.VIEWS`."""
    top1: float
    """Share of images whose predicted class is their label, in percent."""
    interval: tuple[float, float]
    """Wilson's 95 % interval of `top1`, in percent."""
    n: int
    """Images, each counted once."""
    split: str
    """Name of the split."""
    weights: str
    """Which weights: `raw`, `ema` or `best`, and of how many networks together."""
    top5: Estimate | None = None
    """Images whose label is among the five likeliest classes, in percent; None with five classes or fewer."""
    macro: Estimate | None = None
    """Mean over classes of their top-1 accuracy, in percent: every class counts alike."""
    loss: Estimate | None = None
    """Mean cross-entropy, in nats."""
    ece: Estimate | None = None
    """Expected calibration error, in percentage points (Guo et al. 2017)."""
    clip: str = ""
    """Of videos: which frames a clip has, at which rate, in how many views; empty for images."""

    def __repr__(self) -> str:
        low, high = self.interval
        size = f"n = {self.n:,} of {self.split}"
        return (
            f"Score({self.views}: {self.top1:.2f} % top-1, 95 % interval {low:.2f} to {high:.2f}, "
            f"{size}, {self.weights} weights)"
        )

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
