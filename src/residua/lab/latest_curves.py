"""LatestCurves: the curves of the plot that was asked for last, with all points, in the order of the axis.

A zoom asks for the same curves again, so what does not depend on it is computed once. They are kept until the
metrics of a run change or another plot is asked for; above `MAX_BYTES` they are not kept.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from residua.lab import curve_lines
from residua.lab.curve_lines import AXIS_COLUMNS, Axis, CurvePoints
from residua.lab.series_store import MAX_BYTES, SeriesStore, metrics_version

Curves = list[list[CurvePoints]]
"""For each run, one curve for each metric."""


class LatestCurves:
    """The curves of the latest plot; threads may share it."""

    def __init__(self, store: SeriesStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._latest: tuple[Any, Curves] = (None, [])

    def get(
        self,
        runs: Sequence[Path],
        metrics: Sequence[str],
        axis: Axis,
        batch_sizes: Sequence[int],
        *,
        is_positive: bool,
    ) -> Curves:
        """Curves of runs.

        Args:
            runs: Run directories.
            metrics: Names of metrics.
            axis: What the positions are.
            batch_sizes: Images of a step of each run; 0 when unknown.
            is_positive: Whether points at zero and below are left out, for a logarithmic axis.

        Raises:
            ResourceError: The cache of metrics cannot be written.
        """
        key = (
            tuple(metrics),
            axis,
            is_positive,
            tuple(batch_sizes),
            [(run, metrics_version(run)) for run in runs],
        )
        with self._lock:
            latest_key, curves = self._latest
        if latest_key == key:
            return curves
        curves = self._read(runs, metrics, axis, batch_sizes, is_positive=is_positive)
        arrays = {
            id(values): values.nbytes for lines in curves for line in lines for values in (line.x, line.y)
        }
        if sum(arrays.values()) <= MAX_BYTES:
            with self._lock:
                self._latest = key, curves
        return curves

    def _read(
        self,
        runs: Sequence[Path],
        metrics: Sequence[str],
        axis: Axis,
        batch_sizes: Sequence[int],
        *,
        is_positive: bool,
    ) -> Curves:
        curves = []
        names = list(dict.fromkeys([*AXIS_COLUMNS[axis], *metrics]))
        for columns, batch_size in zip(self._store.columns(runs, names), batch_sizes, strict=True):
            if AXIS_COLUMNS[axis][0] not in columns:
                curves.append([CurvePoints(np.empty(0), np.empty(0)) for _ in metrics])
                continue
            x = curve_lines.axis_values(columns, axis, batch_size)
            is_plain = curve_lines.is_plain_axis(x)
            lines = [
                curve_lines.curve_points(x, columns.get(metric, x * np.nan), is_axis_plain=is_plain)
                for metric in metrics
            ]
            if is_positive:
                lines = [CurvePoints(line.x[line.x > 0], line.y[line.x > 0]) for line in lines]
            curves.append(lines)
        return curves
