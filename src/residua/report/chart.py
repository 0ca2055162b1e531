"""Charts: frame, grid, legend, names of lines and the format of numbers, each written once.

Every chart of a report is drawn with these parts. Coordinates are pixels of the drawing, y downwards; colours
follow the page around it, light or dark.
"""

import dataclasses
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import Literal

from residua.report.axis import Axis, axis_from_zero
from residua.report.colours import Palette, page_palette
from residua.report.svg import (
    LINE,
    TextStyle,
    add_lines,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    number,
    path_data,
    spread_apart,
    text_width,
    to_string,
    wrap,
)

WIDTH, HEIGHT = 400, 270  # pixels of a plot; a phone shows it whole, and type of 12 pixels stays readable
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 46  # pixels around the axes of a plot
SMALL = 12  # pixels: type of ticks, axis titles and legends
NAME, NAME_STEP = 13, 17  # pixels: type of the names at the ends of lines, and from one to the next
NAME_GAP = 12  # pixels from the axes to those names
LONGEST_NAME = 16  # characters of a line of a name beside a plot
DOT = 3.2  # pixels: radius

Symbol = Callable[[ET.Element, float, float, Palette], ET.Element]
"""Draws a mark of a legend with its left end at (x, y)."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """The rectangle between two axes: where it lies on the drawing, and what it spans."""

    left: float
    """Pixels."""
    top: float
    """Pixels."""
    width: float
    """Pixels."""
    height: float
    """Pixels."""
    x: Axis
    """From left to right."""
    y: Axis
    """From bottom to top."""

    @property
    def right(self) -> float:
        """Pixels."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Pixels."""
        return self.top + self.height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Those values as a point of the drawing, in pixels."""
        return self.left + self.width * self.x.share(x), self.top + self.height * (1 - self.y.share(y))


@dataclasses.dataclass(frozen=True)
class EndLabel:
    """The name at the end of a line."""

    name: str
    """What is written."""
    point: tuple[float, float]
    """End of the line, in pixels."""
    colour: str
    """A CSS colour."""
    note: str = ""
    """A grey line below the name; empty for none."""


@dataclasses.dataclass(frozen=True)
class Series:
    """Points of one network, or of one thing that was measured.

    Raises:
        ValueError: there is no point, or the kind is unknown.
    """

    name: str
    """Written at the last point; empty for none."""
    points: tuple[tuple[float, float], ...]
    """x and y; a y that is not finite is left out."""
    kind: Literal["line", "dots", "both", "guide"] = "line"
    """How it is drawn; `guide` is a thin dashed grey line to compare with."""
    colour: int = -1
    """Index of its colour, so that a network keeps it from figure to figure; -1 takes the next."""
    areas: tuple[float, ...] = ()
    """What each dot's area stands for, on any scale; empty for equal dots."""

    def __post_init__(self) -> None:
        if not self.points or self.kind not in ("line", "dots", "both", "guide"):
            description = f"series {self.name!r} of kind {self.kind!r} has {len(self.points)} points"
            raise ValueError(f"{description}: give at least one, and line, dots, both or guide")


def plot(
    series: tuple[Series, ...],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
    until: tuple[float, float] | None = None,
    highest: float = math.inf,
    scaled_to: Sequence[float] = (),
) -> str:
    """Lines and dots over one pair of axes, which start at zero.

    Args:
        series: What is drawn; names stand right of the axes, at the ends of their lines.
        x: Title of the horizontal axis.
        y: Title of the vertical axis.
        logarithmic: Whether the vertical axis has powers of ten; values that are not positive are left out.
        until: Largest x and y of the axes; None takes them from the data.
        highest: Largest y that is shown; lines and dots above it are cut off.
        scaled_to: Further values of y that the axis has room for, so that several charts have equal axes.

    Returns:
        SVG text.

    Raises:
        ValueError: `series` is empty.
    """
    if not series:
        raise ValueError("no series: give at least one")
    palette = page_palette()
    points = [point for one in series for point in one.points if math.isfinite(point[1])]
    counts = all(float(point[0]).is_integer() for point in points)
    across = Axis(0, until[0]) if until else axis_from_zero([point[0] for point in points])
    ys = [y for y in (*(point[1] for point in points), *scaled_to) if y <= highest]
    up = Axis(0, until[1]) if until else axis_from_zero(ys, is_logarithmic=logarithmic)
    named = [line for one in series if one.name for line in wrap(one.name, LONGEST_NAME)]
    room = max(text_width(line, NAME) for line in named) + NAME_GAP + 4 if named else 0
    wide, high = WIDTH - LEFT - RIGHT - room, HEIGHT - TOP - BOTTOM
    frame = Frame(LEFT, TOP, wide, high, dataclasses.replace(across, is_integer=counts), up)
    root = new_svg(WIDTH, HEIGHT)
    add_text(root, y, (0, 14), style=TextStyle(palette.muted, SMALL))
    draw_grid(root, frame, title=x, palette=palette)
    colours = _colours(series, palette)
    is_cut = any(point[1] > highest for point in points)
    paper = clipped(root, frame) if is_cut else root
    for one, colour in zip(series, colours, strict=True):
        _draw_series(paper, one, frame, colour)
    ends = [EndLabel(s.name, frame.at(*_last(s)), c) for s, c in zip(series, colours, strict=True) if s.name]
    if is_cut:
        ends = [dataclasses.replace(end, point=(end.point[0], max(end.point[1], frame.top))) for end in ends]
    draw_end_labels(root, frame, [end for end in ends if math.isfinite(end.point[1])])
    return to_string(root)


def draw_grid(
    parent: ET.Element, frame: Frame, *, title: str, palette: Palette, has_numbers: bool = True
) -> None:
    """Draw level lines at the ticks of y, with their numbers if `has_numbers`, and the axis of x below.

    Args:
        parent: Element of the drawing that receives the shapes.
        frame: Where the axes lie, in pixels, and what they span.
        title: Title of the horizontal axis.
        palette: Colours.
        has_numbers: Whether the vertical axis has numbers.
    """
    for value, text in frame.y.ticks():
        y = frame.at(frame.x.low, value)[1]
        level = {"x1": frame.left, "x2": frame.right, "y1": y, "y2": y}
        colour = palette.grid if value else palette.muted
        add_shape(parent, "line", level, style=f"stroke: {colour}; stroke-width: 1")
        if has_numbers:
            number = TextStyle(palette.muted, SMALL, anchor="end")
            add_text(parent, text, (frame.left - 7, y + 4), style=number)
    span, middle = (frame.left, frame.width), frame.left + frame.width / 2
    draw_x_axis(parent, frame.x, span, y=frame.bottom, palette=palette)
    add_text(parent, title, (middle, frame.bottom + 34), style=TextStyle(palette.muted, SMALL, "middle"))


def draw_x_axis(
    parent: ET.Element, axis: Axis, span: tuple[float, float], *, y: float, palette: Palette
) -> None:
    """Draw the ticks of a horizontal axis at height `y`, their numbers below; `span` is left and width.

    Args:
        parent: Element of the drawing that receives the shapes.
        axis: What the axis spans.
        span: Left end and width of the axis, in pixels.
        y: Height of the axis, in pixels from the top.
        palette: Colours.
    """
    for value, text in axis.ticks():
        x = span[0] + span[1] * axis.share(value)
        add_shape(parent, "line", {"x1": x, "x2": x, "y1": y, "y2": y + 4}, style=f"stroke: {palette.muted}")
        anchor = "middle" if x > 4 else "start"  # else the drawing's edge would cut the number
        add_text(parent, text, (x, y + 18), style=TextStyle(palette.muted, SMALL, anchor=anchor))


def draw_end_labels(
    parent: ET.Element,
    frame: Frame,
    labels: Sequence[EndLabel],
    *,
    gap: float = NAME_GAP,
    longest: int = LONGEST_NAME,
) -> None:
    """Write each name right of the axes, apart from the others; a thin line leads to one that had to move.

    Args:
        parent: Element of the drawing that receives the shapes.
        frame: Where the axes lie, in pixels.
        labels: Names with the ends of their lines, in any order; every end is finite.
        gap: Pixels from the axes to the names.
        longest: Characters of a line of a name.
    """
    heights = [label.point[1] for label in labels]
    lines = [wrap(label.name, longest) for label in labels]
    most = max((len(rows) + bool(label.note) for rows, label in zip(lines, labels, strict=True)), default=1)
    step = NAME_STEP + LINE * NAME * (most - 1)
    places = spread_apart(heights, gap=step, low=frame.top, high=frame.bottom)
    edge = frame.right + gap
    for label, rows, place in zip(labels, lines, places, strict=True):
        x, y = label.point
        if math.hypot(frame.right - x, place - y) > 4:
            leader = {"x1": x + 3, "y1": y, "x2": edge - 3, "y2": place}
            style = f"stroke: {label.colour}; stroke-width: 0.75; stroke-opacity: 0.6"
            add_shape(parent, "line", leader, style=style)
        bold = TextStyle(label.colour, NAME, weight=650)
        middle = place + 4.5 - (LINE * NAME / 2 if label.note else 0)
        add_lines(parent, rows, (edge, middle), style=bold)
        if label.note:
            below = middle + LINE * NAME * (len(rows) + 1) / 2
            add_text(parent, label.note, (edge, below), style=TextStyle(page_palette().muted, SMALL))


def draw_curve(
    parent: ET.Element, points: Sequence[tuple[float, float]], colour: str, width: float, *, dashes: str = ""
) -> None:
    """Draw a line through `points`, in pixels, past those that are not finite.

    Args:
        parent: Element of the drawing that receives the shapes.
        points: x and y in pixels; one finite point becomes a dot, and none draws nothing.
        colour: A CSS colour.
        width: Thickness in pixels.
        dashes: Lengths of dashes and gaps in pixels, e.g. `4 4`; empty for a solid line.
    """
    path = path_data(points)
    if not path:
        return
    fields = {"d": path, "stroke-linejoin": "round", "stroke-linecap": "round"}
    style = f"fill: none; stroke: {colour}; stroke-width: {width:g}"
    add_shape(parent, "path", fields, style=f"{style}; stroke-dasharray: {dashes}" if dashes else style)


def clipped(parent: ET.Element, frame: Frame) -> ET.Element:
    """A part of the drawing in which nothing is seen outside `frame`.

    Args:
        parent: Element of the drawing that receives the part.
        frame: What stays visible, in pixels.

    Returns:
        The new element, with the coordinates of `parent`.
    """
    place = {"x": frame.left, "y": frame.top, "width": frame.width, "height": frame.height}
    box = " ".join(map(number, place.values()))
    return add_shape(parent, "svg", {**place, "viewBox": box, "overflow": "hidden"})


def draw_legend(
    parent: ET.Element, entries: Sequence[tuple[float, Symbol, str]], *, baseline: float, palette: Palette
) -> None:
    """Draw marks and what they mean in one line; each entry has the x of its mark, the mark and a text.

    Args:
        parent: Element of the drawing that receives the shapes.
        entries: x in pixels, the function that draws the mark, and the text.
        baseline: Baseline of the texts, in pixels from the top.
        palette: Colours.
    """
    for x, symbol, meaning in entries:
        mark = symbol(parent, x, baseline - 4, palette)
        after = 10 if mark.tag == "circle" else 12 if mark.tag == "path" else 28
        add_text(parent, meaning, (x + after, baseline), style=TextStyle(palette.muted, SMALL))


def stroke(width: float) -> Symbol:
    """A legend's mark of a line that is `width` pixels thick."""

    def draw(parent: ET.Element, x: float, y: float, palette: Palette) -> ET.Element:
        fields = {"x1": x, "x2": x + 22, "y1": y, "y2": y}
        return add_shape(parent, "line", fields, style=f"stroke: {palette.muted}; stroke-width: {width:g}")

    return draw


def bar(parent: ET.Element, x: float, y: float, palette: Palette) -> ET.Element:
    """A legend's mark of a bar.

    Args:
        parent: Element of the drawing that receives the shapes.
        x: Left end, in pixels.
        y: Middle, in pixels from the top.
        palette: Colours; the bar takes the first of its series.

    Returns:
        The new element, a `rect`.
    """
    fields = {"x": x, "y": y - 5, "width": 22, "height": 10}
    return add_shape(parent, "rect", fields, style=f"fill: {palette.series[0]}")


def ring(parent: ET.Element, x: float, y: float, palette: Palette, colour: str = "") -> ET.Element:
    """A ring around (x, y): a number that a paper printed, in a legend or on a line.

    Args:
        parent: Element of the drawing that receives the shapes.
        x: Centre, in pixels from the left.
        y: Centre, in pixels from the top.
        palette: Colours.
        colour: A CSS colour, that of the line; empty for grey.

    Returns:
        The new element, a `circle`, for instance to add a tooltip.
    """
    style = f"fill: {palette.background}; stroke: {colour or palette.muted}; stroke-width: 2"
    return add_shape(parent, "circle", {"cx": x, "cy": y, "r": 4.5}, style=style)


def diamond(parent: ET.Element, x: float, y: float, palette: Palette) -> ET.Element:
    """A grey diamond around (x, y): a number that a paper printed, in a legend or on a bar.

    Args:
        parent: Element of the drawing that receives the shapes.
        x: Centre, in pixels from the left.
        y: Centre, in pixels from the top.
        palette: Colours.

    Returns:
        The new element, a `path`, for instance to add a tooltip.
    """
    path = f"M{x:.1f} {y - 9:.1f}L{x + 6:.1f} {y:.1f}L{x:.1f} {y + 9:.1f}L{x - 6:.1f} {y:.1f}Z"
    style = f"fill: {palette.muted}; stroke: {palette.background}; stroke-width: 1.5"
    return add_shape(parent, "path", {"d": path}, style=style)


def format_number(value: float) -> str:
    """Three significant digits, `0.0123` or `12.3`; from a thousand on whole numbers, `3,348`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _colours(series: tuple[Series, ...], palette: Palette) -> list[str]:
    """The colour of each series; guides are grey and take none of the others."""
    colours, following = [], 0
    for one in series:
        place = following if one.colour < 0 else one.colour
        is_guide = one.kind == "guide"
        colours.append(palette.muted if is_guide else palette.series[place % len(palette.series)])
        following += not is_guide
    return colours


def _draw_series(parent: ET.Element, series: Series, frame: Frame, colour: str) -> None:
    points = [frame.at(*point) for point in series.points]
    if series.kind == "guide":
        draw_curve(parent, points, colour, 1, dashes="4 4")
    elif series.kind != "dots":
        draw_curve(parent, points, colour, 2)
    if series.kind not in ("dots", "both"):
        return
    radii = [DOT + 7 * math.sqrt(area / max(series.areas)) for area in series.areas] or [DOT] * len(points)
    style = f"fill: {colour}; fill-opacity: {0.7 if series.areas else 1}"
    for (x, y), (_, value), radius in zip(points, series.points, radii, strict=True):
        if math.isfinite(y):
            dot = add_shape(parent, "circle", {"cx": x, "cy": y, "r": radius}, style=style)
            add_tooltip(dot, f"{series.name} {value:.4g}".strip())


def _last(series: Series) -> tuple[float, float]:
    """The last point with a finite y; else the last."""
    finite = [point for point in series.points if math.isfinite(point[1])]
    return finite[-1] if finite else series.points[-1]
