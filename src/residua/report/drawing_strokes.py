"""A network as a column of boxes with curved shortcuts beside it (He et al. 2015, fig. 3)."""

import xml.etree.ElementTree as ET
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from residua.report.colours import Palette
from residua.report.drawing_layout import (
    BOX,
    BULGE,
    FORK,
    FRAME,
    GAP,
    JOINT,
    LAST,
    RAIL,
    SMALL,
    TYPE,
    Column,
    Piece,
    abreast,
    way_widths,
)
from residua.report.svg import TextStyle, add_shape, add_text

ROUND = 5  # pixels: radius of the circle that adds
LEAD = 13  # pixels from one line beside the boxes to the next
HEAD = 4  # pixels: length of an arrow's head


@dataclass(frozen=True)
class Pen:
    """Where a column is drawn."""

    parent: ET.Element
    """What it is drawn into."""
    middle: float
    """x of its trunk."""
    wide: float
    """Pixels across a box that stands alone."""
    palette: Palette
    """Its colours."""
    room: float = 0
    """Pixels across all that stands side by side."""

    def hue(self, part: int) -> str:
        """The colour of a stage; stem and head are grey."""
        return self.palette.series[(part - 1) % 5] if 0 < part < LAST else self.palette.muted


def draw(pen: Pen, made: Column, *, top: float, tops: Mapping[Hashable, float], key: str) -> float:
    """Draw the column below `top`, each piece in its section; the y where it ends.

    `tops` says where the section of each size or part, as `key` has it, begins.
    """
    begin = " × ".join(map(str, made.arch.input_shape))
    begin = f"clip, {begin}" if made.arch.clip else f"image, {begin}"
    add_text(
        pen.parent,
        begin,
        (pen.middle, top + 10),
        style=TextStyle(pen.palette.muted, SMALL + 1, anchor="middle"),
    )
    end, below = top + 15, dict(tops)
    for piece in made.pieces:
        section = getattr(piece, key)
        at = below[section]
        below[section] = at + piece.height
        end = _piece(pen, piece, at=at, end=end, hue=pen.hue(piece.part))
    return end


def arrow(parent: ET.Element, x: float, span: tuple[float, float], *, colour: str) -> None:
    """A line down from one y to another, with a head where it ends."""
    start, end = span
    line = {"x1": x, "x2": x, "y1": start, "y2": end - HEAD + 1}
    add_shape(parent, "line", line, style=f"stroke: {colour}; stroke-width: 1.2")
    tip(parent, (x, end), colour=colour)


def tip(parent: ET.Element, at: tuple[float, float], *, colour: str, toward: str = "down") -> None:
    """The head of an arrow that ends at `at`, pointing `down`, `left` or `right`."""
    shapes = {"down": f"l-3 -{HEAD}h6z", "left": f"l{HEAD} -3v6z", "right": f"l-{HEAD} -3v6z"}
    path = f"M{at[0]:.1f} {at[1]:.1f}{shapes[toward]}"
    add_shape(parent, "path", {"d": path}, style=f"fill: {colour}")


def box(parent: ET.Element, said: str, at: tuple[float, float], *, wide: float, hue: str, ink: str) -> None:
    """A box whose upper edge has its middle at `at`."""
    x, y = at
    frame = {"x": x - wide / 2, "y": y, "width": wide, "height": BOX, "rx": 3}
    add_shape(parent, "rect", frame, style=f"fill: {hue}; fill-opacity: 0.13; stroke: {hue}; stroke-width: 1")
    add_text(parent, said, (x, y + BOX / 2 + TYPE * 0.36), style=TextStyle(ink, TYPE, anchor="middle"))


def sign(parent: ET.Element, at: tuple[float, float], *, palette: Palette, times: bool = False) -> None:
    """The circle that adds what arrives, or multiplies it."""
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


def _piece(pen: Pen, piece: Piece, *, at: float, end: float, hue: str) -> float:
    """One piece whose room begins at `at`, reached by an arrow from `end`; the y where it ends."""
    first = at + piece.margins[0]
    if piece.count > 1:
        _frame(pen, piece, at=at, hue=hue)
    if not piece.rows and piece.skipped is None:
        return _aside(pen, piece, at=at, end=end)
    if len(piece.ways) > 1:
        return fork(pen, piece, at=first, end=end, hue=hue)
    (way,), y, edges = piece.ways, first, []
    for said in way:
        arrow(pen.parent, pen.middle, (end, y), colour=pen.palette.text)
        box(pen.parent, said, (pen.middle, y), wide=pen.wide, hue=hue, ink=pen.palette.text)
        edges.append(y)
        end, y = y + BOX, y + BOX + GAP
    if piece.skipped is None:
        return end
    start, stop = piece.skipped
    leaves = (edges[start] if start < len(edges) else first) - FORK / 2 - 1
    joint = (edges[stop - 1] + BOX if stop > start else first) + JOINT / 2
    _skip(pen, piece, (leaves, joint))
    link = {"x1": pen.middle, "x2": pen.middle, "y1": joint - JOINT / 2, "y2": joint - ROUND}
    add_shape(pen.parent, "line", link, style=f"stroke: {pen.palette.text}; stroke-width: 1.2")
    sign(pen.parent, (pen.middle, joint), palette=pen.palette)
    return max(end, joint + ROUND)


def _skip(pen: Pen, piece: Piece, span: tuple[float, float]) -> None:
    """The curve beside what is skipped, dashed where it projects, and what it does there."""
    (fork, joint), edge = span, pen.middle + pen.wide / 2 - 6
    reach = edge + BULGE * 4 / 3
    path = (
        f"M{pen.middle:.1f} {fork:.1f}H{edge:.1f}C{reach:.1f} {fork:.1f} {reach:.1f} {joint:.1f} "
        f"{edge:.1f} {joint:.1f}H{pen.middle + ROUND + HEAD - 1:.1f}"
    )
    dashes = "; stroke-dasharray: 4 3" if piece.projects else ""
    add_shape(
        pen.parent,
        "path",
        {"d": path},
        style=f"fill: none; stroke: {pen.palette.text}; stroke-width: 1.2{dashes}",
    )
    tip(pen.parent, (pen.middle + ROUND, joint), colour=pen.palette.text, toward="left")
    y = (fork + joint) / 2 + SMALL * 0.36 - LEAD * (len(piece.beside) - 1) / 2
    _beside(pen, piece, (edge + BULGE + 8 + piece.framed, y))


def _beside(pen: Pen, piece: Piece, at: tuple[float, float]) -> None:
    for place, said in enumerate(piece.beside):
        add_text(pen.parent, said, (at[0], at[1] + LEAD * place), style=TextStyle(pen.palette.muted, SMALL))


def _aside(pen: Pen, piece: Piece, *, at: float, end: float) -> float:
    """An arrow to what hangs on the trunk; the y where the trunk goes on."""
    y, edge = at + 2, pen.middle + pen.room / 2 + BULGE - 14
    path = f"M{pen.middle:.1f} {end:.1f}V{y:.1f}H{edge:.1f}"
    add_shape(
        pen.parent, "path", {"d": path}, style=f"fill: none; stroke: {pen.palette.text}; stroke-width: 1.2"
    )
    tip(pen.parent, (edge + HEAD, y), colour=pen.palette.text, toward="right")
    _beside(pen, piece, (edge + HEAD + 6, y + SMALL * 0.36))
    return y


def _frame(pen: Pen, piece: Piece, *, at: float, hue: str) -> None:
    """What says that equal blocks are drawn once, and how many there are."""
    out = BULGE if piece.skipped else 8
    left, top = pen.middle - pen.wide / 2 - 8, at + FRAME / 2
    wide, high = pen.wide + 8 + out, piece.height - FRAME
    for step in (4, 0):
        frame = {"x": left + step, "y": top + step / 2, "width": wide, "height": high - step / 2, "rx": 6}
        style = f"fill: {pen.palette.background}; stroke: {hue}; stroke-width: 1; stroke-opacity: {0.35 if step else 0.7}"
        add_shape(pen.parent, "rect", frame, style=style)
    said = f"{piece.count} ×"
    hand = TextStyle(hue, 13, anchor="end", weight=650)
    add_text(pen.parent, said, (left - 8, top + high / 2 + 4.5), style=hand)


def fork(pen: Pen, piece: Piece, *, at: float, end: float, hue: str) -> float:
    """Ways side by side between two rails, their boxes from `at` down; the y where they are one again."""
    widths, style = way_widths(piece), f"stroke: {pen.palette.text}; stroke-width: 1.2"
    x, middles = pen.middle - abreast(piece) / 2, list[float]()
    for wide in widths:
        middles.append(x + wide / 2)
        x += wide + GAP
    upper, lower = at - RAIL, at + piece.rows * (BOX + GAP) - GAP + RAIL
    for y in (upper, lower):
        add_shape(pen.parent, "line", {"x1": middles[0], "x2": middles[-1], "y1": y, "y2": y}, style=style)
    add_shape(pen.parent, "line", {"x1": pen.middle, "x2": pen.middle, "y1": end, "y2": upper}, style=style)
    for middle, wide, way in zip(middles, widths, piece.ways, strict=True):
        last, y = upper, at
        for said in way:
            arrow(pen.parent, middle, (last, y), colour=pen.palette.text)
            box(pen.parent, said, (middle, y), wide=wide, hue=hue, ink=pen.palette.text)
            last, y = y + BOX, y + BOX + GAP
        add_shape(pen.parent, "line", {"x1": middle, "x2": middle, "y1": last, "y2": lower}, style=style)
    return lower
