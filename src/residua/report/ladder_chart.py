"""A ladder as a chart: one value with its interval on every rung, from the bottom to the top."""

import dataclasses
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from residua.report.axis import Axis, axis_around
from residua.report.chart import NAME, SMALL, draw_curve, draw_x_axis
from residua.report.colours import page_palette
from residua.report.svg import (
    LINE,
    TextStyle,
    add_lines,
    add_shape,
    add_text,
    add_tooltip,
    responsive_svg,
    text_width,
    to_string,
    wrap,
)

STEP, TOP, BOTTOM = 46, 26, 50  # pixels: from one rung to the next, above the highest, below the lowest
BROAD, SLIM = 740, 400  # pixels of the chart on a desktop and on a phone
LABELS = {BROAD: 26, SLIM: 15}  # characters of a line of a label, by width
RAIL = 9  # pixels from the axes to a rail
BAND = 0.05  # opacity of the shade behind every other group


@dataclasses.dataclass(frozen=True)
class LadderRow:
    """One rung, or a step of it."""

    group: str
    """Name of the rung; rows of one group are next to each other and share a shade."""
    label: str
    """Written left of the axes."""
    value: float
    """What was measured."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""
    note: str = ""
    """Written below the value: how it differs from the row below."""


def ladder_chart(rows: Sequence[LadderRow], *, unit: str, goal: float | None = None) -> str:
    """Values on the rungs of a ladder, joined by a line, with their intervals.

    Args:
        rows: From the bottom to the top, at least one.
        unit: Title of the axis.
        goal: A value to reach, drawn as a dashed line; None for none.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no rows: give at least one rung")
    height = TOP + STEP * len(rows) + BOTTOM
    root, *views = responsive_svg((BROAD, height), (SLIM, height))
    for view, width in zip(views, (BROAD, SLIM), strict=True):
        _draw(view, rows, width, unit, goal)
    return to_string(root)


def _draw(parent: ET.Element, rows: Sequence[LadderRow], width: int, unit: str, goal: float | None) -> None:
    palette = page_palette()
    labels = [wrap(row.label, LABELS[width]) for row in rows]
    left = max(text_width(line, NAME) for lines in labels for line in lines) + 14
    right = max(text_width(text, SMALL) for row in rows for text in (row.note, f"{row.value:.2f}")) + 20
    ends = [end for row in rows for end in (row.low, row.high)] + ([goal] if goal is not None else [])
    axis, wide = axis_around(min(ends), max(ends)), width - left - right
    bottom = TOP + STEP * len(rows)
    middles = [bottom - STEP * (place + 0.5) for place in range(len(rows))]
    _draw_groups(parent, rows, width)
    for rail in (left - RAIL, left + wide + RAIL):
        line = {"x1": rail, "x2": rail, "y1": TOP - 10, "y2": bottom}
        add_shape(parent, "line", line, style=f"stroke: {palette.grid}; stroke-width: 3")
    if goal is not None:
        _draw_goal(parent, axis, goal, (left, wide), bottom)
    points = [(left + wide * axis.share(row.value), y) for row, y in zip(rows, middles, strict=True)]
    draw_curve(parent, points, palette.muted, 1)
    for row, lines, (x, y) in zip(rows, labels, points, strict=True):
        rung = {"x1": left - RAIL, "x2": left + wide + RAIL, "y1": y, "y2": y}
        add_shape(parent, "line", rung, style=f"stroke: {palette.grid}; stroke-width: 1.5")
        reach: dict[str, str | float] = {"stroke-linecap": "round", "y1": y, "y2": y}
        reach |= {"x1": left + wide * axis.share(row.low), "x2": left + wide * axis.share(row.high)}
        style = f"stroke: {palette.series[0]}; stroke-width: 5; stroke-opacity: 0.4"
        add_shape(parent, "line", reach, style=style)
        dot = add_shape(parent, "circle", {"cx": x, "cy": y, "r": 5}, style=f"fill: {palette.series[0]}")
        add_tooltip(dot, f"{row.label}: {row.value:.2f} ({row.low:.2f} to {row.high:.2f})")
        add_lines(parent, lines, (left - 14, y + 4.5), style=TextStyle(palette.text, NAME, "end"))
        aside, above = left + wide + 18, y + 4.5 - (LINE * SMALL / 2 if row.note else 0)
        add_text(parent, f"{row.value:.2f}", (aside, above), style=TextStyle(palette.text, NAME, weight=650))
        if row.note:
            add_text(parent, row.note, (aside, above + LINE * NAME), style=TextStyle(palette.muted, SMALL))
    draw_x_axis(parent, axis, (left, wide), y=bottom, palette=palette)
    title = TextStyle(palette.muted, SMALL, anchor="middle")
    add_text(parent, unit, (left + wide / 2, bottom + 36), style=title)


def _draw_groups(parent: ET.Element, rows: Sequence[LadderRow], width: int) -> None:
    """A shade behind every other group."""
    palette, groups = page_palette(), list(dict.fromkeys(row.group for row in rows))
    bottom = TOP + STEP * len(rows)
    for group in groups[::2]:
        places = [place for place, row in enumerate(rows) if row.group == group]
        top = bottom - STEP * (places[-1] + 1)
        area = {"x": 0, "y": top, "width": width, "height": STEP * len(places), "rx": 4}
        style = f"fill: {palette.series[0]}; fill-opacity: {BAND}"
        add_shape(parent, "rect", area, style=style)


def _draw_goal(parent: ET.Element, axis: Axis, goal: float, span: tuple[float, float], bottom: float) -> None:
    """A dashed line at the value to reach, named above."""
    palette, x = page_palette(), span[0] + span[1] * axis.share(goal)
    line = {"x1": x, "x2": x, "y1": TOP - 6, "y2": bottom}
    style = f"stroke: {palette.series[2]}; stroke-width: 1.5; stroke-dasharray: 5 4"
    add_shape(parent, "line", line, style=style)
    name = TextStyle(palette.series[2], SMALL, anchor="middle", weight=650)
    add_text(parent, f"goal {goal:g}", (x, TOP - 12), style=name)
