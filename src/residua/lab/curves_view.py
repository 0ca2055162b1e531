"""Routes of the curves: many runs on one axis, sampled for the width of the plot.

The response is binary, for 50 runs are a megabyte of text: the length of a JSON head in four bytes, the head,
zeros up to a multiple of eight, the shared positions as float64, and the values of each series of the head as
float32.
"""

import json
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from residua.lab import curve_lines
from residua.lab.actions import in_thread
from residua.lab.columns import Numbers
from residua.lab.curve_lines import Axis, CurvePoints
from residua.lab.latest_curves import CurvesRequest
from residua.lab.state import TheLab, TheRun
from residua.serve.problems import Refusal

router = APIRouter(prefix="/api/curves")
MAX_RUNS = 200
"""Runs in one plot."""
MAX_METRICS = 4
"""Metrics in one plot."""
Names = Annotated[list[str], Query(max_length=MAX_RUNS)]


@router.get("")
async def curves(
    lab: TheLab,
    run: Names,
    metric: Annotated[list[str], Query(max_length=MAX_METRICS)],
    axis: Axis = "epoch",
    width: Annotated[int, Query(ge=16, le=4096)] = 800,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    smooth: Annotated[float, Query(ge=0, le=0.5)] = 0.0,
    group: bool = False,
) -> Response:
    """Curves of runs.

    `smooth` is the window as a share of the whole axis; `group` draws runs that differ by seed alone as mean
    and band; `low` and `high` are the visible part of the axis.
    """

    def response() -> Response:
        paths = tuple(lab.run_path(name) for name in run)
        rows = [lab.table.row(name) for name in run]
        batch_sizes = tuple(row.batch_size if row else 0 for row in rows)
        curves = lab.curves.get(CurvesRequest(paths, tuple(metric), axis, batch_sizes, is_positive=log))
        groups = [row.group if row else "" for row in rows]
        plot = _Plot(run, metric, curves, groups, is_log=log)
        return plot.response(width, (low, high), smooth, group=group)

    return await in_thread(response)


@router.get("/metrics")
async def metrics(lab: TheLab, run: TheRun) -> JSONResponse:
    """The metrics of a run."""
    return JSONResponse(await in_thread(lambda: lab.store.names(run)))


class _Plot:
    """Curves that share an axis: for each run one for each metric."""

    def __init__(
        self,
        runs: Sequence[str],
        metrics: Sequence[str],
        curves: Sequence[Sequence[CurvePoints]],
        groups: Sequence[str],
        *,
        is_log: bool,
    ) -> None:
        self._runs, self._metrics, self._curves = runs, metrics, curves
        self._groups, self._is_log = groups, is_log

    def response(
        self, width: int, window: tuple[float | None, float | None], smooth: float, *, group: bool
    ) -> Response:
        """The curves as a binary response."""
        full = self._extent()
        low, high = (end if edge is None else edge for end, edge in zip(full, window, strict=True))
        if not (np.isfinite(low) and np.isfinite(high)) or low > high:
            raise Refusal(
                400, "low and high cannot be used: give two numbers, low first", reason="bad request"
            )
        edges = curve_lines.column_edges(low, high if high > low else low + 1, width, is_log=self._is_log)
        length = smooth * (full[1] - full[0])
        curves = [line for lines in self._curves for line in lines]
        parts = [curve_lines.visible(line, low, high) for line in curves]
        axis = curve_lines.SharedAxis(parts, edges)
        values = [axis.values(part) for part in parts]
        names = [(run, metric) for run in range(len(self._runs)) for metric in self._metrics]
        series = [_series(*name, "raw") for name in names]
        if length:
            series += [_series(*name, "smooth") for name in names]
            for line in curves:
                part = curve_lines.visible(curve_lines.smoothed(line, length), low, high)
                values.append(axis.values(part))
        if group:
            series, values = self._grouped(series, values)
        head = {
            "runs": list(self._runs),
            "low": low,
            "high": high,
            "extent": full,
            "window": length,
            "series": series,
        }
        return _binary(head, [axis.positions, *values])

    def _extent(self) -> tuple[float, float]:
        """Both ends of the axis over all curves."""
        ends = [(line.x[0], line.x[-1]) for lines in self._curves for line in lines if len(line.x)]
        return (
            (float(min(low for low, _ in ends)), float(max(high for _, high in ends))) if ends else (0.0, 1.0)
        )

    def _grouped(
        self, series: list[dict[str, Any]], values: list[Numbers]
    ) -> tuple[list[dict[str, Any]], list[Numbers]]:
        """Mean and band in the place of runs that differ by seed alone."""
        members: dict[tuple[str, str, str], list[int]] = {}
        for place, one in enumerate(series):
            group = self._groups[one["run"]] or f"run {one['run']}"
            members.setdefault((group, one["metric"], one["part"]), []).append(place)
        new_series: list[dict[str, Any]] = []
        new_values: list[Numbers] = []
        for (_, _, part), places in members.items():
            first = series[places[0]]
            if part == "raw" and any(one["part"] == "smooth" for one in series):
                continue
            mean, low, high = curve_lines.band([values[place] for place in places])
            number = len(places)
            parts: list[tuple[Literal["mean", "low", "high"], Numbers]] = [
                ("mean", mean),
                ("low", low),
                ("high", high),
            ]
            for name, numbers in parts if number > 1 else parts[:1]:
                new_series.append(first | {"part": name, "runs": number})
                new_values.append(numbers)
        return new_series, new_values


def _series(run: int, metric: str, part: str) -> dict[str, Any]:
    """The head of an array: which run, which metric, and `raw`, `smooth`, `mean`, `low` or `high`."""
    return {"run": run, "metric": metric, "part": part, "runs": 1}


def _binary(head: dict[str, Any], arrays: Sequence[Numbers]) -> Response:
    text = json.dumps(head | {"points": len(arrays[0])}).encode()
    start = struct.pack("<I", len(text)) + text
    positions, *values = arrays
    numbers = b"".join(array.astype("<f4").tobytes() for array in values)
    content = start + bytes(-len(start) % 8) + positions.astype("<f8").tobytes() + numbers
    return Response(content, media_type="application/octet-stream")
