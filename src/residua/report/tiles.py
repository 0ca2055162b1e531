"""Rows of small pictures with a line of text above each."""

import dataclasses
import itertools
from typing import TYPE_CHECKING

from residua.report.chart import SMALL
from residua.report.colours import page_palette
from residua.report.page import png
from residua.report.svg import LINE, TextStyle, add_lines, add_shape, new_svg, to_string, wrap

if TYPE_CHECKING:
    import numpy as np

SIDE, GAP, LABEL = 104, 8, 22  # pixels: a picture, from one to the next, and its line of text
LONGEST = 16  # characters of a line of text
SMOOTH = 128  # pixels a side, below which a browser must not blur a picture when it enlarges it


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """One picture.

    Raises:
        ValueError: the pixels are not an image.
    """

    pixels: "np.ndarray"
    """(H, W) grey or (H, W, 3) RGB, uint8."""
    label: str = ""
    """Above it."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != "uint8" or self.pixels.ndim not in (2, 3) or 0 in self.pixels.shape:
            raise ValueError(f"pixels are {self.pixels.dtype} {self.pixels.shape}: give uint8, 2 or 3 axes")


def picture_grid(rows: tuple[tuple[Tile, ...], ...]) -> str:
    """Pictures in rows.

    Args:
        rows: Each at least one picture; rows may differ in length.

    Returns:
        SVG text, with the pictures as PNG data.

    Raises:
        ValueError: there are no rows, or a row has no pictures.
    """
    if not rows or not all(rows):
        raise ValueError("a row without pictures: give each row at least one")
    columns, step = max(map(len, rows)), SIDE + GAP
    text = TextStyle(page_palette().muted, SMALL)
    labels = [[wrap(tile.label, LONGEST) for tile in row] for row in rows]
    rooms = [LABEL + LINE * SMALL * (max(map(len, row)) - 1) for row in labels]
    tops = list(itertools.accumulate((step + room for room in rooms), initial=0.0))
    root = new_svg(step * columns - GAP, tops[-1] - GAP)
    for row, lines, top, room in zip(rows, labels, tops[:-1], rooms, strict=True):
        for across, tile in enumerate(row):
            x = step * across
            add_lines(root, lines[across], (x, top + (room - LABEL) / 2 + 14), style=text)
            place: dict[str, str | float] = {"x": x, "y": top + room, "width": SIDE, "height": SIDE}
            is_tiny = max(tile.pixels.shape[:2]) < SMOOTH
            rendering = "image-rendering: pixelated" if is_tiny else ""
            add_shape(root, "image", {**place, "href": png(tile.pixels)}, style=rendering)
    return to_string(root)
