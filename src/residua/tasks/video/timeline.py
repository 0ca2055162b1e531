"""The timeline of a video: how likely each class is from moment to moment, under the frames of the film."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np

from residua.report.colours import Palette, page_palette
from residua.report.page import Figure, Numbers, Page, Section, Table, Text, png, render
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    path_data,
    responsive_svg,
    shorten,
    spread_apart,
    ticks,
    to_string,
)
from residua.tasks.video.predictor import FRAMES, VideoPrediction
from residua.version import __version__

DRAWN = 5
"""Classes that get a curve: the likeliest of the whole video."""

_GAP, _FOOT = 22, 34  # pixels between film and curves, and below these


@dataclass(frozen=True, slots=True)
class _Sides:
    """How a timeline is laid out."""

    wide: float
    """Pixels of the whole drawing."""
    high: float
    """Pixels of the curves."""
    left: float
    """Pixels left of them, for percentages."""
    right: float
    """Pixels right of them, for the names of classes."""
    frames: int
    """Frames of the film above them."""
    longest: int
    """Characters of a name."""

    @property
    def room(self) -> float:
        """Pixels along the curves."""
        return self.wide - self.left - self.right

    def film(self, seen: VideoPrediction) -> float:
        """Pixels of the frames from top to bottom."""
        return float(self.room / self.frames * seen.frames.shape[1] / seen.frames.shape[2])

    def size(self, seen: VideoPrediction) -> tuple[float, float]:
        """Pixels of the whole, across and down."""
        return self.wide, self.film(seen) + _GAP + self.high + _FOOT


_BROAD, _SLIM = _Sides(740, 190, 44, 130, FRAMES, 16), _Sides(350, 170, 30, 92, FRAMES // 2, 11)


def timeline(seen: VideoPrediction) -> str:
    """The drawing as SVG text."""
    root, *views = responsive_svg(_BROAD.size(seen), _SLIM.size(seen))
    for view, sides in zip(views, (_BROAD, _SLIM), strict=True):
        _draw(view, seen, sides)
    return to_string(root)


def page(films: tuple[VideoPrediction, ...], network: str) -> str:
    """One HTML page with the timeline of each video."""
    sections = tuple(_section(seen) for seen in films)
    many = f"{len(films)} videos" if len(films) != 1 else films[0].file.name
    lead = f"{network} on {many}: what it says from moment to moment, each moment a clip."
    footer = f"Written by residua {__version__}; the page asks nothing of any network."
    return render(Page(f"Timeline of {many}", lead, sections, footer))


def _section(seen: VideoPrediction) -> Section:
    (first, sure), *_ = seen.top()
    count, unit = len(seen.seconds), " s" if seen.unit == "s" else " frames"
    numbers = (
        (first, f"likeliest of the whole video, {100 * sure:.0f} %"),
        (f"{seen.length:.3g}{unit}", "length"),
        (str(count), "clips" if count > 1 else "clip: the video is no longer"),
    )
    caption = (
        f"Probability of the likeliest classes. Each point is one clip, drawn at its middle: {seen.clip}."
    )
    rows = tuple((name, f"{100 * p:.1f} %") for name, p in seen.top(DRAWN))
    spoken = f"{first} leads with {100 * sure:.0f} % over the whole video."
    table = Table(("class", "mean over the video"), rows, numeric=(1,))
    return Section(seen.file.name, (Numbers(numbers), Figure(timeline(seen), caption, spoken), table, _READ))


_READ = Text(("Neighbouring clips share frames, so a curve is smoother than the network's opinion.",))


def _draw(view: ET.Element, seen: VideoPrediction, sides: _Sides) -> None:
    """Some frames of the film, evenly spread, and the curves below them."""
    palette, film, each = page_palette(), sides.film(seen), sides.room / sides.frames
    places = np.linspace(0, len(seen.frames) - 1, sides.frames).round().astype(int)
    for place, frame in enumerate(seen.frames[places]):
        left = sides.left + each * place + 1
        box: dict[str, str | float] = {"x": left, "y": 0, "width": each - 2, "height": film}
        add_shape(view, "image", {**box, "href": png(frame), "preserveAspectRatio": "none"})
    plot = add_shape(view, "g", {"transform": f"translate({sides.left} {film + _GAP:.1f})"})
    _axes(plot, seen, sides, palette)
    _curves(plot, seen, sides, palette)


def _axes(plot: ET.Element, seen: VideoPrediction, sides: _Sides, palette: Palette) -> None:
    wide = sides.room
    for percent in (0, 50, 100):
        up = sides.high * (1 - percent / 100)
        add_shape(plot, "path", {"d": f"M0 {up:.1f}H{wide:.1f}"}, style=f"stroke: {palette.grid}")
        add_text(plot, f"{percent}", (-8, up + 4), style=TextStyle(palette.muted, 12, anchor="end"))
    add_text(plot, "%", (-8, -8), style=TextStyle(palette.muted, 12, anchor="end"))
    for tick in ticks(seen.length, most=sides.frames):
        along = wide * tick / seen.length
        add_text(
            plot, f"{tick:g}", (along, sides.high + 17), style=TextStyle(palette.muted, 12, anchor="middle")
        )
    add_text(
        plot, seen.unit, (wide / 2, sides.high + 30), style=TextStyle(palette.muted, 12, anchor="middle")
    )


def _curves(plot: ET.Element, seen: VideoPrediction, sides: _Sides, palette: Palette) -> None:
    wide, high = sides.room, sides.high
    best = np.argsort(-seen.probabilities.mean(0), kind="stable")[: min(DRAWN, len(palette.series))]
    ends = [high * (1 - float(seen.probabilities[-1, c])) for c in best]
    places = spread_apart(ends, gap=16, low=4, high=high)
    for c, colour, place in reversed(list(zip(best.tolist(), palette.series, places, strict=False))):
        points = [
            (wide * float(t) / seen.length, high * (1 - float(p)))
            for t, p in zip(seen.seconds, seen.probabilities[:, c], strict=True)
        ]
        style = f"fill: none; stroke: {colour}; stroke-width: 2; stroke-linejoin: round"
        add_shape(plot, "path", {"d": path_data(points)}, style=style)
        for at, p in zip(points, seen.probabilities[:, c], strict=True):
            dot = add_shape(plot, "circle", {"cx": at[0], "cy": at[1], "r": 2.5}, style=f"fill: {colour}")
            add_tooltip(dot, f"{seen.classes[c]}: {100 * p:.1f} %")
        said = shorten(seen.classes[c], sides.longest)
        name = add_text(plot, said, (wide + 10, place + 4), style=TextStyle(colour, 13))
        add_tooltip(name, seen.classes[c])
