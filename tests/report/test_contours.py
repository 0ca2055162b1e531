"""Contour lines: they lie where the values say, and several maps share their levels."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from residua.report.contours import LEFT, MOST_LEVELS, SIDE, TOP, contour_map, shared_levels

PLACES = (-1.0, -0.5, 0.0, 0.5, 1.0)
SVG = "{http://www.w3.org/2000/svg}"


def points(text: str) -> list[list[tuple[float, float]]]:
    """Points of each line, in the coordinates of the map."""
    paths = [path.get("d", "") for path in ET.fromstring(text).iter(f"{SVG}path")]
    pairs = [re.findall(r"(-?[\d.]+) (-?[\d.]+)", path) for path in paths]
    return [
        [(2 * (float(x) - LEFT) / SIDE - 1, 1 - 2 * (float(y) - TOP) / SIDE) for x, y in pair]
        for pair in pairs
    ]


def test_a_line_lies_where_the_plane_has_its_value() -> None:
    plane = [[2 * x + y for x in PLACES] for y in PLACES]
    (line,) = points(contour_map(plane, PLACES, (0.7,), x="x", y="y"))
    assert all(2 * x + y == pytest.approx(0.7, abs=0.01) for x, y in line)
    assert max(y for _, y in line) == pytest.approx(1, abs=0.01)


def test_at_a_saddle_the_middle_decides() -> None:
    high = [[1.0, 0.0], [0.0, 0.9]]  # the mean of the corners is 0.475
    for level, joined in ((0.45, True), (0.5, False)):
        (line,) = points(contour_map(high, (-1.0, 1.0), (level,), x="x", y="y"))
        starts, ends = line[::2], line[1::2]
        cut_off = [(sx + ex) * (sy + ey) > 0 for (sx, sy), (ex, ey) in zip(starts, ends, strict=True)]
        assert cut_off == [not joined, not joined]  # the high corners are lower left and upper right


def test_levels_are_few_and_between_the_ends() -> None:
    assert shared_levels(0.05, 6.0) == (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
    for low, high in ((1e-3, 1e6), (0.01, 0.02), (0.3, 0.4)):
        levels = shared_levels(low, high)
        assert len(levels) <= MOST_LEVELS
        assert all(low < level < high for level in levels)
    assert shared_levels(0.3, 0.4) == ()


def test_a_grid_that_is_not_square_or_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="square grid"):
        contour_map([[1.0, 2.0]], PLACES, (), x="x", y="y")
    with pytest.raises(ValueError, match="finite"):
        contour_map([[1.0, math.inf], [1.0, 2.0]], (0.0, 1.0), (), x="x", y="y")
