"""Horizontal charts, one row a value: bars, bars beside a paper's numbers, values with intervals."""

import dataclasses
import itertools
import math
import xml.etree.ElementTree as ET

from residua.report.axis import Axis, axis_around
from residua.report.chart import (
    NAME,
    SMALL,
    WIDTH,
    bar,
    diamond,
    draw_legend,
    draw_x_axis,
    format_number,
)
from residua.report.colours import Palette, page_palette
from residua.report.svg import (
    LINE,
    TextStyle,
    add_lines,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    responsive_svg,
    text_width,
    to_string,
    wrap,
)

BAR_STEP = 24  # pixels from one bar to the next, where the label stands beside it
REFERENCE_STEP, REFERENCE_TOP = 42, 30  # pixels from one bar to the next, and above the first, under labels
INTERVAL_STEP = 30  # pixels from one interval to the next
LONGEST_SIDE, LONGEST_ABOVE = 18, 46  # characters of a line of a label, by where it stands on a phone
BROAD = 740  # pixels of a chart on a desktop; on a phone it has the width of a plot
BROADER = 2  # times as many characters of a label fit there


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


def bar_chart(
    labels: tuple[str, ...], values: tuple[float, ...], *, unit: str, missing: str = "not measured"
) -> str:
    """Bars from zero, in the order given.

    Args:
        labels: One for each bar.
        values: One for each bar; nan is drawn as a text.
        unit: Written after each number.
        missing: That text.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no labels, or not as many as values.
    """
    if not labels or len(labels) != len(values):
        raise ValueError(f"{len(labels)} labels and {len(values)} values: give equally many, at least one")
    layouts = [_SideLabels.of(labels, BAR_STEP, wide=wide) for wide in (True, False)]
    root, *views = responsive_svg(*((layout.width, layout.height) for layout in layouts))
    for view, layout in zip(views, layouts, strict=True):
        _draw_bars(view, layout, values, unit, missing)
    return to_string(root)


def _draw_bars(
    parent: ET.Element, layout: "_SideLabels", values: tuple[float, ...], unit: str, missing: str
) -> None:
    palette, left = page_palette(), layout.left
    full = max([value for value in values if math.isfinite(value)], default=0) or 1
    for lines, middle, value in zip(layout.lines, layout.middles, values, strict=True):
        add_lines(parent, lines, (left - 10, middle + 4.5), style=TextStyle(palette.text, anchor="end"))
        length = max(0.0, (layout.width - left - 76) * value / full) if math.isfinite(value) else 0.0
        fields = {"x": left, "y": middle - 7, "width": max(length, 1), "height": 14}
        add_shape(parent, "rect", fields, style=f"fill: {palette.series[0]}")
        text = f"{format_number(value)} {unit}".rstrip() if math.isfinite(value) else missing
        number = TextStyle(palette.muted, SMALL)
        add_text(parent, text, (left + max(length, 1) + 7, middle + 4.5), style=number)


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
    labels = [wrap(row.label, LONGEST_ABOVE) for row in rows]
    starts = list(
        itertools.accumulate(
            (REFERENCE_STEP + LINE * NAME * (len(lines) - 1) for lines in labels), initial=0.0
        )
    )
    axis, bottom = Axis(0, max(finite, default=0.0) or 1.0), REFERENCE_TOP + starts[-1]
    wide = WIDTH - max(60.0, *(text_width(row.text, SMALL) + 20 for row in rows))  # room right of a full bar
    root = new_svg(WIDTH, bottom + 42)
    entries = [(0.0, bar, "measured here"), (132.0, diamond, "the paper")]
    has_paper = any(math.isfinite(row.paper) for row in rows)
    draw_legend(root, entries if has_paper else entries[:1], baseline=12, palette=palette)
    draw_x_axis(root, axis, (0, wide), y=bottom, palette=palette)
    line = {"x1": 0, "x2": wide, "y1": bottom, "y2": bottom}
    add_shape(root, "line", line, style=f"stroke: {palette.muted}")
    add_text(root, unit, (wide / 2, bottom + 34), style=TextStyle(palette.muted, SMALL, anchor="middle"))
    for row, lines, start in zip(rows, labels, starts[:-1], strict=True):
        more = LINE * NAME * (len(lines) - 1)
        middle = REFERENCE_TOP + start + 13 + more / 2
        add_lines(root, lines, (0, middle), style=TextStyle(palette.text))
        _reference_bar(root, row, REFERENCE_TOP + start + more, wide / axis.high, palette)
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
    layouts = [_SideLabels.of(tuple(row.label for row in rows), INTERVAL_STEP, wide=w) for w in (True, False)]
    root, *views = responsive_svg(*((layout.width, layout.height + 50) for layout in layouts))
    for view, layout in zip(views, layouts, strict=True):
        _draw_intervals(view, layout, rows, unit, zero=zero)
    return to_string(root)


def _draw_intervals(
    parent: ET.Element, layout: "_SideLabels", rows: tuple[IntervalRow, ...], unit: str, *, zero: bool
) -> None:
    palette, left = page_palette(), layout.left + 4
    right = max(text_width(row.text, NAME) for row in rows) + 16  # a sign is wider than a digit
    ends = [end for row in rows for end in (row.low, row.high)] + ([0.0] if zero else [])
    axis, wide, bottom = axis_around(min(ends), max(ends)), layout.width - left - right, layout.height + 8
    for value, _ in axis.ticks():
        x = left + wide * axis.share(value)
        colour = palette.muted if zero and not value else palette.grid
        add_shape(parent, "line", {"x1": x, "x2": x, "y1": 4, "y2": bottom}, style=f"stroke: {colour}")
    draw_x_axis(parent, axis, (left, wide), y=bottom, palette=palette)
    title = TextStyle(palette.muted, SMALL, anchor="middle")
    add_text(parent, unit, (layout.width / 2, bottom + 34), style=title)  # it may be wider than a short axis
    for row, lines, middle in zip(rows, layout.lines, layout.middles, strict=True):
        middle += 4
        add_lines(parent, lines, (left - 12, middle + 4.5), style=TextStyle(palette.text, anchor="end"))
        low, value, high = (left + wide * axis.share(end) for end in (row.low, row.value, row.high))
        reach: dict[str, str | float] = {"x1": low, "x2": high, "y1": middle, "y2": middle}
        reach["stroke-linecap"] = "round"
        interval = f"stroke: {palette.series[0]}; stroke-width: 3; stroke-opacity: 0.45"
        add_shape(parent, "line", reach, style=interval)
        dot = {"cx": value, "cy": middle, "r": 5}
        add_shape(parent, "circle", dot, style=f"fill: {palette.series[0]}")
        add_text(parent, row.text, (left + wide + 12, middle + 4.5), style=TextStyle(palette.text))


@dataclasses.dataclass(frozen=True)
class _SideLabels:
    """Rows of a chart with their labels left of the axis, in as many lines as they need."""

    width: float
    """Of the chart, in pixels."""
    left: float
    """Where the axis begins, in pixels."""
    lines: tuple[tuple[str, ...], ...]
    """The label of each row."""
    middles: tuple[float, ...]
    """y of the middle of each row, in pixels."""
    height: float
    """Of all rows, in pixels."""

    @classmethod
    def of(cls, labels: tuple[str, ...], step: float, *, wide: bool) -> "_SideLabels":
        """Rows at least `step` pixels high, on a desktop with `wide`, else on a phone."""
        longest = LONGEST_SIDE * (BROADER if wide else 1)
        lines = tuple(wrap(label, longest) for label in labels)
        left = max(text_width(line, NAME) for label in lines for line in label) + 10
        heights = [max(step, LINE * NAME * len(label) + 8) for label in lines]
        ends = list(itertools.accumulate(heights))
        middles = tuple(end - height / 2 for end, height in zip(ends, heights, strict=True))
        return cls(BROAD if wide else WIDTH, left, lines, middles, ends[-1])


def _reference_bar(root: ET.Element, row: ReferenceBar, top: float, scale: float, palette: Palette) -> None:
    """The bar of one row below its label; `scale` is in pixels a unit."""
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
