"""Numbers as shades of one colour: the confusion matrix, and square maps such as a loss landscape."""

import dataclasses
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import TYPE_CHECKING

from residua.report.chart import SMALL
from residua.report.colours import Palette, page_palette
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    number,
    text_width,
    to_string,
    wrap,
)

if TYPE_CHECKING:
    import numpy as np

NO_LINKS: Mapping[tuple[int, int], str] = {}
MAX_NUMBERED = 12  # classes; with more, a number does not fit its cell on a phone
MAX_NAMED = 40  # classes; with more, names cannot be read, and only tooltips show them
MATRIX_SIDE = 340  # pixels along a confusion matrix, from where cells begin to shrink
LONGEST = 16  # characters of a class name in a line; longer ones get more lines where a cell has room
AXIS = 26  # pixels for the title of an axis
MAP_SIDE = 420  # pixels along a heat map
MAX_CELLS = 45  # cells along a heat map: more cannot be told apart on a phone
SCALE = 40  # pixels below a heat map for its colour scale


def confusion_matrix(
    classes: tuple[str, ...], counts: "np.ndarray", *, links: Mapping[tuple[int, int], str] = NO_LINKS
) -> str:
    """How often each class was predicted for each true class; a darker cell is a larger share of its row.

    Args:
        classes: K names.
        counts: (K, K) int; rows are true classes, columns predicted ones. Right is blue, wrong is vermilion.
        links: Row and column of a cell -> name of its pictures on the page, which the cell links to.

    Returns:
        SVG text.

    Raises:
        ValueError: the counts are not whole, negative, or not (K, K) for K >= 1.
    """
    many = len(classes)
    if not many or counts.shape != (many, many) or counts.dtype.kind not in "iu" or (counts < 0).any():
        description = f"counts are {counts.dtype} {counts.shape} for {many} classes"
        raise ValueError(f"{description}: give whole numbers >= 0 of shape (K, K) for K >= 1 classes")
    palette, side = page_palette(), min(38.0, MATRIX_SIDE / many)
    size = _type_size(side)
    names = (
        tuple(wrap(name, LONGEST, lines=int(side / size)) for name in classes) if many <= MAX_NAMED else ()
    )
    room = max((text_width(line, size) for name in names for line in name), default=0)
    is_turned = any(text_width(line, size) > side for name in names for line in name)
    left, top = AXIS + room + 8, AXIS + 8 + (room if is_turned else 12 if names else 0)
    root = new_svg(left + side * many + 1, top + side * many + 1)
    for row, line in enumerate(counts.tolist()):
        for column, count in enumerate(line):
            if count:
                place = f"translate({number(left + side * column)} {number(top + side * row)})"
                link = links.get((row, column))
                parent = add_shape(root, "a", {"href": f"#{link}"}) if link else root
                cell = add_shape(parent, "g", {"transform": place})
                note = f"{classes[row]} taken for {classes[column]}: {count} of {sum(line)}"
                add_tooltip(cell, f"{note}; select to see pictures" if link else note)
                text, colour = str(count) if many <= MAX_NUMBERED else "", palette.series[row != column]
                _cell(cell, text, share=count / sum(line), side=side, colour=colour)
    frame = {"x": left, "y": top, "width": side * many, "height": side * many}
    add_shape(root, "rect", frame, style=f"fill: none; stroke: {palette.muted}; stroke-opacity: 0.5")
    _class_names(root, names, corner=(left, top), side=side, is_turned=is_turned)
    title = TextStyle(palette.muted, SMALL, anchor="middle")
    add_text(root, "predicted", (left + side * many / 2, 13), style=title)
    add_text(root, "true", (13, top + side * many / 2), style=dataclasses.replace(title, turn=-90))
    return to_string(root)


def heat_map(values: "np.ndarray", *, low: str, high: str, box: float = 0.0) -> str:
    """A square of cells, the lowest value in the colour of the background, the highest in full colour.

    Args:
        values: (R, C) float, finite.
        low: Text at the lower end of the colour scale.
        high: Text at its upper end.
        box: Side of a square outline in the centre, as a share of the side of the map; 0 for none.

    Returns:
        SVG text.

    Raises:
        ValueError: the values are empty, not finite, or more than `MAX_CELLS` a side.
    """
    if values.ndim != 2 or not 0 < max(values.shape) <= MAX_CELLS or not all(map(math.isfinite, values.flat)):
        raise ValueError(f"values are {values.shape}: give finite numbers, at most {MAX_CELLS} a side")
    palette, least, most = page_palette(), float(values.min()), float(values.max())
    cell = MAP_SIDE / max(values.shape)
    wide, tall = cell * values.shape[1], cell * values.shape[0]
    root = new_svg(wide, tall + SCALE)
    for down, row in enumerate(values.tolist()):
        for across, value in enumerate(row):
            share = (value - least) / (most - least) if most > least else 0.0
            place = {"x": cell * across, "y": cell * down, "width": cell + 0.2, "height": cell + 0.2}
            if share > 0.004:
                style = f"fill: {palette.series[0]}; fill-opacity: {share:.3f}"
                add_tooltip(add_shape(root, "rect", place, style=style), f"{value:.4g}")
    edge = {"x": 0.5, "y": 0.5, "width": wide - 1, "height": tall - 1}
    add_shape(root, "rect", edge, style=f"fill: none; stroke: {palette.grid}")
    if box:
        side = box * min(wide, tall)
        square = {"x": (wide - side) / 2, "y": (tall - side) / 2, "width": side, "height": side}
        add_shape(root, "rect", square, style=f"fill: none; stroke: {palette.series[1]}; stroke-width: 2")
    _colour_scale(root, (low, high), top=tall + 14, wide=wide, palette=palette)
    return to_string(root)


def _cell(cell: ET.Element, text: str, *, share: float, side: float, colour: str) -> None:
    """A square and the number in it; shades on which no type can be read are left out."""
    # The square root shows a few mistakes among hundreds.
    opacity = 0.85 + 0.3 * (share - 0.5) if share >= 0.5 else 0.06 + 0.62 * math.sqrt(share)
    gap = 1 if text else 0
    square = {"width": side - gap, "height": side - gap}
    add_shape(cell, "rect", square, style=f"fill: {colour}; fill-opacity: {opacity:.2f}")
    if text:
        palette = page_palette()
        size = 13 if len(text) <= 4 else 10
        style = TextStyle(palette.background if share >= 0.5 else palette.text, size, "middle", weight=500)
        add_text(cell, text, ((side - gap) / 2, (side - gap) / 2 + size * 0.36), style=style)


def _class_names(
    root: ET.Element,
    names: tuple[tuple[str, ...], ...],
    *,
    corner: tuple[float, float],
    side: float,
    is_turned: bool,
) -> None:
    """The classes, in one line or more, left of their rows and above their columns."""
    (left, top), size = corner, _type_size(side)
    row = TextStyle(page_palette().text, size, anchor="end")
    turned = dataclasses.replace(row, anchor="start", turn=-90)
    for place, name in enumerate(names):
        for row_number, line in enumerate(name):
            middle = side * (place + 0.5) + size * (0.36 + row_number - (len(name) - 1) / 2)
            add_text(root, line, (left - 7, top + middle), style=row)
            if is_turned:
                add_text(root, line, (left + middle, top - 7), style=turned)
        if not is_turned:
            above = left + side * (place + 0.5), top - 7
            add_text(root, name[0], above, style=dataclasses.replace(row, anchor="middle"))


def _type_size(side: float) -> float:
    """Pixels of the type of class names that fits beside a cell."""
    return min(13.0, side - 1)


def _colour_scale(
    root: ET.Element, ends: tuple[str, str], *, top: float, wide: float, palette: Palette
) -> None:
    """A strip from the lightest shade to the darkest, with a text at each end."""
    steps, reach = 24, 120
    left = (wide - reach) / 2
    for step in range(steps):
        place = {"x": left + reach * step / steps, "y": top, "width": reach / steps + 0.2, "height": 10}
        opacity = step / (steps - 1)
        add_shape(root, "rect", place, style=f"fill: {palette.series[0]}; fill-opacity: {opacity:.3f}")
    frame = {"x": left, "y": top, "width": reach, "height": 10}
    add_shape(root, "rect", frame, style=f"fill: none; stroke: {palette.grid}")
    text = TextStyle(palette.muted, SMALL)
    add_text(root, ends[0], (left - 8, top + 10), style=dataclasses.replace(text, anchor="end"))
    add_text(root, ends[1], (left + reach + 8, top + 10), style=text)
