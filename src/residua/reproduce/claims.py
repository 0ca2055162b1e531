"""Claims: do the values measured here show what a paper concludes?

A conclusion is made of pairs of rows, of which the paper calls the first one worse. Each pair is compared,
and the result is that of the worst of them:

    seen          the interval of every difference lies on the paper's side of zero
    not seen      that of some difference lies on the other side, also with the wider interval that allows for
                  the choice of the worst of k pairs (Bonferroni)
    cannot tell   zero is in some interval: the rows differ too little for so few runs or images

The interval (95 %) comes from the seeds where both rows have several runs (Welch's t). Where one row has
several, the other gets its spread. With one run each it comes from the number of images of which an error is
a share; what another seed would change is not in it, so the text says n = 1. Values that are no shares, the
responses of networks, also have to differ by a tenth. A network that diverged is worse than one that did not.
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
"""Share by which values that are no shares of images have to differ at least; our choice."""
MOST_SHOWN = 3
"""Pairs that a sentence quotes."""
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
    has_diverged: bool = False
    """Whether the loss of all its runs was no longer finite; the values are then infinite."""

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return statistics.fmean(self.values)

    def __str__(self) -> str:
        """`plain-56 9.66`, or `plain-56 diverged`."""
        return f"{self.label} diverged" if self.has_diverged else f"{self.label} {self.mean:.2f}"


@dataclass(frozen=True, slots=True)
class PairComparison:
    """Two rows, of which the paper calls the first one worse."""

    worse: MeasuredValues
    """The row that is higher in the paper."""
    better: MeasuredValues
    """The row that is lower in the paper."""
    num_pairs: int = 1
    """Pairs of which the worst decides."""
    limit: float | None = None
    """Value that the better row has to be below and the worse one not; None for no limit."""

    @property
    def difference(self) -> float:
        """Worse minus better: above zero as in the paper."""
        if self.worse.has_diverged and self.better.has_diverged:
            return 0.0
        return self.worse.mean - self.better.mean

    @property
    def margin(self) -> float:
        """Half the interval of the difference, in the unit of the values."""
        return self._margin(CONFIDENCE)

    def _margin(self, confidence: float) -> float:
        one, other = self.worse, self.better
        if one.has_diverged or other.has_diverged:
            return 0.0
        are_shares = one.images and other.images
        least = 0.0 if are_shares else LEAST_SHARE * min(abs(one.mean), abs(other.mean))
        if min(len(one.values), len(other.values)) > 1:
            return max(least, _welch_margin(one.values, other.values, confidence))
        if are_shares:
            variance = _share_variance(one) + _share_variance(other)
            least = _normal_quantile(confidence) * math.sqrt(variance)
        longest = max(one.values, other.values, key=len)
        return max(least, _one_run_margin(longest, confidence)) if len(longest) > 1 else least

    @property
    def outcome(self) -> Outcome:
        """Whether the difference is larger than its margin, and on which side."""
        if self.limit is not None:
            return self._outcome_of_limit(self.limit)
        if self.difference > self.margin:
            return "seen"
        is_reversed = self.difference < -self._margin(1 - (1 - CONFIDENCE) / self.num_pairs)
        return "not seen" if is_reversed else "cannot tell"

    def _outcome_of_limit(self, limit: float) -> Outcome:
        """Whether each row is on its side of the limit with its whole interval."""
        worse, better = _own_interval(self.worse), _own_interval(self.better)
        if better[1] < limit <= worse[0]:
            return "seen"
        return "not seen" if better[0] >= limit or worse[1] < limit else "cannot tell"

    def __str__(self) -> str:
        """`plain-56 9.66, plain-20 9.31: n = 3, +0.35 ± 0.12`."""
        counts = sorted({len(self.worse.values), len(self.better.values)})
        runs = f"n = {' and '.join(map(str, counts))}"
        if self.worse.has_diverged or self.better.has_diverged:
            return f"{self.worse}, {self.better}: {runs}"
        sign = "+" if self.difference > 0 else "\N{MINUS SIGN}"
        return f"{self.worse}, {self.better}: {runs}, {sign}{abs(self.difference):.2f} ± {self.margin:.2f}"


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
        part = f" in {count} of the paper's {len(self.claim.pairs)} pairs" if self.is_partial else ""
        start = (
            f"{outcome[0].upper()}{outcome[1:]}{where}{part if outcome == 'seen' else ''}: {self.claim.says}"
        )
        if count == 1:
            return f"{start} ({self.comparisons[0]}).{self._missing()}"
        if outcome == "seen":
            nearest = min(self.comparisons, key=lambda one: one.difference - one.margin)
            of_all = "" if part else f", in {count} of {count} pairs"
            return f"{start}{of_all} (the nearest: {nearest})."
        deciding = sorted(
            (one for one in self.comparisons if one.outcome == outcome), key=lambda one: one.difference
        )
        agreeing = sum(one.outcome == "seen" for one in self.comparisons)
        quoted = deciding[:MOST_SHOWN]
        least = "furthest from it: " if len(deciding) > len(quoted) else ""
        pairs = f"{outcome} in {len(deciding)} ({least}{'; '.join(map(str, quoted))})"
        return f"{start}; seen in {agreeing} of {count} pairs, {pairs}.{self._missing()}"

    @property
    def is_partial(self) -> bool:
        """Whether pairs of the paper were not measured."""
        return len(self.comparisons) < len(self.claim.pairs)

    def _missing(self) -> str:
        """That pairs of the paper were not measured; empty for none, and where the start says it."""
        missing = len(self.claim.pairs) - len(self.comparisons)
        return f" The paper has {missing} more." if missing and self.outcome != "seen" else ""


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
    there = [pair for pair in claim.pairs if pair[0] in rows and pair[1] in rows]
    pairs = tuple(
        PairComparison(rows[worse], rows[better], len(there), claim.limit) for worse, better in there
    )
    return ClaimResult(claim, pairs, where) if pairs else None


def _welch_margin(one: Sequence[float], other: Sequence[float], confidence: float) -> float:
    """Half the interval of the difference of two means by Welch's t; 0 where no value ever changes."""
    from scipy import stats

    shares = [statistics.variance(values) / len(values) for values in (one, other)]
    if not sum(shares):
        return 0.0
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(values) - 1) for share, values in zip(shares, (one, other), strict=True)
    )
    return float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(sum(shares))


def _one_run_margin(values: Sequence[float], confidence: float) -> float:
    """Half the interval of the difference between their mean and one other run with as much spread."""
    from scipy import stats

    count = len(values)
    quantile = float(stats.t.ppf((1 + confidence) / 2, count - 1))
    return quantile * statistics.stdev(values) * math.sqrt(1 / count + 1)


def _own_interval(row: MeasuredValues) -> tuple[float, float]:
    """The interval of one row: from its seeds, or with one run from its images."""
    from scipy import stats

    margin = 0.0
    if len(row.values) > 1 and not row.has_diverged:
        quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(row.values) - 1))
        margin = quantile * statistics.stdev(row.values) / math.sqrt(len(row.values))
    elif not row.has_diverged:
        margin = _normal_quantile(CONFIDENCE) * math.sqrt(_share_variance(row))
    return row.mean - margin, row.mean + margin


def _normal_quantile(confidence: float) -> float:
    return statistics.NormalDist().inv_cdf((1 + confidence) / 2)


def _share_variance(row: MeasuredValues) -> float:
    """Variance of a percentage of images, in squared points; several runs see the same images.

    One wrong and one right image are added, as Agresti and Caffo (2000) do for differences of shares: an
    error of 0 has an interval, too.
    """
    share = (row.mean / 100 * row.images + 1) / (row.images + 2)
    return 100**2 * share * (1 - share) / (row.images + 2)
