"""Lines, dots and ranges over a pair of axes: one small plot that a phone can show whole."""

import dataclasses
import math
import xml.etree.ElementTree as ET

from residua.report.colours import page_palette
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    path_data,
    shorten,
    spread_apart,
    text_width,
    ticks,
    to_string,
)

WIDTH, HEIGHT = 400, 270  # pixels: the whole plot; type of 12 is still read when a phone shrinks it
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 46  # pixels around the axes
NAME, GAP = 13, 17  # pixels: type of the names at the ends of lines, and from one to the next
LONGEST = 16  # characters of a name
DOT = 3.2  # pixels: radius
ROW = 30  # pixels from one range to the next
LABELS = 30  # characters of a range's label


@dataclasses.dataclass(frozen=True)
class Series:
    """Points that belong together; ValueError without one."""

    name: str
    """What they are; written at the last point, or nowhere when empty."""
    points: tuple[tuple[float, float], ...]
    """x and y; a y that is not finite is left out."""
    kind: str = "line"
    """`line`, `dots`, `both`, or `guide`: a thin grey line to hold others against."""
    colour: int = -1
    """Place of its colour, so that a network keeps it from figure to figure; -1 takes the next."""
    areas: tuple[float, ...] = ()
    """How much each dot stands for, on any scale; empty for equal dots."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if not self.points or self.kind not in ("line", "dots", "both", "guide"):
            given = f"series {self.name!r} of kind {self.kind!r} has {len(self.points)} points"
            raise ValueError(f"{given}: give at least one, and line, dots, both or guide")


@dataclasses.dataclass(frozen=True)
class Range:
    """A value with its interval."""

    label: str
    """What was measured."""
    value: float
    """The value."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end."""
    said: str
    """The value as it is printed beside."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """What one direction of a plot spans."""

    low: float
    """Value at its start; of a logarithm, the power of ten."""
    high: float
    """Value at its end."""
    logarithmic: bool
    """Whether steps are powers of ten."""
    whole: bool = False
    """Whether it counts: there is nothing between 1 and 2."""

    def share(self, value: float) -> float:
        """How far along `value` lies, from 0 to 1; nan for what a logarithm cannot show."""
        if self.logarithmic:
            value = math.log10(value) if value > 0 else math.nan
        return (value - self.low) / (self.high - self.low)

    def marks(self) -> list[tuple[float, str]]:
        """Values to write, with their text."""
        if not self.logarithmic:
            step = ticks(self.high - self.low, whole=self.whole)[1]
            first, last = (math.floor(end / step + 1e-9) for end in (self.low - 2e-9 * step, self.high))
            places = [
                step * place for place in range(first, last + 1) if step * place >= self.low - 1e-9 * step
            ]
            return [(mark, f"{mark:.10g}".replace("-", "−")) for mark in places]
        step = max(1, math.ceil((self.high - self.low) / 6))
        return [(10.0**power, _power(power)) for power in range(int(self.low), int(self.high) + 1, step)]


def plot(
    series: tuple[Series, ...],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
    until: tuple[float, float] | None = None,
) -> str:
    """`series` over axes called `x` and `y`, from zero up, or over powers of ten; ValueError without a point.

    `until` fixes the ends of both axes. The names stand at the ends of their lines.
    """
    palette = page_palette()
    seen = [point for each in series for point in each.points if math.isfinite(point[1])]
    across = _axis([point[0] for point in seen], logarithmic=False)
    up = _axis([point[1] for point in seen], logarithmic=logarithmic)
    if until:
        across, up = Axis(0, until[0], False), Axis(0, until[1], False)
    across = dataclasses.replace(across, whole=all(float(point[0]).is_integer() for point in seen))
    named = [each for each in series if each.name]
    room = max((text_width(shorten(each.name, LONGEST), NAME) for each in named), default=0) + (
        16 if named else 0
    )
    root = new_svg(WIDTH, HEIGHT)
    wide, high = WIDTH - LEFT - RIGHT - room, HEIGHT - TOP - BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT + wide * across.share(point[0]), TOP + high * (1 - up.share(point[1]))

    _grid(root, across, up, size=(wide, high))
    add_text(root, y, (0, 14), hand=TextStyle(palette.muted, 12))
    add_text(root, x, (LEFT + wide / 2, HEIGHT - 8), hand=TextStyle(palette.muted, 12, anchor="middle"))
    colours = _colours(series)
    for each, colour in zip(series, colours, strict=True):
        _draw(root, [at(point) for point in each.points], each, colour=colour)
    ends = [(each, at(_last(each)), colour) for each, colour in zip(series, colours, strict=True)]
    _names(root, ends, edge=LEFT + wide + 12)
    return to_string(root)


def ranges(rows: tuple[Range, ...], *, unit: str, zero: bool = False) -> str:
    """A dot with its interval for each of `rows`, one below the other; `zero` marks no difference.

    ValueError without a row.
    """
    if not rows:
        raise ValueError("no rows: give at least one value with its interval")
    palette, said = page_palette(), [shorten(row.label, LABELS) for row in rows]
    left = max(text_width(label, 13) for label in said) + 14
    right = max(text_width(row.said, 13) for row in rows) + 16  # a sign is wider than a digit
    ends = [end for row in rows for end in (row.low, row.high)] + ([0.0] if zero else [])
    axis = _around(min(ends), max(ends))
    wide, bottom = max(150.0, WIDTH - left - right), ROW * len(rows) + 8
    root = new_svg(left + wide + right, bottom + 40)
    for mark, text in axis.marks():
        place = left + wide * axis.share(mark)
        rule: dict[str, str | float] = {"x1": place, "x2": place, "y1": 4, "y2": bottom}
        add_shape(root, "line", rule, style=f"stroke: {palette.muted if zero and not mark else palette.grid}")
        add_text(root, text, (place, bottom + 16), hand=TextStyle(palette.muted, 12, anchor="middle"))
    middle_of_all = (left + wide + right) / 2
    add_text(root, unit, (middle_of_all, bottom + 34), hand=TextStyle(palette.muted, 12, anchor="middle"))
    for number, (row, label) in enumerate(zip(rows, said, strict=True)):
        middle = 4 + ROW * (number + 0.5)
        add_tooltip(
            add_text(root, label, (left - 12, middle + 4.5), hand=TextStyle(palette.text, anchor="end")),
            row.label,
        )
        low, value, high = (left + wide * axis.share(end) for end in (row.low, row.value, row.high))
        reach: dict[str, str | float] = {
            "x1": low,
            "x2": high,
            "y1": middle,
            "y2": middle,
            "stroke-linecap": "round",
        }
        add_shape(
            root, "line", reach, style=f"stroke: {palette.series[0]}; stroke-width: 3; stroke-opacity: 0.45"
        )
        add_shape(root, "circle", {"cx": value, "cy": middle, "r": 5}, style=f"fill: {palette.series[0]}")
        add_text(root, row.said, (left + wide + 12, middle + 4.5), hand=TextStyle(palette.text))
    return to_string(root)


def _power(power: int) -> str:
    small = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return {0: "1", 1: "10", -1: "0.1"}.get(power, f"10{str(power).translate(small)}")


def _axis(values: list[float], *, logarithmic: bool) -> Axis:
    """From zero, or from the lowest value where one is negative; powers of ten are rounded outwards."""
    if logarithmic:
        positive = [value for value in values if value > 0] or [1.0]
        low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
        return Axis(low, max(high, low + 1), True)
    floor, top = min([0.0, *values]), max([0.0, *values])
    return Axis(floor, top + 0.03 * (top - floor) if top > floor else floor + 1, False)


def _around(low: float, high: float) -> Axis:
    """A little more than from `low` to `high`, starting at a round number."""
    if not high > low:
        return Axis(math.floor(low), math.floor(low) + 1, False)
    step = ticks(high - low)[1]
    return Axis(step * math.floor(low / step), high + 0.05 * (high - low), False)


def _grid(root: ET.Element, across: Axis, up: Axis, *, size: tuple[float, float]) -> None:
    palette, (wide, high) = page_palette(), size
    for mark, text in up.marks():
        y = TOP + high * (1 - up.share(mark))
        level = {"x1": LEFT, "x2": LEFT + wide, "y1": y, "y2": y}
        add_shape(root, "line", level, style=f"stroke: {palette.muted if not mark else palette.grid}")
        add_text(root, text, (LEFT - 7, y + 4), hand=TextStyle(palette.muted, 12, anchor="end"))
    for mark, text in across.marks():
        x, y = LEFT + wide * across.share(mark), TOP + high
        add_shape(root, "line", {"x1": x, "x2": x, "y1": y, "y2": y + 4}, style=f"stroke: {palette.muted}")
        add_text(root, text, (x, y + 18), hand=TextStyle(palette.muted, 12, anchor="middle"))


def _colours(series: tuple[Series, ...]) -> list[str]:
    palette = page_palette()
    found, place = [], 0
    for each in series:
        ink = place if each.colour < 0 else each.colour
        found.append(palette.muted if each.kind == "guide" else palette.series[ink % len(palette.series)])
        place += each.kind != "guide"
    return found


def _draw(root: ET.Element, points: list[tuple[float, float]], each: Series, *, colour: str) -> None:
    if each.kind != "dots" and (path := path_data(points)):
        thick = 1 if each.kind == "guide" else 2
        fields = {"d": path, "stroke-linejoin": "round", "stroke-linecap": "round"}
        dashes = "; stroke-dasharray: 4 4" if each.kind == "guide" else ""
        add_shape(root, "path", fields, style=f"fill: none; stroke: {colour}; stroke-width: {thick}{dashes}")
    if each.kind in ("dots", "both"):
        sizes = [DOT + 7 * math.sqrt(area / max(each.areas)) for area in each.areas] or [DOT] * len(points)
        for (x, y), (_, value), size in zip(points, each.points, sizes, strict=True):
            if math.isfinite(y):
                style = f"fill: {colour}; fill-opacity: {0.7 if each.areas else 1}"
                dot = add_shape(root, "circle", {"cx": x, "cy": y, "r": size}, style=style)
                add_tooltip(dot, f"{each.name} {value:.4g}".strip())


def _last(each: Series) -> tuple[float, float]:
    seen = [point for point in each.points if math.isfinite(point[1])]
    return seen[-1] if seen else each.points[-1]


def _names(root: ET.Element, ends: list[tuple[Series, tuple[float, float], str]], *, edge: float) -> None:
    """Each name right of the axes, from `edge` on, apart from the others, led to from its last point."""
    named = [end for end in ends if end[0].name and math.isfinite(end[1][1])]
    places = spread_apart([at[1] for _, at, _ in named], gap=GAP, low=TOP + 4, high=HEIGHT - BOTTOM)
    for (each, (x, y), colour), place in zip(named, places, strict=True):
        if abs(place - y) > 4 or edge - x > 20:
            leader = {"x1": x + 4, "y1": y, "x2": edge - 2, "y2": place}
            add_shape(
                root, "line", leader, style=f"stroke: {colour}; stroke-width: 0.75; stroke-opacity: 0.6"
            )
        hand = TextStyle(colour, NAME, weight=650)
        add_tooltip(add_text(root, shorten(each.name, LONGEST), (edge, place + 4.5), hand=hand), each.name)
