"""Rows of small pictures with a line of text above each."""

import dataclasses
from typing import TYPE_CHECKING

from residua.report.chart import SMALL
from residua.report.colours import page_palette
from residua.report.page import png
from residua.report.svg import TextStyle, add_shape, add_text, add_tooltip, new_svg, shorten, to_string

if TYPE_CHECKING:
    import numpy as np

SIDE, GAP, LABEL = 104, 8, 22  # pixels: a picture, from one to the next, and its line of text
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
    root = new_svg(step * columns - GAP, (step + LABEL) * len(rows) - GAP)
    text = TextStyle(page_palette().muted, SMALL)
    for down, row in enumerate(rows):
        for across, tile in enumerate(row):
            x, y = step * across, (step + LABEL) * down
            label = add_text(root, shorten(tile.label, 16), (x, y + 14), style=text)
            add_tooltip(label, tile.label)
            place: dict[str, str | float] = {"x": x, "y": y + LABEL, "width": SIDE, "height": SIDE}
            is_tiny = max(tile.pixels.shape[:2]) < SMOOTH
            rendering = "image-rendering: pixelated" if is_tiny else ""
            add_shape(root, "image", {**place, "href": png(tile.pixels)}, style=rendering)
    return to_string(root)
