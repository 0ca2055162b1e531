"""Claims: do the values measured here show what a paper concludes?

A conclusion is made of pairs of rows, of which the paper calls the first one worse. Each pair is compared,
and the result is that of the worst of them:

    seen          the interval of every difference lies on the paper's side of zero
    not seen      that of some difference lies on the other side
    cannot tell   zero is in some interval: the rows differ too little for so few runs or images

The interval (95 %) comes from the seeds where both rows have several runs (Welch's t). With one run it comes
from the number of images of which an error is a share; what another seed would change is not in it, so the
text says n = 1. A value that is no share, the response of one network, has to differ by a tenth.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from residua.reproduce.published import PaperClaim

Outcome = Literal["seen", "not seen", "cannot tell"]
"""What a paper's conclusion may become."""
LEAST_SHARE = 0.1
"""Share by which values without an interval have to differ; our choice."""
CONFIDENCE = 0.95
"""Of the intervals."""


@dataclass(frozen=True, slots=True)
class MeasuredValues:
    """The values of one row in the measure of a claim."""

    label: str
    """The paper's name for the row."""
    values: tuple[float, ...]
    """One for each run; at least one."""
    images: int = 0
    """Images of which each value is a share in percent; 0 where it is no share."""

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return statistics.fmean(self.values)


@dataclass(frozen=True, slots=True)
class PairComparison:
    """Two rows, of which the paper calls the first one worse."""

    worse: MeasuredValues
    """The row that is higher in the paper."""
    better: MeasuredValues
    """The row that is lower in the paper."""

    @property
    def difference(self) -> float:
        """Worse minus better: above zero as in the paper."""
        return self.worse.mean - self.better.mean

    @property
    def margin(self) -> float:
        """Half the interval of the difference, in the unit of the values."""
        one, other = self.worse, self.better
        if min(len(one.values), len(other.values)) > 1:
            return _welch_margin(one.values, other.values)
        if one.images and other.images:
            return _normal_quantile() * math.sqrt(_share_variance(one) + _share_variance(other))
        return LEAST_SHARE * min(abs(one.mean), abs(other.mean))

    @property
    def outcome(self) -> Outcome:
        """Whether the difference is larger than its margin, and on which side."""
        if abs(self.difference) <= self.margin:
            return "cannot tell"
        return "seen" if self.difference > 0 else "not seen"

    def __str__(self) -> str:
        """`plain-56 9.66, plain-20 9.31: n = 3, +0.35 ± 0.12`."""
        runs = min(len(self.worse.values), len(self.better.values))
        means = f"{self.worse.label} {self.worse.mean:.2f}, {self.better.label} {self.better.mean:.2f}"
        sign = "+" if self.difference > 0 else "\N{MINUS SIGN}"
        return f"{means}: n = {runs}, {sign}{abs(self.difference):.2f} ± {self.margin:.2f}"


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A conclusion of a paper, and every pair of rows measured for it."""

    claim: PaperClaim
    """The conclusion."""
    comparisons: tuple[PairComparison, ...]
    """Its pairs of which both rows were measured; at least one."""
    where: str = ""
    """Whose values they are, where not those of one page: `with the weights of akamaster`."""

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the pairs."""
        outcomes = [comparison.outcome for comparison in self.comparisons]
        ranked: tuple[Outcome, ...] = ("not seen", "cannot tell", "seen")
        return next(outcome for outcome in ranked if outcome in outcomes)

    @property
    def sentence(self) -> str:
        """The result with the numbers of the pairs that decide it."""
        outcome, count = self.outcome, len(self.comparisons)
        where = f" {self.where}" if self.where else ""
        start = f"{outcome[0].upper()}{outcome[1:]}{where}: {self.claim.says}"
        if count == 1:
            return f"{start} ({self.comparisons[0]}).{self._missing()}"
        if outcome == "seen":
            nearest = min(self.comparisons, key=lambda one: one.difference - one.margin)
            return f"{start}, in {count} of {count} pairs (the nearest: {nearest}).{self._missing()}"
        deciding = [one for one in self.comparisons if one.outcome == outcome]
        agreeing = sum(one.outcome == "seen" for one in self.comparisons)
        pairs = f"{outcome} in {len(deciding)} ({'; '.join(map(str, deciding))})"
        return f"{start}; seen in {agreeing} of {count} pairs, {pairs}.{self._missing()}"

    def _missing(self) -> str:
        """That pairs of the paper were not measured; empty for none."""
        missing = len(self.claim.pairs) - len(self.comparisons)
        return f" The paper has {missing} more." if missing else ""


def check_claim(
    claim: PaperClaim, rows: Mapping[str, MeasuredValues], *, where: str = ""
) -> ClaimResult | None:
    """Compare a conclusion of a paper with what was measured.

    Args:
        claim: The conclusion.
        rows: Label of each row that was measured -> its values in the measure of the claim.
        where: Whose values they are, for the sentence.

    Returns:
        The result; None where no pair of the claim was measured.
    """
    pairs = tuple(
        PairComparison(rows[worse], rows[better])
        for worse, better in claim.pairs
        if worse in rows and better in rows
    )
    return ClaimResult(claim, pairs, where) if pairs else None


def _welch_margin(one: Sequence[float], other: Sequence[float]) -> float:
    """Half the interval of the difference of two means by Welch's t; 0 where no value ever changes."""
    from scipy import stats

    shares = [statistics.variance(values) / len(values) for values in (one, other)]
    if not sum(shares):
        return 0.0
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(values) - 1) for share, values in zip(shares, (one, other), strict=True)
    )
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(sum(shares))


def _normal_quantile() -> float:
    return statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def _share_variance(row: MeasuredValues) -> float:
    """Variance of the mean of values that are percentages of images, in squared points.

    One wrong and one right image are added, as Agresti and Caffo (2000) do for differences of shares: an
    error of 0 has an interval, too.
    """
    count = len(row.values) * row.images
    share = (row.mean / 100 * count + 1) / (count + 2)
    return 100**2 * share * (1 - share) / (count + 2)
