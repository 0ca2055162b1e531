"""Bars of what was measured, each with its deviation and with the paper's number as a grey mark."""

import dataclasses
import math
import xml.etree.ElementTree as ET

from residua.report.ink import Inks, from_page
from residua.report.svg import Hand, breadth, cut, drawing, shape, ticks, tooltip, words, written

STEP = 28  # pixels from one bar to the next
LONGEST = 28  # characters of a label
WIDTH = 460  # pixels: a phone shows it whole


@dataclasses.dataclass(frozen=True)
class Beside:
    """One bar and the mark beside it."""

    label: str
    """What was measured."""
    value: float
    """What came out; nan where nothing did."""
    deviation: float
    """Over seeds; nan where there was one."""
    paper: float
    """What the paper printed; nan where it printed nothing."""
    note: str = ""
    """Said in place of a missing value."""


def beside(rows: tuple[Beside, ...], *, unit: str) -> str:
    """Horizontal bars from zero, one a row, in the order given; ValueError without a row.

    A diamond stands at the paper's number, a whisker spans one deviation either side.
    """
    if not rows:
        raise ValueError("no rows: give at least one")
    inks = from_page()
    left = max(breadth(cut(row.label, LONGEST), 13) for row in rows) + 10
    ends = [row.paper for row in rows] + [
        row.value + (row.deviation if row.deviation > 0 else 0) for row in rows
    ]
    full = max([end for end in ends if math.isfinite(end)], default=0.0) or 1.0
    wide, bottom = max(120.0, WIDTH - left - 64), 26 + STEP * len(rows)
    root = drawing(left + wide + 64, bottom + 44)
    _key(root, inks)
    for mark in ticks(full):
        x = left + wide * mark / full
        fields: dict[str, str | float] = {"x1": x, "x2": x, "y1": 26, "y2": bottom}
        shape(root, "line", fields, style=f"stroke: {inks.rule if mark else inks.quiet}")
        words(root, f"{mark:g}", (x, bottom + 16), hand=Hand(inks.quiet, 12, anchor="middle"))
    words(root, unit, (left + wide / 2, bottom + 36), hand=Hand(inks.quiet, 12, anchor="middle"))
    for place, row in enumerate(rows):
        _bar(root, row, (left, 26 + STEP * (place + 0.5)), wide / full, inks)
    return written(root)


def _bar(root: ET.Element, row: Beside, at: tuple[float, float], scale: float, inks: Inks) -> None:
    """The bar of one row, whose zero and middle are `at`."""
    left, middle = at
    name = words(root, cut(row.label, LONGEST), (left - 10, middle + 4.5), hand=Hand(inks.ink, anchor="end"))
    tooltip(name, row.label)
    if math.isfinite(row.value):
        end = left + scale * row.value
        fields: dict[str, str | float] = {
            "x": left,
            "y": middle - 7,
            "width": max(end - left, 1),
            "height": 14,
        }
        shape(root, "rect", fields, style=f"fill: {inks.nets[0]}")
        reach = scale * row.deviation if row.deviation > 0 else 0.0
        if reach:
            whisker: dict[str, str | float] = {
                "x1": end - reach,
                "x2": end + reach,
                "y1": middle,
                "y2": middle,
            }
            shape(root, "line", whisker, style=f"stroke: {inks.ink}; stroke-width: 1.5")
        words(root, f"{row.value:.3g}", (end + reach + 7, middle + 4.5), hand=Hand(inks.quiet, 12))
    else:
        words(root, row.note, (left + 7, middle + 4.5), hand=Hand(inks.quiet, 12))
    if math.isfinite(row.paper):
        tooltip(_diamond(root, (left + scale * row.paper, middle), inks), f"paper: {row.paper:g}")


def _diamond(root: ET.Element, at: tuple[float, float], inks: Inks) -> ET.Element:
    x, y = at
    points = f"M{x:.1f} {y - 9:.1f}L{x + 6:.1f} {y:.1f}L{x:.1f} {y + 9:.1f}L{x - 6:.1f} {y:.1f}Z"
    return shape(
        root, "path", {"d": points}, style=f"fill: {inks.quiet}; stroke: {inks.paper}; stroke-width: 1.5"
    )


def _key(root: ET.Element, inks: Inks) -> None:
    """What a bar and what a diamond is."""
    shape(root, "rect", {"x": 0, "y": 3, "width": 22, "height": 10}, style=f"fill: {inks.nets[0]}")
    words(root, "measured here", (28, 12), hand=Hand(inks.quiet, 12))
    _diamond(root, (132, 8), inks)
    words(root, "the paper", (144, 12), hand=Hand(inks.quiet, 12))
