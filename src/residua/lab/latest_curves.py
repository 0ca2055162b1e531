"""LatestCurves: the curves of the plot that was asked for last, with all points, in the order of the axis.

A zoom asks for the same curves again, so what does not depend on it is computed once. They are kept until the
metrics of a run change or another plot is asked for; above `MAX_BYTES` they are not kept.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residua.lab import curve_lines
from residua.lab.curve_lines import AXIS_COLUMNS, Axis, CurvePoints
from residua.lab.series_store import MAX_BYTES, SeriesStore, metrics_version

Curves = list[list[CurvePoints]]
"""For each run, one curve for each metric."""


@dataclass(frozen=True, slots=True)
class CurvesRequest:
    """Curves of some runs."""

    runs: tuple[Path, ...]
    """Run directories."""
    metrics: tuple[str, ...]
    """Names of metrics."""
    axis: Axis
    """What the positions are."""
    batch_sizes: tuple[int, ...]
    """Images of a step of each run; 0 when unknown."""
    is_positive: bool
    """Whether points at zero and below are left out, for a logarithmic axis."""


class LatestCurves:
    """The curves of the latest plot; threads may share it."""

    def __init__(self, store: SeriesStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._latest: tuple[Any, Curves] = (None, [])

    def get(self, request: CurvesRequest) -> Curves:
        """Curves as requested.

        Raises:
            ResourceError: The cache of metrics cannot be written.
        """
        key = request, [metrics_version(run) for run in request.runs]
        with self._lock:
            latest_key, curves = self._latest
        if latest_key == key:
            return curves
        curves = self._read(request)
        arrays = {
            id(values): values.nbytes for lines in curves for line in lines for values in (line.x, line.y)
        }
        if sum(arrays.values()) <= MAX_BYTES:
            with self._lock:
                self._latest = key, curves
        return curves

    def _read(self, request: CurvesRequest) -> Curves:
        curves = []
        axis_columns = AXIS_COLUMNS[request.axis]
        columns_of_runs = self._store.columns(
            request.runs, list(dict.fromkeys([*axis_columns, *request.metrics]))
        )
        for columns, batch_size in zip(columns_of_runs, request.batch_sizes, strict=True):
            if axis_columns[0] not in columns:
                curves.append([CurvePoints(np.empty(0), np.empty(0)) for _ in request.metrics])
                continue
            x = curve_lines.axis_values(columns, request.axis, batch_size)
            is_plain = curve_lines.is_plain_axis(x)
            lines = [
                curve_lines.curve_points(x, columns.get(metric, x * np.nan), is_axis_plain=is_plain)
                for metric in request.metrics
            ]
            if request.is_positive:
                lines = [CurvePoints(line.x[line.x > 0], line.y[line.x > 0]) for line in lines]
            curves.append(lines)
        return curves
