"""Tables of pictures, and numbers as shades: what is looked at rather than read."""

import dataclasses
import math
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from residua.report.colours import page_palette
from residua.report.page import png
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    number,
    shorten,
    to_string,
)

if TYPE_CHECKING:
    import numpy as np

SIDE = 420  # pixels along a map of shades
MOST = 45  # cells along a map of shades: more cannot be told apart on a phone
TILE, BETWEEN, HEAD = 104, 8, 22  # pixels: a picture, from one to the next, its line of words
KEY = 40  # pixels below a map for what its shades mean


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a table; ValueError unless its pixels are an image."""

    pixels: "np.ndarray"
    """(H, W) grey or (H, W, 3) RGB, uint8."""
    said: str = ""
    """Above it."""

    def __post_init__(self) -> None:
        """Refuse what is no image."""
        if self.pixels.dtype != "uint8" or self.pixels.ndim not in (2, 3) or 0 in self.pixels.shape:
            raise ValueError(f"pixels are {self.pixels.dtype} {self.pixels.shape}: give uint8, 2 or 3 axes")


def tiles(rows: tuple[tuple[Tile, ...], ...]) -> str:
    """Pictures in rows; ValueError without one."""
    if not rows or not all(rows):
        raise ValueError("a row without pictures: give each row at least one")
    columns, palette = max(map(len, rows)), page_palette()
    step = TILE + BETWEEN
    root = new_svg(step * columns - BETWEEN, (step + HEAD) * len(rows) - BETWEEN)
    for down, row in enumerate(rows):
        for across, tile in enumerate(row):
            left, top = step * across, (step + HEAD) * down
            said = add_text(root, shorten(tile.said, 16), (left, top + 14), hand=TextStyle(palette.muted, 12))
            add_tooltip(said, tile.said)
            fields: dict[str, str | float] = {
                "x": left,
                "y": top + HEAD,
                "width": TILE,
                "height": TILE,
                "href": png(tile.pixels),
            }
            pixelated = max(tile.pixels.shape[:2]) < 128
            add_shape(root, "image", fields, style="image-rendering: pixelated" if pixelated else "")
    return to_string(root)


def shades(values: "np.ndarray", *, low: str, high: str, box: float = 0.0, logarithmic: bool = False) -> str:
    """(R, C) numbers as a square of cells, the lowest as paper, the highest in full ink.

    `low` and `high` say what the ends of the scale are. `box` draws a centred square of that share of the
    side. ValueError for what is empty, not finite, or has more than `MOST` cells a side.
    """
    if values.ndim != 2 or not 0 < max(values.shape) <= MOST or not all(map(math.isfinite, values.flat)):
        raise ValueError(f"values are {values.shape}: give finite numbers, at most {MOST} a side")
    palette, floor, top = page_palette(), float(values.min()), float(values.max())
    cell = SIDE / max(values.shape)
    wide, high_pixels = cell * values.shape[1], cell * values.shape[0]
    root = new_svg(wide, high_pixels + KEY)
    for down, row in enumerate(values.tolist()):
        for across, value in enumerate(row):
            share = _share(value, floor, top, logarithmic=logarithmic)
            place = {"x": cell * across, "y": cell * down, "width": cell + 0.2, "height": cell + 0.2}
            if share > 0.004:
                style = f"fill: {palette.series[0]}; fill-opacity: {share:.3f}"
                add_tooltip(add_shape(root, "rect", place, style=style), f"{value:.4g}")
    edge = {"x": 0.5, "y": 0.5, "width": wide - 1, "height": high_pixels - 1}
    add_shape(root, "rect", edge, style=f"fill: none; stroke: {palette.grid}")
    if box:
        side = box * min(wide, high_pixels)
        square = {"x": (wide - side) / 2, "y": (high_pixels - side) / 2, "width": side, "height": side}
        add_shape(root, "rect", square, style=f"fill: none; stroke: {palette.series[1]}; stroke-width: 2")
    _scale(root, (low, high), top=high_pixels + 14, wide=wide)
    return to_string(root)


def _share(value: float, floor: float, top: float, *, logarithmic: bool) -> float:
    if top <= floor:
        return 0.0
    if logarithmic and floor > 0:
        return math.log(value / floor) / math.log(top / floor)
    return (value - floor) / (top - floor)


def _scale(root: ET.Element, ends: tuple[str, str], *, top: float, wide: float) -> None:
    """A strip from the lowest shade to the highest between the words for both."""
    palette, steps, reach = page_palette(), 24, 120
    left = (wide - reach) / 2
    for step in range(steps):
        place = {"x": left + reach * step / steps, "y": top, "width": reach / steps + 0.2, "height": 10}
        opacity = number(100 * step / (steps - 1))
        add_shape(root, "rect", place, style=f"fill: {palette.series[0]}; fill-opacity: {opacity}%")
    frame = {"x": left, "y": top, "width": reach, "height": 10}
    add_shape(root, "rect", frame, style=f"fill: none; stroke: {palette.grid}")
    add_text(root, ends[0], (left - 8, top + 10), hand=TextStyle(palette.muted, 12, anchor="end"))
    add_text(root, ends[1], (left + reach + 8, top + 10), hand=TextStyle(palette.muted, 12))
