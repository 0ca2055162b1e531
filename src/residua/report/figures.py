"""The figures of a report as SVG text: training curves in the manner of He et al. 2015, fig. 6, and error by class."""

import dataclasses
import math
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from residua.report.ink import LIGHT, Inks, from_page
from residua.report.svg import (
    Hand,
    breadth,
    cut,
    drawing,
    line,
    number,
    shape,
    spread,
    ticks,
    tooltip,
    words,
    written,
)

LABEL_ROOM = 18  # characters; a longer name is cut, for the plot beside it needs the room
LABEL_GAP = 16  # pixels between the baselines of two labels: 13 pixel type and a little air
HEAD, FOOT, LEFT, BETWEEN = 52, 40, 30, 20  # pixels around a plot: title and key, axis, numbers, two panels


@dataclasses.dataclass(frozen=True)
class Curve:
    """The error of one network while it is trained; ValueError unless the three fields are equally long."""

    name: str
    """The network: `plain-56`."""
    times: tuple[float, ...]
    """When it was measured, in the figure's unit."""
    train: tuple[float, ...]
    """Training error at those times, in percent; not finite where it was not measured."""
    test: tuple[float, ...]
    """Test error at those times, in percent; not finite where it was not measured."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        counts = len(self.times), len(self.train), len(self.test)
        if len(set(counts)) > 1 or not self.times:
            raise ValueError(f"{self.name}: times, train and test hold {counts} values, they need equally many")


@dataclasses.dataclass(frozen=True)
class Panel:
    """Networks that share a pair of axes."""

    title: str
    """What they have in common: `plain`."""
    curves: tuple[Curve, ...]
    """One a network, at least one."""


def training_curves(panels: tuple[Panel, ...], *, unit: str = "epoch") -> str:
    """Panels with one error axis, thin lines training error, bold lines test error (He et al. 2015, fig. 6).

    Networks at the same place in their panels share a colour. The SVG holds the figure twice, side by side and,
    hidden until the page's CSS finds itself on a phone, one panel below the other.
    """
    inks = from_page()
    broad = _Frame(panels, unit=unit, inks=inks, columns=min(2, len(panels)), width=740, plot=270)
    slim = _Frame(panels, unit=unit, inks=inks, columns=1, width=360, plot=220)
    root = drawing(broad.width, broad.height)
    del root.attrib["viewBox"]  # each of the two has its own
    root.set("class", "curves")
    root.set("style", f"--broad: {broad.width:g} / {broad.height:g}; --slim: {slim.width:g} / {slim.height:g}")
    for name, frame in (("broad", broad), ("slim", slim)):
        view = {"class": name, "viewBox": f"0 0 {frame.width:g} {frame.height:g}", "width": "100%", "height": "100%"}
        frame.draw(shape(root, "svg", view))
    root[1].set("display", "none")
    return written(root)


def readme_figure(panels: tuple[Panel, ...], *, headline: str, unit: str = "epoch") -> str:
    """The same curves under a headline on a white card of 1200 x 520, for a README on any background."""
    root = drawing(1200, 520)
    card = {"x": 1, "y": 1, "width": 1198, "height": 518, "rx": 16}
    shape(root, "rect", card, style=f"fill: {LIGHT.paper}; stroke: {LIGHT.rule}; stroke-width: 1.5")
    said = textwrap.wrap(headline, 76)[:2]
    for row, part in enumerate(said):
        words(root, part, (48, 62 + 36 * row), hand=Hand(LIGHT.ink, 27, weight=650))
    top, zoom = 52 + 36 * len(said), 1.5
    height = (520 - top - 14) / zoom
    columns = len(panels)
    frame = _Frame(panels, unit=unit, inks=LIGHT, columns=columns, width=1104 / zoom, plot=height - HEAD - FOOT)
    frame.draw(shape(root, "g", {"transform": f"translate(48 {top}) scale({zoom})"}))
    return written(root)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plot:
    """One pair of axes: where it lies and what it spans."""

    left: float
    top: float
    width: float
    height: float
    until: float
    worst: float

    def at(self, time: float, error: float) -> tuple[float, float]:
        """The point on paper, in pixels."""
        return self.left + self.width * time / self.until, self.top + self.height * (1 - error / self.worst)


@dataclasses.dataclass(frozen=True)
class _Frame:
    """All panels in rows of `columns`, `width` pixels wide, every plot `plot` pixels high."""

    panels: tuple[Panel, ...]
    _: dataclasses.KW_ONLY
    unit: str
    inks: Inks
    columns: int
    width: float
    plot: float

    def __post_init__(self) -> None:
        if not self.panels or not all(panel.curves for panel in self.panels):
            raise ValueError("a figure needs at least one panel, and every panel at least one curve")
"""
