"""A network as a column of boxes with curved shortcuts beside it (He et al. 2015, fig. 3)."""

import xml.etree.ElementTree as ET
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from residua.report.colours import Palette
from residua.report.drawing.layout import (
    BOX,
    FORK,
    FRAME,
    GAP,
    JOINT,
    LAST,
    RAIL,
    SHORTCUT_REACH,
    SMALL,
    TYPE,
    Column,
    Segment,
    branch_widths,
    total_width,
)
from residua.report.svg import TextStyle, add_shape, add_text

ROUND = 5  # pixels: radius of the circle that adds
LEAD = 13  # pixels from one line beside the boxes to the next
HEAD = 4  # pixels: length of an arrow's head


@dataclass(frozen=True)
class Canvas:
    """Where a column or a block is drawn, and in which colours."""

    parent: ET.Element
    """What it is drawn into."""
    middle: float
    """x of its trunk."""
    box_width: float
    """Pixels across a box that stands alone."""
    palette: Palette
    """Its colours."""
    full_width: float = 0
    """Pixels across all that stands side by side."""

    def colour(self, part: int) -> str:
        """The colour of a stage; stem and head are grey."""
        return self.palette.series[(part - 1) % 5] if 0 < part < LAST else self.palette.muted


def draw_column(
    canvas: Canvas, column: Column, *, top: float, tops: Mapping[Hashable, float], key: str
) -> float:
    """Draw a column.

    Args:
        canvas: Where.
        column: What.
        top: Upper edge of the first line of text, in pixels.
        tops: Upper edge of each section, in pixels.
        key: Field of a segment that names its section: `size` or `part`.

    Returns:
        The y where the column ends, in pixels.
    """
    begin = " × ".join(map(str, column.arch.input_shape))
    begin = f"clip, {begin}" if column.arch.clip else f"image, {begin}"
    add_text(
        canvas.parent,
        begin,
        (canvas.middle, top + 10),
        style=TextStyle(canvas.palette.muted, SMALL + 1, anchor="middle"),
    )
    end, below = top + 15, dict(tops)
    for segment in column.segments:
        section = getattr(segment, key)
        at = below[section]
        below[section] = at + segment.height
        end = _draw_segment(canvas, segment, at=at, end=end, colour=canvas.colour(segment.part))
    return end


def draw_arrow(parent: ET.Element, x: float, span: tuple[float, float], *, colour: str) -> None:
    """A line down from one y to another, with a head where it ends.

    Args:
        parent: Element of the drawing that receives the shapes.
        x: Place of the line, in pixels from the left.
        span: Start and end of the line, in pixels from the top.
        colour: A CSS colour.
    """
    start, end = span
    line = {"x1": x, "x2": x, "y1": start, "y2": end - HEAD + 1}
    add_shape(parent, "line", line, style=f"stroke: {colour}; stroke-width: 1.2")
    draw_arrow_head(parent, (x, end), colour=colour)


def draw_arrow_head(
    parent: ET.Element, at: tuple[float, float], *, colour: str, toward: str = "down"
) -> None:
    """The head of an arrow that ends at `at`, pointing `down`, `left` or `right`.

    Args:
        parent: Element of the drawing that receives the shapes.
        at: x and y of the tip, in pixels.
        colour: A CSS colour.
        toward: `down`, `left` or `right`.
    """
    shapes = {"down": f"l-3 -{HEAD}h6z", "left": f"l{HEAD} -3v6z", "right": f"l-{HEAD} -3v6z"}
    path = f"M{at[0]:.1f} {at[1]:.1f}{shapes[toward]}"
    add_shape(parent, "path", {"d": path}, style=f"fill: {colour}")


def draw_box(
    parent: ET.Element, text: str, at: tuple[float, float], *, box_width: float, colour: str, text_colour: str
) -> None:
    """A box whose upper edge has its middle at `at`.

    Args:
        parent: The SVG element that the box is added to.
        text: Its text, one line.
        at: x and y of the middle of its upper edge, in pixels.
        box_width: Its width in pixels; its height is `BOX`.
        colour: Colour of its border and, at 13 % opacity, of its area.
        text_colour: Colour of its text.
    """
    x, y = at
    frame = {"x": x - box_width / 2, "y": y, "width": box_width, "height": BOX, "rx": 3}
    add_shape(
        parent, "rect", frame, style=f"fill: {colour}; fill-opacity: 0.13; stroke: {colour}; stroke-width: 1"
    )
    add_text(
        parent, text, (x, y + BOX / 2 + TYPE * 0.36), style=TextStyle(text_colour, TYPE, anchor="middle")
    )


def draw_operator(
    parent: ET.Element, at: tuple[float, float], *, palette: Palette, times: bool = False
) -> None:
    """The circle that adds what arrives, or multiplies it.

    Args:
        parent: The SVG element that the circle is added to.
        at: x and y of its centre, in pixels; its radius is `ROUND`.
        palette: Gives the colours of its line and area.
        times: Whether it multiplies: it shows a cross instead of a plus.
    """
    x, y = at
    circle = {"cx": x, "cy": y, "r": ROUND}
    add_shape(
        parent,
        "circle",
        circle,
        style=f"fill: {palette.background}; stroke: {palette.text}; stroke-width: 1.1",
    )
    plus, cross = (
        f"M{x - 3:.1f} {y:.1f}h6M{x:.1f} {y - 3:.1f}v6",
        f"M{x - 2.2:.1f} {y - 2.2:.1f}l4.4 4.4m0 -4.4l-4.4 4.4",
    )
    style = f"stroke: {palette.text}; stroke-width: 1.1; fill: none"
    add_shape(parent, "path", {"d": cross if times else plus}, style=style)


def _draw_segment(canvas: Canvas, segment: Segment, *, at: float, end: float, colour: str) -> float:
    """One piece whose room begins at `at`, reached by an arrow from `end`; the y where it ends."""
    first = at + segment.margins[0]
    _draw_role(canvas, segment, at=at)
    if segment.count > 1:
        _draw_frame(canvas, segment, at=at, colour=colour)
    if not segment.rows and segment.skipped is None:
        return _draw_auxiliary_head(canvas, segment, at=at, end=end)
    if len(segment.branches) > 1:
        return draw_branches(canvas, segment, at=first, end=end, colour=colour)
    (branch,), y, edges = segment.branches, first, []
    for text in branch:
        draw_arrow(canvas.parent, canvas.middle, (end, y), colour=canvas.palette.text)
        draw_box(
            canvas.parent,
            text,
            (canvas.middle, y),
            box_width=canvas.box_width,
            colour=colour,
            text_colour=canvas.palette.text,
        )
        edges.append(y)
        end, y = y + BOX, y + BOX + GAP
    if segment.skipped is None:
        return end
    first_box, last_box = segment.skipped
    leaves = (edges[first_box] if first_box < len(edges) else first) - FORK / 2 - 1
    joint = (edges[last_box - 1] + BOX if last_box > first_box else first) + JOINT / 2
    _draw_shortcut(canvas, segment, (leaves, joint))
    link = {"x1": canvas.middle, "x2": canvas.middle, "y1": joint - JOINT / 2, "y2": joint - ROUND}
    add_shape(canvas.parent, "line", link, style=f"stroke: {canvas.palette.text}; stroke-width: 1.2")
    draw_operator(canvas.parent, (canvas.middle, joint), palette=canvas.palette)
    return max(end, joint + ROUND)


def _draw_shortcut(canvas: Canvas, segment: Segment, span: tuple[float, float]) -> None:
    """The curve beside what is skipped, dashed where it projects, and what it does there."""
    (start, joint), edge = span, canvas.middle + canvas.box_width / 2 - 6
    reach = edge + SHORTCUT_REACH * 4 / 3
    path = (
        f"M{canvas.middle:.1f} {start:.1f}H{edge:.1f}C{reach:.1f} {start:.1f} {reach:.1f} {joint:.1f} "
        f"{edge:.1f} {joint:.1f}H{canvas.middle + ROUND + HEAD - 1:.1f}"
    )
    dashes = "; stroke-dasharray: 4 3" if segment.is_projection else ""
    add_shape(
        canvas.parent,
        "path",
        {"d": path},
        style=f"fill: none; stroke: {canvas.palette.text}; stroke-width: 1.2{dashes}",
    )
    draw_arrow_head(canvas.parent, (canvas.middle + ROUND, joint), colour=canvas.palette.text, toward="left")
    y = (start + joint) / 2 + SMALL * 0.36 - LEAD * (len(segment.side_labels) - 1) / 2
    _draw_side_labels(canvas, segment, (edge + SHORTCUT_REACH + 8 + segment.frame_gap, y))


def _draw_side_labels(canvas: Canvas, segment: Segment, at: tuple[float, float]) -> None:
    for place, text in enumerate(segment.side_labels):
        add_text(
            canvas.parent, text, (at[0], at[1] + LEAD * place), style=TextStyle(canvas.palette.muted, SMALL)
        )


def _draw_auxiliary_head(canvas: Canvas, segment: Segment, *, at: float, end: float) -> float:
    """An arrow to what hangs on the trunk; the y where the trunk goes on."""
    y, edge = at + 2, canvas.middle + canvas.full_width / 2 + SHORTCUT_REACH - 14
    path = f"M{canvas.middle:.1f} {end:.1f}V{y:.1f}H{edge:.1f}"
    add_shape(
        canvas.parent,
        "path",
        {"d": path},
        style=f"fill: none; stroke: {canvas.palette.text}; stroke-width: 1.2",
    )
    draw_arrow_head(canvas.parent, (edge + HEAD, y), colour=canvas.palette.text, toward="right")
    _draw_side_labels(canvas, segment, (edge + HEAD + 6, y + SMALL * 0.36))
    return y


def _draw_frame(canvas: Canvas, segment: Segment, *, at: float, colour: str) -> None:
    """What says that equal blocks are drawn once, and how many there are."""
    out = SHORTCUT_REACH if segment.skipped else 8
    left, top = canvas.middle - canvas.box_width / 2 - 8, at + FRAME / 2
    box_width, high = canvas.box_width + 8 + out, segment.height - FRAME
    for step in (4, 0):
        frame = {
            "x": left + step,
            "y": top + step / 2,
            "width": box_width,
            "height": high - step / 2,
            "rx": 6,
        }
        opacity = 0.35 if step else 0.7
        stroke = f"stroke: {colour}; stroke-width: 1; stroke-opacity: {opacity}"
        style = f"fill: {canvas.palette.background}; {stroke}"
        add_shape(canvas.parent, "rect", frame, style=style)
    text = f"{segment.count} ×"
    hand = TextStyle(colour, 13, anchor="end", weight=650)
    add_text(canvas.parent, text, (left - 8, top + high / 2 + 4.5), style=hand)


def _draw_role(canvas: Canvas, segment: Segment, *, at: float) -> None:
    """The part of a block in its stage, left of its boxes; below their number where there are several."""
    if segment.role:
        x = canvas.middle - canvas.box_width / 2 - 16
        y = at + segment.height / 2 + (20 if segment.count > 1 else 4)
        style = TextStyle(canvas.palette.muted, SMALL + 1, anchor="end")
        add_text(canvas.parent, segment.role, (x, y), style=style)


def draw_branches(canvas: Canvas, segment: Segment, *, at: float, end: float, colour: str) -> float:
    """Ways side by side between two rails, their boxes from `at` down; the y where they are one again.

    Args:
        canvas: Where and in which colours it is drawn; the ways are centred on its trunk.
        segment: The fork, with the texts of the boxes of each branch.
        at: y of the upper edge of the first boxes, in pixels.
        end: y where the trunk above ends, in pixels.
        colour: Colour of the boxes.

    Returns:
        y of the lower rail, in pixels.
    """
    widths, style = branch_widths(segment), f"stroke: {canvas.palette.text}; stroke-width: 1.2"
    x, middles = canvas.middle - total_width(segment) / 2, list[float]()
    for box_width in widths:
        middles.append(x + box_width / 2)
        x += box_width + GAP
    upper, lower = at - RAIL, at + segment.rows * (BOX + GAP) - GAP + RAIL
    for y in (upper, lower):
        add_shape(canvas.parent, "line", {"x1": middles[0], "x2": middles[-1], "y1": y, "y2": y}, style=style)
    add_shape(
        canvas.parent, "line", {"x1": canvas.middle, "x2": canvas.middle, "y1": end, "y2": upper}, style=style
    )
    for middle, box_width, branch in zip(middles, widths, segment.branches, strict=True):
        last, y = upper, at
        for text in branch:
            draw_arrow(canvas.parent, middle, (last, y), colour=canvas.palette.text)
            draw_box(
                canvas.parent,
                text,
                (middle, y),
                box_width=box_width,
                colour=colour,
                text_colour=canvas.palette.text,
            )
            last, y = y + BOX, y + BOX + GAP
        add_shape(canvas.parent, "line", {"x1": middle, "x2": middle, "y1": last, "y2": lower}, style=style)
    return lower
