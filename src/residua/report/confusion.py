"""The confusion matrix as a heat map: which class was taken for which."""

import dataclasses
import math
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from residua.report.colours import page_palette
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    number,
    shorten,
    text_width,
    to_string,
)

if TYPE_CHECKING:
    import numpy as np

MOST_NUMBERED = 12  # classes; with more, a number no longer fits its cell on a phone
MOST_NAMED = 40  # classes; with more, names are smaller than type can be, and only tooltips tell
SIDE = 340  # pixels along the matrix, from where cells begin to shrink
AXIS = 26  # pixels for the words that name an axis


def confusion(classes: tuple[str, ...], counts: "np.ndarray") -> str:
    """Rows are true classes, columns predicted; the deeper a cell, the larger its share of the row.

    `counts` is (K, K) of whole numbers; ValueError if it is not, or if a count is negative. What is right is
    blue, what is wrong is vermilion.
    """
    many = len(classes)
    if not many or counts.shape != (many, many) or counts.dtype.kind not in "iu" or (counts < 0).any():
        given = f"counts are {counts.dtype} {counts.shape} for {many} classes"
        raise ValueError(f"{given}: give whole numbers >= 0 of shape (K, K) for K >= 1 classes")
    palette, side = page_palette(), min(38.0, SIDE / many)
    names = tuple(shorten(name, 16) for name in classes) if many <= MOST_NAMED else ()
    room = max((text_width(name, _type(side)) for name in names), default=0)
    is_turned = any(text_width(name, _type(side)) > side for name in names)
    left, top = AXIS + room + 8, AXIS + 8 + (room if is_turned else 12 if names else 0)
    root = new_svg(left + side * many + 1, top + side * many + 1)
    for row, line in enumerate(counts.tolist()):
        for column, count in enumerate(line):
            place = f"translate({number(left + side * column)} {number(top + side * row)})"
            if count:
                cell = add_shape(root, "g", {"transform": place})
                add_tooltip(cell, f"{classes[row]} taken for {classes[column]}: {count} of {sum(line)}")
                said = str(count) if many <= MOST_NUMBERED else ""
                _cell(cell, said, share=count / sum(line), side=side, tone=palette.series[row != column])
    frame = {"x": left, "y": top, "width": side * many, "height": side * many}
    add_shape(root, "rect", frame, style=f"fill: none; stroke: {palette.muted}; stroke-opacity: 0.5")
    _names(root, names, corner=(left, top), side=side, is_turned=is_turned)
    _axes(root, (left, top), reach=side * many)
    return to_string(root)


def _cell(cell: ET.Element, said: str, *, share: float, side: float, tone: str) -> None:
    """A square and the number in it; its tones leave out those on which no type can be read."""
    # The root, so that a few mistakes among hundreds show.
    depth = 0.85 + 0.3 * (share - 0.5) if share >= 0.5 else 0.06 + 0.62 * math.sqrt(share)
    gap = 1 if said else 0
    square = {"width": side - gap, "height": side - gap}
    add_shape(cell, "rect", square, style=f"fill: {tone}; fill-opacity: {depth:.2f}")
    if said:
        palette = page_palette()
        colour = palette.background if share >= 0.5 else palette.text
        pixels = 13 if len(said) <= 4 else 10
        hand = TextStyle(colour, pixels, anchor="middle", weight=500)
        add_text(cell, said, ((side - gap) / 2, (side - gap) / 2 + pixels * 0.36), hand=hand)


def _names(
    root: ET.Element, names: tuple[str, ...], *, corner: tuple[float, float], side: float, is_turned: bool
) -> None:
    """The classes at the left of their rows and above their columns."""
    (left, top), palette, pixels = corner, page_palette(), _type(side)
    for place, name in enumerate(names):
        middle = side * (place + 0.5)
        hand = TextStyle(palette.text, pixels, anchor="end")
        add_text(root, name, (left - 7, top + middle + pixels * 0.36), hand=hand)
        if is_turned:
            add_text(
                root,
                name,
                (left + middle + pixels * 0.36, top - 7),
                hand=TextStyle(palette.text, pixels, turn=-90),
            )
        else:
            add_text(root, name, (left + middle, top - 7), hand=dataclasses.replace(hand, anchor="middle"))


def _axes(root: ET.Element, corner: tuple[float, float], *, reach: float) -> None:
    """Which way is true and which predicted."""
    (left, top), hand = corner, TextStyle(page_palette().muted, 12, anchor="middle")
    add_text(root, "predicted", (left + reach / 2, 13), hand=hand)
    add_text(root, "true", (13, top + reach / 2), hand=dataclasses.replace(hand, turn=-90))


def _type(side: float) -> float:
    """Pixels of the names' type that fits beside a cell."""
    return min(13.0, side - 1)
