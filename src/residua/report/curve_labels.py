"""Bars of what was measured, each with its deviation and with the paper's number as a grey mark."""

import dataclasses
import math
import xml.etree.ElementTree as ET

from residua.report.colours import Palette, page_palette
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    shorten,
    text_width,
    ticks,
    to_string,
)

STEP, TOP = 42, 30  # pixels from one bar to the next, and above the first
LONGEST = 46  # characters of a label, which stands above its bar
WIDTH, ROOM = 400, 60  # pixels: the whole, which a phone shows, and right of the longest bar for its number


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
    palette = page_palette()
    reaches = [row.value + (row.deviation if row.deviation > 0 else 0) for row in rows]
    ends = [end for end in (*reaches, *(row.paper for row in rows)) if math.isfinite(end)]
    full, bottom = max(ends, default=0.0) or 1.0, TOP + STEP * len(rows)
    wide = WIDTH - max(ROOM, *(text_width(_said(row), 12) + 20 for row in rows))
    root = new_svg(WIDTH, bottom + 44)
    _key(root, palette)
    for mark in ticks(full):
        x = wide * mark / full
        fields: dict[str, str | float] = {"x1": x, "x2": x, "y1": bottom, "y2": bottom + 4}
        add_shape(root, "line", fields, style=f"stroke: {palette.muted}")
        anchor = "middle" if mark else "start"
        add_text(root, f"{mark:g}", (x, bottom + 18), hand=TextStyle(palette.muted, 12, anchor=anchor))
    add_shape(
        root, "line", {"x1": 0, "x2": wide, "y1": bottom, "y2": bottom}, style=f"stroke: {palette.muted}"
    )
    add_text(root, unit, (wide / 2, bottom + 36), hand=TextStyle(palette.muted, 12, anchor="middle"))
    for place, row in enumerate(rows):
        _bar(root, row, TOP + STEP * place, scale=wide / full, palette=palette)
    return to_string(root)


def _bar(root: ET.Element, row: Beside, top: float, *, scale: float, palette: Palette) -> None:
    """The label of one row and its bar beneath."""
    name = add_text(root, shorten(row.label, LONGEST), (0, top + 13), hand=TextStyle(palette.text))
    add_tooltip(name, row.label)
    middle, end, said = top + 26, 0.0, _said(row)
    if math.isfinite(row.value):
        end = scale * row.value
        fields: dict[str, str | float] = {"x": 0, "y": middle - 6, "width": max(end, 1), "height": 12}
        add_shape(root, "rect", fields, style=f"fill: {palette.series[0]}")
        if row.deviation > 0:
            far = scale * row.deviation
            span: dict[str, str | float] = {"x1": end - far, "x2": end + far, "y1": middle, "y2": middle}
            add_shape(root, "line", span, style=f"stroke: {palette.text}; stroke-width: 1.5")
            end += far
    at = end + 8
    if math.isfinite(row.paper):
        x = scale * row.paper
        add_tooltip(_diamond(root, (x, middle), palette), f"paper: {row.paper:g}")
        is_hidden = at - 10 < x < at + text_width(said, 12) + 8
        at = x + 12 if is_hidden else at
    add_text(root, said, (at, middle + 4.5), hand=TextStyle(palette.muted, 12))


def _said(row: Beside) -> str:
    """What stands at the end of its bar: three digits that count, without powers of ten below a million."""
    return f"{float(f'{row.value:.3g}'):,g}" if math.isfinite(row.value) else row.note


def _diamond(root: ET.Element, at: tuple[float, float], palette: Palette) -> ET.Element:
    x, y = at
    points = f"M{x:.1f} {y - 9:.1f}L{x + 6:.1f} {y:.1f}L{x:.1f} {y + 9:.1f}L{x - 6:.1f} {y:.1f}Z"
    return add_shape(
        root,
        "path",
        {"d": points},
        style=f"fill: {palette.muted}; stroke: {palette.background}; stroke-width: 1.5",
    )


def _key(root: ET.Element, palette: Palette) -> None:
    """What a bar and what a diamond is."""
    add_shape(root, "rect", {"x": 0, "y": 3, "width": 22, "height": 10}, style=f"fill: {palette.series[0]}")
    add_text(root, "measured here", (28, 12), hand=TextStyle(palette.muted, 12))
    _diamond(root, (132, 8), palette)
    add_text(root, "the paper", (144, 12), hand=TextStyle(palette.muted, 12))
