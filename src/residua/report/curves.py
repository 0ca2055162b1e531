"""Panels of training curves drawn on shared axes as in He et al. 2015, fig. 6; knows SVG, not files."""

import dataclasses
import math
import xml.etree.ElementTree as ET

from residua.report.colours import Palette
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    path_data,
    shorten,
    spread_apart,
    text_width,
    ticks,
)

HEAD, FOOT = 50, 50  # pixels above a plot for title and key, below it for numbers and unit
LEFT, BETWEEN = 30, 14  # pixels for the error axis and from one panel to the next
LEADER = 14  # pixels from the plot to the names, bridged by a line where a name had to move
NAME, GAP = 13, 17  # pixels: type of the names, and from one to the next
BOLD = 1.15  # how much wider bold type runs, at most, in the usual sans-serifs
LONGEST = 18  # characters; a longer name is cut, for the plot beside it needs the room


@dataclasses.dataclass(frozen=True)
class Curve:
    """The error of one network while it is trained; ValueError unless the fields are equally long."""

    name: str
    """The network: `plain-56`."""
    times: tuple[float, ...]
    """When it was measured, in the figure's unit."""
    train: tuple[float, ...]
    """Training error at those times, in percent; nan where it was not measured."""
    test: tuple[float, ...]
    """Test error at those times, in percent; nan where it was not measured."""
    paper: float = math.nan
    """What a paper printed for the end of the test curve, in percent: a grey ring; nan for none."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        counts = len(self.times), len(self.train), len(self.test)
        if not self.times or len(set(counts)) > 1:
            raise ValueError(
                f"{self.name} has {counts[0]} times, {counts[1]} training and {counts[2]} test errors: "
                f"give equally many, at least one"
            )


@dataclasses.dataclass(frozen=True)
class Panel:
    """Networks that share a pair of axes; ValueError without one."""

    title: str
    """What they have in common: `Plain networks`."""
    curves: tuple[Curve, ...]
    """One a network, at least one."""

    def __post_init__(self) -> None:
        """Refuse an empty pair of axes."""
        if not self.curves:
            raise ValueError(f"panel {self.title!r} has no curves: give at least one")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where panels stand and in which colours."""

    columns: int
    """Panels side by side before the next row."""
    width: float
    """Of the whole, in pixels."""
    plot: float
    """Least height of one plot, in pixels."""
    palette: Palette
    """Its colours."""
    unit: str = "epoch"
    """What the times count."""


@dataclasses.dataclass(frozen=True)
class Axes:
    """One plot: where it lies on the drawing and what it spans."""

    left: float
    """Pixels."""
    top: float
    """Pixels."""
    width: float
    """Pixels."""
    height: float
    """Pixels."""
    until: float
    """The last time, at the right edge."""
    worst: float
    """The error at the upper edge, in percent."""

    def at(self, time: float, error: float) -> tuple[float, float]:
        """That time and error as a point of the drawing, in pixels."""
        return self.left + self.width * time / self.until, self.top + self.height * (1 - error / self.worst)


def height(panels: tuple[Panel, ...], layout: Layout) -> float:
    """How high the panels stand, in pixels; ValueError if there are none."""
    return math.ceil(len(panels) / layout.columns) * _row(panels, layout)


def draw(parent: ET.Element, panels: tuple[Panel, ...], *, layout: Layout) -> None:
    """Draw the panels into `parent` from its origin; ValueError if there are none."""
    row = _row(panels, layout)
    curves = [curve for panel in panels for curve in panel.curves]
    values = [error for curve in curves for error in (*curve.train, *curve.test, curve.paper)]
    errors = [error for error in values if math.isfinite(error)]
    names = max(text_width(shorten(curve.name, LONGEST), BOLD * NAME) for curve in curves) + LEADER
    room = layout.width - LEFT - BETWEEN * (layout.columns - 1)
    axes = Axes(
        left=LEFT,
        top=HEAD,
        width=room / layout.columns - names,
        height=row - HEAD - FOOT,
        until=max(curve.times[-1] for curve in curves) or 1,
        worst=1.03 * max([1, *errors]),  # air above the worst; and error below 1 % is not magnified
    )
    for place, panel in enumerate(panels):
        down, across = divmod(place, layout.columns)
        left = LEFT + across * (axes.width + names + BETWEEN)
        _panel(parent, panel, axes=dataclasses.replace(axes, left=left, top=HEAD + down * row), layout=layout)
    has_paper = any(math.isfinite(curve.paper) for curve in curves)
    _key(parent, palette=layout.palette, has_paper=has_paper)


def _row(panels: tuple[Panel, ...], layout: Layout) -> float:
    """Height of one row, with room for the names at the ends of the fullest panel."""
    if not panels:
        raise ValueError("no panels: a figure needs at least one")
    return HEAD + max(layout.plot, GAP * max(len(panel.curves) for panel in panels)) + FOOT


def _panel(parent: ET.Element, panel: Panel, *, axes: Axes, layout: Layout) -> None:
    """Title, grid, curves and their names."""
    title = TextStyle(layout.palette.text, 15, weight=650)
    flush = 0 if axes.left == LEFT else axes.left  # with "error (%)", elsewhere with the plot
    add_text(parent, panel.title, (flush, axes.top - 34), hand=title)
    _grid(parent, axes=axes, layout=layout)
    colours = [
        layout.palette.series[place % len(layout.palette.series)] for place in range(len(panel.curves))
    ]
    for curve, colour in zip(panel.curves, colours, strict=True):
        for errors, thick in ((curve.train, 1.1), (curve.test, 2.6)):
            path = path_data([axes.at(time, error) for time, error in zip(curve.times, errors, strict=True)])
            style = f"fill: none; stroke: {colour}; stroke-width: {thick}"
            if path:
                round_ends = {"d": path, "stroke-linejoin": "round", "stroke-linecap": "round"}
                add_shape(parent, "path", round_ends, style=style)
        if math.isfinite(curve.paper):
            x, y = axes.at(axes.until, curve.paper)
            add_tooltip(
                _ring(parent, (x, y), palette=layout.palette), f"{curve.name} in the paper: {curve.paper:g} %"
            )
    _names(parent, panel, axes=axes, colours=colours)


def _grid(parent: ET.Element, *, axes: Axes, layout: Layout) -> None:
    """Level lines, the numbers of the error axis at the left panel, and the times below."""
    palette = layout.palette
    for error in ticks(axes.worst):
        x, y = axes.at(0, error)
        colour = palette.grid if error else palette.muted
        level = {"x1": x, "x2": x + axes.width, "y1": y, "y2": y}
        add_shape(parent, "line", level, style=f"stroke: {colour}; stroke-width: 1")
        if axes.left == LEFT:
            add_text(parent, f"{error:g}", (x - 7, y + 4), hand=TextStyle(palette.muted, 12, anchor="end"))
    for time in ticks(axes.until, whole=float(axes.until).is_integer()):
        x, y = axes.at(time, 0)
        add_shape(parent, "line", {"x1": x, "x2": x, "y1": y, "y2": y + 4}, style=f"stroke: {palette.muted}")
        add_text(parent, f"{time:g}", (x, y + 18), hand=TextStyle(palette.muted, 12, anchor="middle"))
    middle, below = axes.left + axes.width / 2, axes.top + axes.height + 34
    add_text(parent, layout.unit, (middle, below), hand=TextStyle(palette.muted, 12, anchor="middle"))


def _names(parent: ET.Element, panel: Panel, *, axes: Axes, colours: list[str]) -> None:
    """Every network's name at the end of its test curve, apart from the others; a leader where it moved."""
    ends = [axes.at(*_end(curve)) for curve in panel.curves]
    bottom = axes.top + axes.height
    places = spread_apart([y for _, y in ends], gap=GAP, low=axes.top, high=bottom)
    edge = axes.left + axes.width + LEADER
    for curve, colour, (x, y), place in zip(panel.curves, colours, ends, places, strict=True):
        if math.hypot(edge - LEADER - x, place - y) > 4:
            leader = {"x1": x + 3, "y1": y, "x2": edge - 3, "y2": place}
            add_shape(
                parent, "line", leader, style=f"stroke: {colour}; stroke-width: 0.75; stroke-opacity: 0.6"
            )
        name = add_text(
            parent,
            shorten(curve.name, LONGEST),
            (edge, place + 4.5),
            hand=TextStyle(colour, NAME, weight=650),
        )
        if len(curve.name) > LONGEST:
            add_tooltip(name, curve.name)


def _end(curve: Curve) -> tuple[float, float]:
    """The last test error with its time; the last training error if there is none; else 0, on the axis."""
    for errors in (curve.test, curve.train):
        seen = [point for point in zip(curve.times, errors, strict=True) if math.isfinite(point[1])]
        if seen:
            return seen[-1]
    return curve.times[-1], 0.0


def _ring(parent: ET.Element, at: tuple[float, float], *, palette: Palette) -> ET.Element:
    fields = {"cx": at[0], "cy": at[1], "r": 4.5}
    return add_shape(
        parent,
        "circle",
        fields,
        style=f"fill: {palette.background}; stroke: {palette.muted}; stroke-width: 2",
    )


def _key(parent: ET.Element, *, palette: Palette, has_paper: bool) -> None:
    """What is measured and what thin and bold mean, in the line above the first plot."""
    hand, base = TextStyle(palette.muted, 12), HEAD - 14
    add_text(parent, "error (%)", (0, base), hand=hand)
    for left, thick, said in ((72, 1.1, "training"), (158, 2.6, "test")):
        stroke = {"x1": left, "x2": left + 22, "y1": base - 4, "y2": base - 4}
        add_shape(parent, "line", stroke, style=f"stroke: {palette.muted}; stroke-width: {thick}")
        add_text(parent, said, (left + 28, base), hand=hand)
    if has_paper:
        _ring(parent, (224, base - 4), palette=palette)
        add_text(parent, "the paper's end", (234, base), hand=hand)
