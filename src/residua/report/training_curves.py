"""Training curves: panels of networks that share one error axis, as in He et al. 2015, fig. 6."""

import dataclasses
import math
import textwrap
import xml.etree.ElementTree as ET

from residua.report.axis import Axis
from residua.report.chart import (
    NAME,
    NAME_STEP,
    SMALL,
    EndLabel,
    Frame,
    clipped,
    draw_curve,
    draw_end_labels,
    draw_grid,
    draw_legend,
    ring,
    stroke,
)
from residua.report.colours import LIGHT, Palette, page_palette
from residua.report.svg import (
    LINE,
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    path_data,
    responsive_svg,
    text_width,
    to_string,
    wrap,
)

HEAD, FOOT = 50, 50  # pixels above a plot for title and legend, below it for numbers and unit
LEFT, BETWEEN = 30, 14  # pixels for the error axis and from one panel to the next
LEADER = 14  # pixels from the plot to the names
BOLD = 1.15  # how much wider bold type runs, at most, in the usual sans-serifs
LONGEST = 18  # characters of a line of a name, for the plot beside it needs the room
THIN, THICK = 1.1, 2.6  # pixels: lines of training and of test error


@dataclasses.dataclass(frozen=True)
class Curve:
    """The error of one network while it is trained.

    Raises:
        ValueError: the fields are empty or not equally long.
    """

    name: str
    """The network: `plain-56`."""
    times: tuple[float, ...]
    """When it was measured, in the figure's unit."""
    train: tuple[float, ...]
    """Training error at those times, in percent; nan where it was not measured."""
    test: tuple[float, ...]
    """Test error at those times, in percent; nan where it was not measured."""
    paper: float = math.nan
    """The paper's number for the end of the test curve, in percent: a ring; nan for none."""
    evaluated: str = "test"
    """What `test` was measured on, for the key."""
    band: tuple[tuple[float, float], ...] = ()
    """Lowest and highest test error of all seeds at those times, in percent; empty for one seed."""

    def __post_init__(self) -> None:
        counts = len(self.times), len(self.train), len(self.test)
        if not self.times or len({*counts, len(self.band) or counts[0]}) > 1:
            raise ValueError(
                f"{self.name} has {counts[0]} times, {counts[1]} training and {counts[2]} test errors and a "
                f"band of {len(self.band)}: give equally many, at least one"
            )

    @property
    def end(self) -> tuple[float, float]:
        """The last test error with its time; without one, the last training error; else 0."""
        for errors in (self.test, self.train):
            finite = [point for point in zip(self.times, errors, strict=True) if math.isfinite(point[1])]
            if finite:
                return finite[-1]
        return self.times[-1], 0.0


@dataclasses.dataclass(frozen=True)
class Panel:
    """Networks that share a pair of axes.

    Raises:
        ValueError: there are no curves.
    """

    title: str
    """What they have in common: `Plain networks`."""
    curves: tuple[Curve, ...]
    """One a network, at least one."""

    def __post_init__(self) -> None:
        if not self.curves:
            raise ValueError(f"panel {self.title!r} has no curves: give at least one")


@dataclasses.dataclass(frozen=True)
class _PanelLayout:
    """Where panels stand, and in which colours."""

    columns: int
    """Panels side by side before the next row."""
    width: float
    """Of the whole, in pixels."""
    plot: float
    """Least height of one plot, in pixels."""
    palette: Palette
    """Its colours."""
    unit: str
    """What the times count."""
    highest: float
    """Largest error that is shown, in percent; infinity shows all."""


def training_curves(panels: tuple[Panel, ...], *, unit: str = "epoch", highest: float = math.inf) -> str:
    """Panels with one error axis: thin lines are training error, bold lines test error.

    Args:
        panels: Side by side; on a phone one below the other. Networks at the same place in their panels
            share a colour.
        unit: What the times count.
        highest: Largest error that is shown, in percent; infinity shows all.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no panels.
    """
    palette = page_palette()
    columns = min(2, max(1, len(panels)))
    layouts = (
        _PanelLayout(columns, 740, 270, palette, unit, highest),
        _PanelLayout(1, 350, 230, palette, unit, highest),
    )
    root, *views = responsive_svg(*((layout.width, _height(panels, layout)) for layout in layouts))
    for view, layout in zip(views, layouts, strict=True):
        _draw(view, panels, layout)
    return to_string(root)


def readme_figure(
    panels: tuple[Panel, ...], headline: str, *, unit: str = "epoch", highest: float = math.inf
) -> str:
    """The same curves side by side on a white card of 1200 x 520 pixels.

    Args:
        panels: Side by side.
        headline: Above them, in at most two lines.
        unit: What the times count.
        highest: As in `training_curves`.

    Returns:
        SVG text in fixed colours.

    Raises:
        ValueError: there are no panels.
    """
    root = new_svg(1200, 520)
    add_tooltip(root, headline)
    card = {"x": 1, "y": 1, "width": 1198, "height": 518, "rx": 14}
    style = f"fill: {LIGHT.background}; stroke: {LIGHT.grid}; stroke-width: 1.5"
    add_shape(root, "rect", card, style=style)
    lines = _even_lines(headline)
    for row, line in enumerate(lines):
        add_text(root, line, (48, 66 + 36 * row), style=TextStyle(LIGHT.text, 27, weight=650))
    top, zoom = 62 + 36 * len(lines), 1.5
    height = (520 - 6 - top) / zoom - HEAD - FOOT
    layout = _PanelLayout(len(panels) or 1, 1104 / zoom, height, LIGHT, unit, highest)
    group = add_shape(root, "g", {"transform": f"translate(48 {top}) scale({zoom})"})
    _draw(group, panels, layout)
    return to_string(root)


def _even_lines(headline: str) -> list[str]:
    """One line, or two of about the same length; 66 characters of 27 pixel bold type fill the card."""
    lines = textwrap.wrap(headline, 66, max_lines=2, placeholder=" …")
    even = textwrap.wrap(headline, len(headline) // len(lines or "x") + 6)
    return even if len(even) == len(lines) else lines


def _height(panels: tuple[Panel, ...], layout: _PanelLayout) -> float:
    """Pixels of all rows of panels."""
    return math.ceil(len(panels) / layout.columns) * _row_height(panels, layout)


def _row_height(panels: tuple[Panel, ...], layout: _PanelLayout) -> float:
    """Pixels of one row, with room for the names of the fullest panel."""
    if not panels:
        raise ValueError("no panels: a figure needs at least one")
    return HEAD + max(layout.plot, max(map(_names_height, panels))) + FOOT


def _names_height(panel: Panel) -> float:
    """Pixels of the names of a panel, one below the other."""
    lines = max(len(wrap(curve.name, LONGEST)) + bool(_paper_note(curve)) for curve in panel.curves)
    return len(panel.curves) * (NAME_STEP + LINE * NAME * (lines - 1))


def _paper_note(curve: Curve) -> str:
    """Names the ring of a curve: `paper 6.61`; empty without one."""
    return f"paper {curve.paper:.2f}" if math.isfinite(curve.paper) else ""


def _draw(parent: ET.Element, panels: tuple[Panel, ...], layout: _PanelLayout) -> None:
    """All panels from the origin of `parent`, on axes with the same range."""
    row = _row_height(panels, layout)
    curves = [curve for panel in panels for curve in panel.curves]
    errors = [error for curve in curves for error in (*curve.train, *curve.test, curve.paper)]
    errors += [high for curve in curves for _, high in curve.band]
    lines = [line for curve in curves for line in (*wrap(curve.name, LONGEST), _paper_note(curve))]
    names = max(text_width(line, BOLD * NAME) for line in lines) + LEADER
    width = (layout.width - LEFT - BETWEEN * (layout.columns - 1)) / layout.columns - names
    last = max(curve.times[-1] for curve in curves) or 1
    most = max([1, *(error for error in errors if math.isfinite(error))])  # errors below 1 % stay small
    x = Axis(0, last, is_integer=float(last).is_integer())
    y = Axis(0, min(1.03 * most, layout.highest))
    for place, panel in enumerate(panels):
        down, across = divmod(place, layout.columns)
        left = LEFT + across * (width + names + BETWEEN)
        _draw_panel(parent, panel, Frame(left, HEAD + down * row, width, row - HEAD - FOOT, x, y), layout)
    evaluated = ", ".join(dict.fromkeys(curve.evaluated for curve in curves))
    has_paper = any(math.isfinite(curve.paper) for curve in curves)
    _draw_key(parent, layout.palette, evaluated, has_paper=has_paper)


def _draw_panel(parent: ET.Element, panel: Panel, frame: Frame, layout: _PanelLayout) -> None:
    """Title, grid, curves and their names."""
    palette, is_first = layout.palette, frame.left == LEFT
    start = 0 if is_first else frame.left  # above "error (%)", elsewhere above the plot
    add_text(parent, panel.title, (start, frame.top - 34), style=TextStyle(palette.text, 15, weight=650))
    draw_grid(parent, frame, title=layout.unit, palette=palette, has_numbers=is_first)
    labels, paper = [], clipped(parent, frame) if math.isfinite(layout.highest) else parent
    for place, curve in enumerate(panel.curves):
        colour = palette.series[place % len(palette.series)]
        _draw_band(paper, curve, frame, colour)
        for errors, width in ((curve.train, THIN), (curve.test, THICK)):
            draw_curve(paper, [frame.at(*p) for p in zip(curve.times, errors, strict=True)], colour, width)
        if math.isfinite(curve.paper) and curve.paper <= frame.y.high:
            mark = ring(parent, *frame.at(frame.x.high, curve.paper), palette, colour)
            add_tooltip(mark, f"{curve.name} in the paper: {curve.paper:g} %")
        time, error = curve.end
        end = frame.at(time, min(error, frame.y.high))
        labels.append(EndLabel(curve.name, end, colour, _paper_note(curve)))
    draw_end_labels(parent, frame, labels, gap=LEADER, longest=LONGEST)


def _draw_band(parent: ET.Element, curve: Curve, frame: Frame, colour: str) -> None:
    """The area between the lowest and the highest test error of all seeds."""
    spans = [(time, *span) for time, span in zip(curve.times, curve.band, strict=bool(curve.band))]
    spans = [span for span in spans if all(map(math.isfinite, span))]
    if len(spans) < 2:
        return
    edge = [(time, high) for time, _, high in spans] + [(time, low) for time, low, _ in reversed(spans)]
    path = f"{path_data([frame.at(*point) for point in edge])}Z"
    add_shape(parent, "path", {"d": path}, style=f"fill: {colour}; fill-opacity: 0.16")


def _draw_key(parent: ET.Element, palette: Palette, evaluated: str, *, has_paper: bool) -> None:
    """What is measured, and what thin and bold mean, in the line above the first plot."""
    baseline = HEAD - 14
    add_text(parent, "error (%)", (0, baseline), style=TextStyle(palette.muted, SMALL))
    entries = [(72, stroke(THIN), "training"), (158, stroke(THICK), evaluated)]
    if has_paper:
        entries.append((224, ring, "the paper's end"))
    draw_legend(parent, entries, baseline=baseline, palette=palette)
