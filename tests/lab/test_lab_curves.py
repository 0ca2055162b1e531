"""No spike is left out at any zoom, and smoothing is by the unit of the axis."""

import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_runs import metrics_row, write_run

from residua.lab.curve_lines import (
    EDGE,
    EXACT_POINTS,
    CurvePoints,
    axis_values,
    band,
    column_edges,
    curve_points,
    on_shared_axis,
    smoothed,
    visible,
)
from server_process import Server

MANY = 100_000


def decode(response: httpx.Response) -> tuple[dict[str, Any], np.ndarray, list[np.ndarray]]:
    """Head, positions and values of a response of curves."""
    assert response.status_code == 200, response.text
    content = response.content
    (length,) = struct.unpack_from("<I", content)
    head = json.loads(content[4 : 4 + length])
    start, points = -(-(4 + length) // 8) * 8, head["points"]
    values = np.frombuffer(content[start + 8 * points :], "<f4").reshape(-1, points)
    return head, np.frombuffer(content, "<f8", points, start), list(values)


@pytest.mark.parametrize("is_log", [False, True])
@settings(max_examples=30, deadline=None)
@given(spike=st.integers(0, MANY - 1), low=st.floats(1, MANY - 2), share=st.floats(0, 1))
def test_no_spike_is_left_out(is_log: bool, spike: int, low: float, share: float) -> None:
    x = np.arange(1.0, MANY + 1)
    y = np.zeros(MANY)
    y[spike] = 1.0
    high = low + share * (MANY - low)
    part = visible(CurvePoints(x, y), low, high)
    grid, (values,) = on_shared_axis([part], column_edges(low, max(high, low + 1), 300, is_log=is_log))
    assert len(grid) <= max(EXACT_POINTS, 600, 1204)
    assert (np.diff(grid) > 0).all()
    if low <= x[spike] <= high:
        assert np.nanmax(values) == 1
        at = grid[np.nanargmax(values)]
        width = np.diff(column_edges(low, max(high, low + 1), 300, is_log=is_log)).max()
        assert abs(at - x[spike]) <= width


def test_few_points_are_sent_as_they_are() -> None:
    curves = [
        CurvePoints(np.array([1.0, 3.0]), np.array([5.0, 6.0])),
        CurvePoints(np.array([2.0]), np.array([7.0])),
    ]
    grid, values = on_shared_axis(curves, column_edges(1, 3, 100, is_log=False))
    assert grid.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(values, [[5, np.nan, 6], [np.nan, 7, np.nan]])


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.1, 50))
def test_smoothing_is_the_mean_of_all_points_in_the_window(places: list[float], window: float) -> None:
    x = np.sort(places)
    y = np.cos(x) * 1e6
    half = window / 2 * (1 + EDGE)
    expected = [y[(x >= at - half) & (x <= at + half)].mean() for at in x]
    np.testing.assert_allclose(smoothed(CurvePoints(x, y), window).y, expected, rtol=1e-9, atol=1e-3)


def test_runs_with_more_points_are_smoothed_alike() -> None:
    few, many = np.linspace(0, 10, 101), np.linspace(0, 10, 10_001)
    soft = [smoothed(CurvePoints(x, np.sin(x)), 2.0) for x in (few, many)]
    np.testing.assert_allclose(soft[0].y, soft[1].y[::100], atol=0.02)
    assert smoothed(soft[0], 0.0) is soft[0]


def test_axes_are_steps_epochs_images_and_seconds() -> None:
    steps = np.array([10.0, 20.0, 40.0])
    columns = {
        "step": steps,
        "epoch": np.array([1.0, 2.0, 4.0]),
        "images_per_second": np.array([np.nan, 100.0, 50.0]),
    }
    assert axis_values(columns, "images", 32).tolist() == [320, 640, 1280]
    assert axis_values(columns, "epoch", 0).tolist() == [1, 2, 4]
    assert axis_values(columns, "seconds", 10).tolist() == [1, 2, 6]
    assert np.isnan(axis_values(columns, "images", 0)).all(), "the batch size is unknown"
    assert np.isnan(axis_values({"step": steps}, "seconds", 10)).all()


def test_points_come_in_the_order_of_the_axis_without_gaps() -> None:
    points = curve_points(np.array([3.0, 1.0, np.nan, 2.0]), np.array([30.0, np.nan, 5.0, 20.0]))
    assert (points.x.tolist(), points.y.tolist()) == ([2, 3], [20, 30])


def test_a_band_is_mean_and_range_of_the_curves_that_have_a_point() -> None:
    mean, low, high = band([np.array([1.0, np.nan, np.nan]), np.array([3.0, 5.0, np.nan])])
    np.testing.assert_array_equal([mean, low, high], [[2, 5, np.nan], [1, 5, np.nan], [3, 5, np.nan]])


def test_curves_of_the_server_keep_a_spike_of_a_large_run(lab: Server, runs: Path) -> None:
    run = write_run(runs / "large", errors=[1.0], finished=False)
    lines = [json.dumps(metrics_row(number, 20.0 if number != 7777 else 99.0)) for number in range(2, 20_000)]
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n".join(lines) + "\n")
    ask = {"run": "large", "metric": "test_error", "axis": "step", "width": 400}
    with lab.client() as client:
        head, x, (values,) = decode(client.get("/api/curves", params=ask))
        assert len(x) == 800
        assert (np.nanmax(values), head["extent"]) == (99, [4, 4 * 19_999])
        head, x, (values,) = decode(client.get("/api/curves", params=ask | {"low": 31_000, "high": 31_200}))
        assert x[np.nanargmax(values)] == 4 * 7777
        assert len(x) == 53, "51 points, and one on each side"
        assert client.get("/api/curves", params=ask | {"low": 5, "high": 4}).status_code == 400
        assert client.get("/api/curves", params=ask | {"axis": "minutes"}).status_code == 400


def test_seeds_of_a_recipe_become_mean_and_range(lab: Server) -> None:
    with lab.client() as client:
        while client.get("/api/runs").json()["unread"]:
            pass
        ask = {"run": ["again-1", "colours", "again-2"], "metric": "test_error", "group": True}
        head, _, values = decode(client.get("/api/curves", params=ask))
        by_part = {(one["run"], one["part"]): place for place, one in enumerate(head["series"])}
        assert head["series"][by_part[0, "mean"]]["runs"] == 3, "all have the same recipe but for the seed"
        means = values[by_part[0, "mean"]]
        assert values[by_part[0, "low"]][2] <= means[2] <= values[by_part[0, "high"]][2]
