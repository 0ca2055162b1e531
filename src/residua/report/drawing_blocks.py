"""One block letter by letter, with its shortcut, its gate and its addition (He et al. 2015, fig. 2 and 5)."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, replace

from residua.report.colours import Palette
from residua.report.drawing_labels import label
from residua.report.drawing_layout import BOX, GAP, RAIL, SMALL, TYPE, Piece, abreast, branches
from residua.report.drawing_strokes import ROUND, Pen, arrow, box, fork, sign, tip
from residua.report.svg import TextStyle, add_shape, add_text, text_width
from residua.spec.arch import Arch
from residua.spec.block import Block, Fork, Join, Pool
from residua.spec.walk import BlockRepeat, Layer, block_repeats
from residua.spec.word import MEANING

STEP = 9  # pixels between two boxes
CAPTION, ENTRY = 40, 24  # for word and count; for the arrow that brings x
BEND = 8  # radius of the shortcut's corners
ASIDE = 22  # pixels from the boxes to what stands on the shortcut
SIGN = 26  # pixels from where something is multiplied to where all is added


@dataclass(frozen=True, slots=True)
class BlockKind:
    """Blocks of a network that are spelled alike."""

    run: BlockRepeat
    """The first of them."""
    count: int
    """How many there are."""
    total: int
    """Blocks of the whole network."""

    def on(self, *paths: str) -> list[Layer]:
        """Its layers on those paths."""
        return [layer for layer in self.run.layers if layer.path in paths]

    @property
    def main(self) -> list[Layer]:
        """Before, inside and after the brackets."""
        return self.on("main", "residual")

    @property
    def bridge(self) -> list[Layer]:
        """Around them."""
        return self.on("shortcut")

    @property
    def pool(self) -> Pool:
        """Shape of every P and V."""
        return self.run.block.pool if isinstance(self.run.block, Block) else Pool()

    @property
    def join(self) -> Join | None:
        """How residual and shortcut come together; None where nothing is skipped."""
        block = self.run.block
        return block.join if isinstance(block, Block) and block.has_shortcut else None

    @property
    def ways(self) -> Piece | None:
        """Its branches letter by letter, if it is a fork."""
        block = self.run.block
        if not isinstance(block, Fork):
            return None
        return Piece(self.run.part, 0, branches(block, self.run, shown="".join(MEANING)))

    @property
    def caption(self) -> tuple[str, str]:
        """The word, and where it stands."""
        assert self.run.block is not None
        return self.run.block.word, f"{self.count} of {self.total} blocks"


def kinds(arch: Arch) -> tuple[BlockKind, ...]:
    """Every word of the stages with its way around, in the order of their places in a stage."""
    found: dict[tuple[str, str], BlockKind] = {}
    places: dict[tuple[str, str], list[int]] = {}
    inside = [run for run in block_repeats(arch) if 0 < run.part <= len(arch.stages) and run.block]
    for part in range(1, len(arch.stages) + 1):
        place = 0
        for run in (run for run in inside if run.part == part):
            assert run.block is not None
            name = run.block.word, "".join(layer.letter for layer in run.layers if layer.path == "shortcut")
            first = found.get(name, BlockKind(run, 0, sum(run.count for run in inside)))
            found[name] = replace(first, count=first.count + run.count)
            places.setdefault(name, []).extend((place, place + run.count - 1))
            place += run.count
    return tuple(found[name] for name in sorted(found, key=lambda n: (min(places[n]), max(places[n]))))


def size(kind: BlockKind) -> tuple[float, float]:
    """Width and height of its drawing, in pixels."""
    said = max(1.1 * text_width(kind.caption[0], 13), text_width(kind.caption[1], SMALL + 1))
    high = CAPTION + ENTRY + 4 + STEP + 17
    if kind.ways:
        return max(said, _wide(kind)), high + 2 * RAIL + kind.ways.rows * (BOX + GAP)
    letters = max(len(kind.main), len(kind.bridge) + 1)
    joined = (6 + STEP + BOX + (SIGN if _multiplies(kind) else 0)) if kind.join else 0
    return max(said, _wide(kind) + _aside(kind)), high + letters * (BOX + STEP) + joined


def draw(parent: ET.Element, kind: BlockKind, *, at: tuple[float, float], palette: Palette) -> None:
    """Draw it with its upper left corner at `at`."""
    x, y = at
    add_text(parent, kind.caption[0], (x, y + 12), style=TextStyle(palette.text, 13, weight=650))
    add_text(parent, kind.caption[1], (x, y + 28), style=TextStyle(palette.muted, SMALL + 1))
    pen = Pen(parent, x + _wide(kind) / 2, _wide(kind), palette)
    add_text(
        parent,
        "x",
        (pen.middle, y + CAPTION + 8),
        style=TextStyle(palette.text, 13, anchor="middle", italic=True),
    )
    end, y = y + CAPTION + 13, y + CAPTION + ENTRY + 4
    if kind.ways:
        end = fork(pen, kind.ways, at=y + RAIL, end=end, hue=pen.hue(kind.run.part))
    else:
        end = _letters(pen, kind, end, y)
    arrow(parent, pen.middle, (end, end + STEP + 5), colour=palette.text)


def _letters(pen: Pen, kind: BlockKind, end: float, y: float) -> float:
    """Letter after letter from `y` down, with the way around where there is one; the y of the end."""
    leaves, path = 0.0, "main"
    for layer in kind.main:
        if (path, layer.path) == ("main", "residual"):
            leaves, y = end + 5, y + 6
        elif (path, layer.path) == ("residual", "main"):
            end = _join(pen, kind, (leaves, end))
            y = end + STEP + 3
        path = layer.path
        arrow(pen.parent, pen.middle, (end, y), colour=pen.palette.text)
        _letter(pen, kind, layer, (pen.middle, y), pen.wide)
        end, y = y + BOX, y + BOX + STEP
    return _join(pen, kind, (leaves, end)) if path == "residual" and kind.join else end


def _letter(pen: Pen, kind: BlockKind, layer: Layer, at: tuple[float, float], wide: float) -> None:
    """One box, coloured where it weighs or picks, grey where it only rescales or bends."""
    tone = pen.hue(kind.run.part) if layer.letter in "CPVLZ" else pen.palette.muted
    box(pen.parent, label(layer, kind.pool), at, wide=wide, hue=tone, ink=pen.palette.text)


def _wide(kind: BlockKind) -> float:
    """Pixels across the boxes on the trunk."""
    if kind.ways:
        return abreast(kind.ways)
    return max(100.0, _across(kind, kind.main))


def _across(kind: BlockKind, some: Sequence[Layer]) -> float:
    return max((text_width(label(layer, kind.pool), TYPE) + 14 for layer in some), default=0)


def _aside(kind: BlockKind) -> float:
    """Pixels right of the boxes."""
    if not kind.join:
        return 0
    beside = _across(kind, kind.bridge)
    said = 10 + text_width("identity", SMALL + 1)
    gate = _across(kind, kind.on("gate"))
    return ASIDE + (gate + ASIDE + 14 if gate else 0) + (max(beside, beside / 2 + 40) if beside else said)


def _multiplies(kind: BlockKind) -> bool:
    return kind.join is not None and kind.join != Join()


def _join(pen: Pen, kind: BlockKind, span: tuple[float, float]) -> float:
    """The way around from where it leaves, and the circle where it returns; the lower edge of the circle."""
    leaves, end = span
    need = (len(kind.bridge) + (1 if kind.on("gate") else 0)) * (BOX + STEP) + STEP
    more = SIGN if _multiplies(kind) else 0
    joint = max(end + BOX, leaves + need + BOX / 2) + more
    gate = _across(kind, kind.on("gate"))
    right = (
        pen.middle
        + pen.wide / 2
        + ASIDE
        + (gate + ASIDE + 14 if gate else 0)
        + _across(kind, kind.bridge) / 2
    )
    projects = any(layer.letter != "D" for layer in kind.bridge)
    style = (
        f"fill: none; stroke: {pen.palette.text}; stroke-width: 1.2" + "; stroke-dasharray: 4 3" * projects
    )
    path = (
        f"M{pen.middle:.1f} {leaves:.1f}H{right - BEND:.1f}q{BEND} 0 {BEND} {BEND}V{joint - BEND:.1f}"
        f"q0 {BEND} -{BEND} {BEND}H{pen.middle + ROUND + 3:.1f}"
    )
    add_shape(pen.parent, "path", {"d": path}, style=style)
    tip(pen.parent, (pen.middle + ROUND, joint), colour=pen.palette.text, toward="left")
    arrow(pen.parent, pen.middle, (end, joint - ROUND), colour=pen.palette.text)
    _around(pen, kind, (right, (leaves + joint - more) / 2))
    if _multiplies(kind):
        _factors(pen, kind, right, (leaves, joint - SIGN))
    sign(pen.parent, (pen.middle, joint), palette=pen.palette)
    return joint + ROUND


def _factors(pen: Pen, kind: BlockKind, right: float, span: tuple[float, float]) -> None:
    """What multiplies shortcut and residual at the lower y of `span`; a gate leaves at the upper."""
    assert kind.join is not None
    (top, y), hand = span, TextStyle(pen.palette.text, SMALL + 1, italic=True)
    if not kind.on("gate"):
        for x, factor in ((right, kind.join.shortcut), (pen.middle, kind.join.residual)):
            if factor != 1:
                sign(pen.parent, (x, y), palette=pen.palette, times=True)
                add_text(pen.parent, f"{factor:g}", (x + ROUND + 5, y + 4), style=hand)
        return
    exclusive, x = kind.join.gate == "exclusive", pen.middle + pen.wide / 2 + ASIDE
    wide = _across(kind, kind.on("gate"))
    x, boxes = x + wide / 2, top + 16
    arrow(pen.parent, x, (top, boxes), colour=pen.palette.text)
    _letter(pen, kind, kind.on("gate")[0], (x, boxes), wide)
    arrow(pen.parent, x, (boxes + BOX, boxes + BOX + STEP), colour=pen.palette.text)
    box(
        pen.parent,
        "sigmoid",
        (x, boxes + BOX + STEP),
        wide=wide,
        hue=pen.palette.muted,
        ink=pen.palette.text,
    )
    stroke = f"fill: none; stroke: {pen.palette.text}; stroke-width: 1.2"
    path = f"M{x:.1f} {boxes + 2 * BOX + STEP:.1f}V{y:.1f}H{right - ROUND - 3:.1f}"
    add_shape(pen.parent, "path", {"d": path}, style=stroke)
    tip(pen.parent, (right - ROUND, y), colour=pen.palette.text, toward="right")
    sign(pen.parent, (right, y), palette=pen.palette, times=True)
    add_text(pen.parent, "1 − g", (x + 8, y - 5), style=hand)
    if exclusive:
        path = f"M{x:.1f} {y:.1f}H{pen.middle + ROUND + 3:.1f}"
        add_shape(pen.parent, "path", {"d": path}, style=stroke)
        tip(pen.parent, (pen.middle + ROUND, y), colour=pen.palette.text, toward="left")
        sign(pen.parent, (pen.middle, y), palette=pen.palette, times=True)
        add_text(pen.parent, "g", (x - 16, y - 5), style=hand)


def _around(pen: Pen, kind: BlockKind, at: tuple[float, float]) -> None:
    """What stands on the shortcut, around the middle of its height."""
    x, middle = at
    if not kind.bridge:
        add_text(pen.parent, "identity", (x + 7, middle + 4), style=TextStyle(pen.palette.muted, SMALL + 1))
        return
    y, wide = middle - (len(kind.bridge) * (BOX + STEP) - STEP) / 2, _across(kind, kind.bridge)
    for layer in kind.bridge:
        cover = {"x": x - wide / 2, "y": y, "width": wide, "height": BOX, "rx": 3}
        add_shape(pen.parent, "rect", cover, style=f"fill: {pen.palette.background}")
        _letter(pen, kind, layer, (x, y), wide)
        y += BOX + STEP
