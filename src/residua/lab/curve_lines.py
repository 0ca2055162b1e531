"""Curves for a plot: axes, smoothing over all points, least and greatest value of each pixel column.

Smoothing comes before sampling, and its window is a length on the axis (steps, epochs, seconds, images), so
runs with different numbers of points are smoothed alike. Sampling keeps the least and the greatest value of
every pixel column: no spike is left out at any zoom. All curves of a plot share the positions on the axis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from residua.lab.columns import Numbers

Places = NDArray[np.intp]
Axis = Literal["step", "epoch", "seconds", "images"]
AXES: tuple[Axis, ...] = ("step", "epoch", "seconds", "images")
AXIS_COLUMNS: Mapping[Axis, tuple[str, ...]] = {
    "step": ("step",),
    "epoch": ("epoch",),
    "seconds": ("step", "images_per_second"),
    "images": ("step",),
}
"""Axis -> the metrics that it is made of."""
EDGE = 1e-9
"""Share by which a window is longer, so that points at its ends count in spite of rounding."""
EXACT_POINTS = 4000
"""Positions up to which every point is sent as it is."""


@dataclass(frozen=True, slots=True)
class CurvePoints:
    """A curve with all its points."""

    x: Numbers
    """Positions on the axis, in ascending order."""
    y: Numbers
    """Values, all finite."""


def axis_values(columns: Mapping[str, Numbers], axis: Axis, batch_size: int) -> Numbers:
    """Positions of the rows of a run on an axis.

    Args:
        columns: Those of `AXIS_COLUMNS`, all of one length.
        axis: `seconds` is the time of training steps, without validation, at the speed of each epoch.
        batch_size: Images of a step; 0 when unknown.

    Returns:
        One number for each row; all NaN where the run lacks what the axis is made of.
    """
    steps = columns[AXIS_COLUMNS[axis][0]]
    unknown = np.full(len(steps), np.nan)
    if axis in ("step", "epoch"):
        return steps
    if not batch_size:
        return unknown
    if axis == "images":
        return steps * batch_size
    speed = columns.get("images_per_second", unknown)
    images = np.diff(steps * batch_size, prepend=0.0)
    is_measured = np.isfinite(speed) & (speed > 0)
    if not is_measured.any():
        return unknown
    latest = np.maximum.accumulate(np.where(is_measured, np.arange(len(speed)), -1))
    latest = np.where(latest < 0, is_measured.argmax(), latest)
    return np.cumsum(images / speed[latest])


def curve_points(x: Numbers, y: Numbers, *, is_axis_plain: bool = False) -> CurvePoints:
    """The points of a curve that are known, in the order of the axis.

    Args:
        x: Positions on the axis.
        y: Values.
        is_axis_plain: What `is_plain_axis` says of `x`, for several curves of a run.
    """
    is_known = np.isfinite(y) if is_axis_plain else np.isfinite(x) & np.isfinite(y)
    if not is_known.all():
        x, y = x[is_known], y[is_known]
    if not is_axis_plain and len(x) > 1 and (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return CurvePoints(x, y)


def is_plain_axis(x: Numbers) -> bool:
    """Whether positions are finite and in ascending order."""
    return bool((x[1:] >= x[:-1]).all()) and bool(np.isfinite(x[[0, -1]]).all()) if len(x) else True


def smoothed(points: CurvePoints, window: float) -> CurvePoints:
    """The mean of all points within half a window to the left and to the right of each point.

    Args:
        points: A curve.
        window: A length on the axis; 0 changes nothing.
    """
    if window <= 0 or not len(points.x):
        return points
    half = window / 2 * (1 + EDGE)
    first = np.searchsorted(points.x, points.x - half, "left")
    last = np.searchsorted(points.x, points.x + half, "right")
    centre = points.y.mean()  # sums of what is around zero lose no digits
    sums = np.concatenate([[0.0], np.cumsum(points.y - centre)])
    return CurvePoints(points.x, centre + (sums[last] - sums[first]) / (last - first))


def visible(points: CurvePoints, low: float, high: float) -> CurvePoints:
    """The points of a curve from `low` to `high`, and the nearest on each side: lines reach the edges."""
    first = max(0, int(np.searchsorted(points.x, low, "left")) - 1)
    last = min(len(points.x), int(np.searchsorted(points.x, high, "right")) + 1)
    return CurvePoints(points.x[first:last], points.y[first:last])


def column_edges(low: float, high: float, pixels: int, *, is_log: bool) -> Numbers:
    """Edges of the pixel columns of a plot from `low` to `high`, one more than columns."""
    if is_log and low > 0:
        return np.geomspace(low, high, pixels + 1)
    return np.linspace(low, high, pixels + 1)


def on_shared_axis(
    curves: Sequence[CurvePoints], edges: Numbers, *, max_points: int = EXACT_POINTS
) -> tuple[Numbers, list[Numbers]]:
    """Curves on positions that they share.

    Args:
        curves: From `visible`.
        edges: From `column_edges`.
        max_points: Positions up to which every point is sent as it is.

    Returns:
        Positions in ascending order, and the values of each curve there, NaN where it has none. With few
        points the positions are those of the points; with many there are two in each pixel column, which hold
        the least and the greatest value of the column in the order in which they occur.
    """
    axis = SharedAxis(curves, edges, max_points)
    return axis.positions, [axis.values(curve) for curve in curves]


class SharedAxis:
    """Positions that curves share: those of all points where they are few, else two in each pixel column."""

    def __init__(self, curves: Sequence[CurvePoints], edges: Numbers, max_points: int = EXACT_POINTS) -> None:
        self._edges = edges
        self._latest_bounds: tuple[Numbers, Places] = (edges[:0], np.zeros(len(edges), np.intp))
        self.is_exact = False
        if all(len(curve.x) <= max_points for curve in curves):
            self.positions = np.unique(np.concatenate([edges[:0], *(curve.x for curve in curves)]))
            is_single = all((np.diff(curve.x) > 0).all() for curve in curves)
            self.is_exact = is_single and len(self.positions) <= max_points
        if not self.is_exact:
            width = np.diff(edges)
            self.positions = np.empty(2 * len(width))
            self.positions[0::2], self.positions[1::2] = edges[:-1] + width / 4, edges[:-1] + 3 * width / 4

    def values(self, curve: CurvePoints) -> Numbers:
        """The values of a curve at the positions; a smoothed curve may take the place of its own raw one."""
        return _at(curve, self.positions) if self.is_exact else _extremes(curve, self._bounds(curve.x))

    def _bounds(self, x: Numbers) -> Places:
        """Where each column begins among the positions `x` of a curve; metrics of a run share theirs."""
        latest, bounds = self._latest_bounds
        if len(latest) != len(x) or latest.ctypes.data != x.ctypes.data:
            bounds = np.searchsorted(x, self._edges)
            bounds[-1] = np.searchsorted(x, self._edges[-1], "right")
            self._latest_bounds = x, bounds
        return bounds


def _at(curve: CurvePoints, positions: Numbers) -> Numbers:
    values = np.full(len(positions), np.nan)
    values[np.searchsorted(positions, curve.x)] = curve.y
    return values


def _extremes(curve: CurvePoints, bounds: Places) -> Numbers:
    """The least and the greatest value of each column in their order; NaN in empty columns.

    Args:
        curve: A curve.
        bounds: Where each column begins in it, and where the last one ends.
    """
    values = np.full(2 * (len(bounds) - 1), np.nan)
    starts, ends = bounds[:-1], bounds[1:]
    is_filled = ends > starts
    if not is_filled.any():
        return values
    places = starts[is_filled]
    y = curve.y[: ends[is_filled][-1]]
    least, greatest = np.minimum.reduceat(y, places), np.maximum.reduceat(y, places)
    # Rising columns end with the greatest value, falling ones with the least.
    is_rising = y[ends[is_filled] - 1] >= y[places]
    values[0::2][is_filled] = np.where(is_rising, least, greatest)
    values[1::2][is_filled] = np.where(is_rising, greatest, least)
    return values


def band(curves: Sequence[Numbers]) -> tuple[Numbers, Numbers, Numbers]:
    """Mean, least and greatest value of several curves at each shared position."""
    stack = np.vstack(curves)
    counts = np.isfinite(stack).sum(0)
    is_known = counts > 0
    mean, low, high = (np.full(stack.shape[1], np.nan) for _ in range(3))
    filled = np.where(np.isfinite(stack), stack, 0.0)
    mean[is_known] = filled.sum(0)[is_known] / counts[is_known]
    low[is_known] = np.nanmin(stack[:, is_known], 0)
    high[is_known] = np.nanmax(stack[:, is_known], 0)
    return mean, low, high
