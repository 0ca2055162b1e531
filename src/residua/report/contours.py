"""Contour lines of a square map such as a loss landscape, on axes, with levels that several maps share."""

import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

from residua.report.axis import LOG_DIGITS, Axis
from residua.report.chart import SMALL, Frame, draw_grid, format_number
from residua.report.colours import page_palette
from residua.report.svg import TextStyle, add_shape, add_text, new_svg, path_data, text_width, to_string

SIDE, LEFT, TOP, BOTTOM = 330, 52, 30, 46  # pixels: side of the map, and the room around it
LABEL = 11  # pixels: type of the numbers on the lines
MOST_LEVELS = 10  # lines of a figure; more cannot be told apart
Point = tuple[float, float]


def shared_levels(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 times the powers of ten between two positive numbers, or fewer of them, evenly thinned out.

    Args:
        low: Lowest value of all maps.
        high: Highest value of all maps.

    Returns:
        At most `MOST_LEVELS` levels, rising; none where no such number lies between.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    levels = [digit * 10.0**power for power in powers for digit in LOG_DIGITS]
    inside = [level for level in levels if low < level < high]
    return tuple(inside[:: math.ceil(len(inside) / MOST_LEVELS) or 1])


def contour_map(
    values: Sequence[Sequence[float]],
    places: Sequence[float],
    levels: Sequence[float],
    *,
    x: str,
    y: str,
) -> str:
    """Lines of equal value over a square grid; between the points of the grid values are interpolated.

    Args:
        values: Rows from the bottom to the top, each from left to right; all finite.
        places: Coordinates of rows and columns, rising.
        levels: Values of the lines, rising; a stronger line is a higher one, in every map with these levels.
        x: Title of the horizontal axis.
        y: Title of the vertical axis.

    Returns:
        SVG text.

    Raises:
        ValueError: the grid is smaller than 2 x 2, not square, or not finite.
    """
    if len(places) < 2 or len(values) != len(places) or any(len(row) != len(places) for row in values):
        raise ValueError(f"{len(values)} rows for {len(places)} places: give a square grid, at least 2 x 2")
    if not all(math.isfinite(value) for row in values for value in row):
        raise ValueError("some values are not finite: give finite numbers")
    palette, axis = page_palette(), Axis(places[0], places[-1])
    frame = Frame(LEFT, TOP, SIDE, SIDE, axis, axis)
    root = new_svg(LEFT + SIDE + 14, TOP + SIDE + BOTTOM)
    add_text(root, y, (0, 14), style=TextStyle(palette.muted, SMALL))
    draw_grid(root, frame, title=x, palette=palette)
    edge = {"x": frame.left, "y": frame.top, "width": SIDE, "height": SIDE}
    add_shape(root, "rect", edge, style=f"fill: none; stroke: {palette.grid}")
    labels = [frame.at((axis.low + axis.high) / 2, (axis.low + axis.high) / 2)]
    for rank, level in reversed(list(enumerate(levels, 1))):  # where lines are close, the outer has the label
        segments = list(_segments(values, places, level))
        lines = "".join(path_data([frame.at(*start), frame.at(*end)]) for start, end in segments)
        if lines:
            opacity = 0.3 + 0.7 * rank / len(levels)
            style = (
                f"fill: none; stroke: {palette.series[0]}; stroke-width: 1.4; stroke-opacity: {opacity:.2f}"
            )
            add_shape(root, "path", {"d": lines, "stroke-linecap": "round"}, style=style)
            _draw_label(root, frame, level, segments, labels)
    x_middle, y_middle = labels[0]
    add_shape(root, "circle", {"cx": x_middle, "cy": y_middle, "r": 3}, style=f"fill: {palette.series[1]}")
    return to_string(root)


def _segments(
    values: Sequence[Sequence[float]], places: Sequence[float], level: float
) -> Iterator[tuple[Point, Point]]:
    """Where the map crosses `level`: for each cell of the grid one straight piece, or two at a saddle."""
    for (row, bottom), (_, top) in itertools.pairwise(enumerate(places)):
        for (column, left), (_, right) in itertools.pairwise(enumerate(places)):
            corners = ((left, bottom), (right, bottom), (right, top), (left, top))
            around = (
                values[row][column],
                values[row][column + 1],
                values[row + 1][column + 1],
                values[row + 1][column],
            )
            crossings = [
                _between(corners[one], corners[other], (level - around[one]) / (around[other] - around[one]))
                for one, other in ((0, 1), (1, 2), (2, 3), (3, 0))
                if (around[one] < level) != (around[other] < level)
            ]
            if len(crossings) == 4 and (sum(around) / 4 < level) != (around[0] < level):
                crossings = [*crossings[1:], crossings[0]]  # the middle is on the side of the second corner
            yield from zip(crossings[::2], crossings[1::2], strict=True)


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _draw_label(
    root: ET.Element,
    frame: Frame,
    level: float,
    segments: Sequence[tuple[Point, Point]],
    labels: list[Point],
) -> None:
    """The number of a line, where it comes nearest to the upper right corner, unless it would cover another.

    Args:
        root: The drawing.
        frame: The axes.
        level: The number.
        segments: The line.
        labels: Middles of the network's mark and of earlier labels, in pixels; this one is added.
    """
    palette, text = page_palette(), format_number(level)
    middles = [_between(start, end, 0.5) for start, end in segments]
    x, y = frame.at(*max(middles, key=lambda middle: min(middle) + 0.2 * max(middle)))
    width = text_width(text, LABEL)
    x = min(max(x, frame.left + width / 2), frame.right - width / 2)
    y = min(max(y, frame.top + LABEL), frame.bottom - 4)
    if any(abs(x - there[0]) < width and abs(y - there[1]) < 1.2 * LABEL for there in labels):
        return
    labels.append((x, y))
    cover = {"x": x - width / 2, "y": y - LABEL * 0.7, "width": width, "height": LABEL * 1.3, "rx": 2}
    add_shape(root, "rect", cover, style=f"fill: {palette.background}; fill-opacity: 0.85")
    add_text(root, text, (x, y + LABEL * 0.36), style=TextStyle(palette.text, LABEL, "middle"))
