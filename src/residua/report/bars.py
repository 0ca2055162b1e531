"""Horizontal charts, one row a value: bars, bars beside a paper's numbers, values with intervals."""

import dataclasses
import math
import xml.etree.ElementTree as ET

from residua.report.chart import (
    NAME,
    SMALL,
    WIDTH,
    Axis,
    axis_around,
    bar,
    diamond,
    draw_legend,
    draw_x_axis,
    format_number,
)
from residua.report.colours import Palette, page_palette
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    shorten,
    text_width,
    to_string,
)

BAR_STEP = 24  # pixels from one bar to the next, where the label stands beside it
REFERENCE_STEP, REFERENCE_TOP = 42, 30  # pixels from one bar to the next, and above the first, under labels
INTERVAL_STEP = 30  # pixels from one interval to the next
LONGEST_SIDE, LONGEST_ABOVE, LONGEST_INTERVAL = 18, 46, 30  # characters of a label, by where it stands


@dataclasses.dataclass(frozen=True)
class ReferenceBar:
    """A measured value, and the number that a paper printed."""

    label: str
    """What was measured."""
    value: float
    """The measured value; nan if nothing was measured."""
    deviation: float
    """Standard deviation over seeds; nan for one seed."""
    paper: float
    """The paper's number; nan if it printed none."""
    note: str = ""
    """Text in place of a missing value."""

    @property
    def text(self) -> str:
        """What stands at the end of the bar."""
        return format_number(self.value) if math.isfinite(self.value) else self.note


@dataclasses.dataclass(frozen=True)
class IntervalRow:
    """A value with its interval."""

    label: str
    """What was measured."""
    value: float
    """The value."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""
    text: str
    """The value as it is printed beside its dot."""


def bar_chart(labels: tuple[str, ...], values: tuple[float, ...], *, unit: str) -> str:
    """Bars from zero, in the order given.

    Args:
        labels: One for each bar.
        values: One for each bar; nan is drawn as `not measured`.
        unit: Written after each number.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no labels, or not as many as values.
    """
    if not labels or len(labels) != len(values):
        raise ValueError(f"{len(labels)} labels and {len(values)} values: give equally many, at least one")
    palette = page_palette()
    left = max(text_width(shorten(label, LONGEST_SIDE), NAME) for label in labels) + 10
    full = max([value for value in values if math.isfinite(value)], default=0) or 1
    root = new_svg(WIDTH, BAR_STEP * len(labels))
    for row, (label, value) in enumerate(zip(labels, values, strict=True)):
        middle = BAR_STEP * (row + 0.5)
        _label(root, label, (left - 10, middle + 4.5), LONGEST_SIDE, TextStyle(palette.text, anchor="end"))
        length = max(0.0, (WIDTH - left - 76) * value / full) if math.isfinite(value) else 0.0
        fields = {"x": left, "y": middle - 7, "width": max(length, 1), "height": 14}
        add_shape(root, "rect", fields, style=f"fill: {palette.series[0]}")
        text = f"{format_number(value)} {unit}" if math.isfinite(value) else "not measured"
        number = TextStyle(palette.muted, SMALL)
        add_text(root, text, (left + max(length, 1) + 7, middle + 4.5), style=number)
    return to_string(root)


def reference_bars(rows: tuple[ReferenceBar, ...], *, unit: str) -> str:
    """Bars from zero under their labels, each with a diamond at the paper's number.

    Args:
        rows: In the order drawn; a thin line spans one standard deviation on either side of the end of a bar.
        unit: Title of the axis.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no rows: give at least one")
    palette = page_palette()
    ends = [row.value + (row.deviation if row.deviation > 0 else 0) for row in rows]
    finite = [end for end in (*ends, *(row.paper for row in rows)) if math.isfinite(end)]
    axis, bottom = Axis(0, max(finite, default=0.0) or 1.0), REFERENCE_TOP + REFERENCE_STEP * len(rows)
    wide = WIDTH - max(60.0, *(text_width(row.text, SMALL) + 20 for row in rows))  # room right of a full bar
    root = new_svg(WIDTH, bottom + 42)
    draw_legend(root, [(0, bar, "measured here"), (132, diamond, "the paper")], baseline=12, palette=palette)
    draw_x_axis(root, axis, (0, wide), y=bottom, palette=palette)
    line = {"x1": 0, "x2": wide, "y1": bottom, "y2": bottom}
    add_shape(root, "line", line, style=f"stroke: {palette.muted}")
    add_text(root, unit, (wide / 2, bottom + 34), style=TextStyle(palette.muted, SMALL, anchor="middle"))
    for place, row in enumerate(rows):
        _reference_bar(root, row, REFERENCE_TOP + REFERENCE_STEP * place, wide / axis.high, palette)
    return to_string(root)


def interval_chart(rows: tuple[IntervalRow, ...], *, unit: str, zero: bool = False) -> str:
    """A dot on its interval for each value, one below the other.

    Args:
        rows: In the order drawn.
        unit: Title of the axis.
        zero: Whether the axis shows 0, where two networks do not differ, as a darker line.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("no rows: give at least one value with its interval")
    palette = page_palette()
    left = max(text_width(shorten(row.label, LONGEST_INTERVAL), NAME) for row in rows) + 14
    right = max(text_width(row.text, NAME) for row in rows) + 16  # a sign is wider than a digit
    ends = [end for row in rows for end in (row.low, row.high)] + ([0.0] if zero else [])
    axis = axis_around(min(ends), max(ends))
    wide, bottom = max(150.0, WIDTH - left - right), INTERVAL_STEP * len(rows) + 8
    root = new_svg(left + wide + right, bottom + 42)
    for value, _ in axis.ticks():
        x = left + wide * axis.share(value)
        colour = palette.muted if zero and not value else palette.grid
        add_shape(root, "line", {"x1": x, "x2": x, "y1": 4, "y2": bottom}, style=f"stroke: {colour}")
    draw_x_axis(root, axis, (left, wide), y=bottom, palette=palette)
    centre = (left + wide + right) / 2  # of the drawing, for a title may be wider than a short axis
    add_text(root, unit, (centre, bottom + 34), style=TextStyle(palette.muted, SMALL, anchor="middle"))
    for number, row in enumerate(rows):
        middle = 4 + INTERVAL_STEP * (number + 0.5)
        style = TextStyle(palette.text, anchor="end")
        _label(root, row.label, (left - 12, middle + 4.5), LONGEST_INTERVAL, style)
        low, value, high = (left + wide * axis.share(end) for end in (row.low, row.value, row.high))
        reach: dict[str, str | float] = {"x1": low, "x2": high, "y1": middle, "y2": middle}
        reach["stroke-linecap"] = "round"
        interval = f"stroke: {palette.series[0]}; stroke-width: 3; stroke-opacity: 0.45"
        add_shape(root, "line", reach, style=interval)
        dot = {"cx": value, "cy": middle, "r": 5}
        add_shape(root, "circle", dot, style=f"fill: {palette.series[0]}")
        add_text(root, row.text, (left + wide + 12, middle + 4.5), style=TextStyle(palette.text))
    return to_string(root)


def _reference_bar(root: ET.Element, row: ReferenceBar, top: float, scale: float, palette: Palette) -> None:
    """The label of one row and its bar below; `scale` is in pixels a unit."""
    _label(root, row.label, (0, top + 13), LONGEST_ABOVE, TextStyle(palette.text))
    middle, end = top + 26, 0.0
    if math.isfinite(row.value):
        end = scale * row.value
        fields = {"x": 0, "y": middle - 6, "width": max(end, 1), "height": 12}
        add_shape(root, "rect", fields, style=f"fill: {palette.series[0]}")
        if row.deviation > 0:
            reach = scale * row.deviation
            span = {"x1": end - reach, "x2": end + reach, "y1": middle, "y2": middle}
            add_shape(root, "line", span, style=f"stroke: {palette.text}; stroke-width: 1.5")
            end += reach
    at = end + 8
    if math.isfinite(row.paper):
        x = scale * row.paper
        add_tooltip(diamond(root, x, middle, palette), f"paper: {row.paper:g}")
        is_covered = at - 10 < x < at + text_width(row.text, SMALL) + 8
        at = x + 12 if is_covered else at
    add_text(root, row.text, (at, middle + 4.5), style=TextStyle(palette.muted, SMALL))


def _label(root: ET.Element, label: str, at: tuple[float, float], longest: int, style: TextStyle) -> None:
    """Write `label`, shortened to `longest` characters; the pointer shows the whole."""
    add_tooltip(add_text(root, shorten(label, longest), at, style=style), label)
