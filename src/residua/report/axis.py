"""Axes: what one direction of a chart spans, and the round numbers that label it."""

import dataclasses
import math
from collections.abc import Sequence

from residua.report.svg import ticks

LOG_DIGITS = (1, 2, 5)
"""First digits of the numbers that label a logarithmic axis."""
MOST_LOG_TICKS = 7
"""Numbers that label a logarithmic axis, at most; with more, powers of ten alone do."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """What one direction of a chart spans."""

    low: float
    """Value at its start; on a logarithmic axis, its logarithm."""
    high: float
    """Value at its end; on a logarithmic axis, its logarithm."""
    is_logarithmic: bool = False
    """Whether equal steps are equal factors."""
    is_integer: bool = False
    """Whether it counts, so that ticks between 1 and 2 make no sense."""

    def share(self, value: float) -> float:
        """How far along `value` lies, from 0 to 1; nan for what a logarithm cannot show."""
        if self.is_logarithmic:
            value = math.log10(value) if value > 0 else math.nan
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Values to label, with their text."""
        if self.is_logarithmic:
            return [(digit * 10.0**power, _power(digit, power)) for digit, power in self._log_ticks()]
        step = ticks(self.high - self.low, whole=self.is_integer)[1]
        first, last = (math.floor(end / step + 1e-9) for end in (self.low - 2e-9 * step, self.high))
        values = [step * n for n in range(first, last + 1) if step * n >= self.low - 1e-9 * step]
        return [(value, f"{value:.10g}".replace("-", "−")) for value in values]

    def _log_ticks(self) -> list[tuple[int, int]]:
        """Digit and power of ten: 1, 2 and 5 of every power, or powers alone where those would be many."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        fine = [(digit, power) for power in powers for digit in LOG_DIGITS if self._spans(digit, power)]
        if len(fine) <= MOST_LOG_TICKS:
            return fine
        whole = [power for digit, power in fine if digit == 1]
        return [(1, power) for power in whole[:: max(1, math.ceil((self.high - self.low) / 6))]]

    def _spans(self, digit: int, power: int) -> bool:
        return self.low - 1e-9 <= math.log10(digit) + power <= self.high + 1e-9


def axis_from_zero(values: Sequence[float], *, is_logarithmic: bool = False) -> Axis:
    """An axis from zero, or from the lowest of `values` if negative; a logarithmic one ends at round numbers.

    Args:
        values: What it has to show.
        is_logarithmic: Whether equal steps are equal factors; values that are not positive are left out.

    Returns:
        The axis, with at least two numbers.
    """
    if is_logarithmic:
        positive = [value for value in values if value > 0] or [1.0]
        low, high = _rounded_down(min(positive)), -_rounded_down(1 / max(positive))
        return Axis(low, high if high > low + 1e-9 else low + 1, is_logarithmic=True)
    low, high = min([0.0, *values]), max([0.0, *values])
    return Axis(low, high + 0.03 * (high - low) if high > low else low + 1)


def _rounded_down(value: float) -> float:
    """Logarithm of the largest of 1, 2 or 5 times a power of ten that is no larger than `value`.

    The reciprocals of these numbers begin with 1, 5 and 2: so minus that of 1 / `value` rounds up.
    """
    power = math.floor(math.log10(value) + 1e-9)
    return power + max(math.log10(d) for d in LOG_DIGITS if d * 10.0**power <= value * (1 + 1e-9))


def axis_around(low: float, high: float) -> Axis:
    """An axis a little longer than from `low` to `high`; it starts at a round number."""
    if not high > low:
        return Axis(math.floor(low), math.floor(low) + 1)
    step = ticks(high - low)[1]
    return Axis(step * math.floor(low / step), high + 0.05 * (high - low))


def _power(digit: int, power: int) -> str:
    """`0.02`, `500`, `10⁻⁸` or `2×10⁻⁸`."""
    if -3 <= power <= 3:
        return f"{digit * 10.0**power:.10g}"
    small = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"{f'{digit}×' if digit > 1 else ''}10{str(power).translate(small)}"
