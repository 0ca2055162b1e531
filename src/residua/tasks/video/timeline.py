"""The timeline of a video: how likely each class is from moment to moment, under the frames of the film."""

import xml.etree.ElementTree as ET

import numpy as np

from residua.report.ink import Inks, from_page
from residua.report.page import Figure, Numbers, Page, Section, Table, Text, png, render
from residua.report.svg import Hand, cut, drawing, line, shape, spread, ticks, tooltip, words, written
from residua.tasks.video.watch import SHOWN, Watched
from residua.version import __version__

WIDE, HIGH = 740, 190
"""Pixels of the whole drawing, and of the curves in it."""
DRAWN = 5
"""Classes that get a curve: the likeliest of the whole video."""

_LEFT, _RIGHT, _GAP, _FOOT = 44, 130, 18, 34


def timeline(seen: Watched) -> str:
    """The drawing as SVG text."""
    inks = from_page()
    wide = WIDE - _LEFT - _RIGHT
    each = wide / SHOWN
    film = each * seen.frames.shape[1] / seen.frames.shape[2]
    root = drawing(WIDE, film + _GAP + HIGH + _FOOT)
    for place, frame in enumerate(seen.frames):
        box: dict[str, str | float] = {
            "x": _LEFT + each * place + 1,
            "y": 0,
            "width": each - 2,
            "height": film,
        }
        shape(root, "image", {**box, "href": png(frame), "preserveAspectRatio": "none"})
    plot = shape(root, "g", {"transform": f"translate({_LEFT} {film + _GAP:.1f})"})
    _axes(plot, seen, wide, inks)
    _curves(plot, seen, wide, inks)
    return written(root)


def page(films: tuple[Watched, ...], network: str) -> str:
    """One HTML page with the timeline of each video."""
    sections = tuple(_section(seen) for seen in films)
    many = f"{len(films)} videos" if len(films) != 1 else films[0].file.name
    lead = f"{network} on {many}: what it says from moment to moment, each moment a clip."
    footer = f"Written by residua {__version__}; the page asks nothing of any network."
    return render(Page(f"Timeline of {many}", lead, sections, footer))


def _section(seen: Watched) -> Section:
    (first, sure), *_ = seen.top()
    count, unit = len(seen.seconds), " s" if seen.unit == "s" else " frames"
    numbers = (
        (first, f"likeliest of the whole video, {100 * sure:.0f} %"),
        (f"{seen.length:.3g}{unit}", "length"),
        (str(count), "clips" if count > 1 else "clip: the video is no longer"),
    )
    caption = (
        f"Probability of the likeliest classes. Each point is one clip, drawn at its middle: {seen.said}."
    )
    rows = tuple((name, f"{100 * p:.1f} %") for name, p in seen.top(DRAWN))
    spoken = f"{first} leads with {100 * sure:.0f} % over the whole video."
    table = Table(("class", "mean over the video"), rows, numeric=(1,))
    return Section(seen.file.name, (Numbers(numbers), Figure(timeline(seen), caption, spoken), table, _READ))


_READ = Text(("Neighbouring clips share frames, so a curve is smoother than the network's opinion.",))


def _axes(plot: ET.Element, seen: Watched, wide: float, inks: Inks) -> None:
    for percent in (0, 50, 100):
        up = HIGH * (1 - percent / 100)
        shape(plot, "path", {"d": f"M0 {up:.1f}H{wide:.1f}"}, style=f"stroke: {inks.rule}")
        words(plot, f"{percent}", (-8, up + 4), hand=Hand(inks.quiet, 12, anchor="end"))
    words(plot, "%", (-8, -8), hand=Hand(inks.quiet, 12, anchor="end"))
    for tick in ticks(seen.length, most=8):
        along = wide * tick / seen.length
        words(plot, f"{tick:g}", (along, HIGH + 17), hand=Hand(inks.quiet, 12, anchor="middle"))
    words(plot, seen.unit, (wide, HIGH + 30), hand=Hand(inks.quiet, 12, anchor="end"))


def _curves(plot: ET.Element, seen: Watched, wide: float, inks: Inks) -> None:
    best = np.argsort(-seen.probabilities.mean(0), kind="stable")[: min(DRAWN, len(inks.nets))]
    ends = [HIGH * (1 - float(seen.probabilities[-1, c])) for c in best]
    places = spread(ends, gap=16, low=4, high=HIGH)
    for c, colour, place in reversed(list(zip(best.tolist(), inks.nets, places, strict=False))):
        points = [
            (wide * float(t) / seen.length, HIGH * (1 - float(p)))
            for t, p in zip(seen.seconds, seen.probabilities[:, c], strict=True)
        ]
        style = f"fill: none; stroke: {colour}; stroke-width: 2; stroke-linejoin: round"
        shape(plot, "path", {"d": line(points)}, style=style)
        for at, p in zip(points, seen.probabilities[:, c], strict=True):
            dot = shape(plot, "circle", {"cx": at[0], "cy": at[1], "r": 2.5}, style=f"fill: {colour}")
            tooltip(dot, f"{seen.classes[c]}: {100 * p:.1f} %")
        name = words(plot, cut(seen.classes[c], 16), (wide + 10, place + 4), hand=Hand(colour, 13))
        tooltip(name, seen.classes[c])
