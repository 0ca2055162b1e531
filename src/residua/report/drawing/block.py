"""One block letter by letter, with its shortcut, its gate and its addition (He et al. 2015, fig. 2 and 5)."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, replace

from residua.report.colours import Palette
from residua.report.drawing.column import (
    ROUND,
    Canvas,
    draw_arrow,
    draw_arrow_head,
    draw_box,
    draw_branches,
    draw_operator,
)
from residua.report.drawing.layout import (
    BOX,
    GAP,
    RAIL,
    SMALL,
    TYPE,
    Segment,
    branch_labels,
    label,
    repeat_roles,
    total_width,
)
from residua.report.svg import TextStyle, add_shape, add_text, text_width
from residua.spec.arch import Arch
from residua.spec.block import Block, Fork, Join, Pool
from residua.spec.walk import BlockRepeat, Layer, block_repeats
from residua.spec.word import MEANING, PADS

STEP = 9  # pixels between two boxes
CAPTION, ENTRY = 40, 24  # for word and count; for the arrow that brings x
BEND = 8  # radius of the shortcut's corners
SHORTCUT_GAP = 22  # pixels from the boxes to what stands on the shortcut
OPERATOR_GAP = 26  # pixels from where something is multiplied to where all is added


@dataclass(frozen=True, slots=True)
class BlockKind:
    """Blocks of a network that are spelled alike."""

    run: BlockRepeat
    """The first of them."""
    count: int
    """How many there are."""
    total: int
    """Blocks of the whole network."""
    role: str = ""
    """`Start`, `Middle` or `End`: their part in a ResStage; empty elsewhere."""

    def on(self, *paths: str) -> list[Layer]:
        """Its layers on those paths."""
        return [layer for layer in self.run.layers if layer.path in paths]

    @property
    def main_layers(self) -> list[Layer]:
        """Before, inside and after the brackets."""
        return self.on("main", "residual")

    @property
    def shortcut_layers(self) -> list[Layer]:
        """Around them."""
        return self.on("shortcut")

    @property
    def pool(self) -> Pool:
        """Shape of every P and V."""
        return self.run.block.pool if isinstance(self.run.block, Block) else Pool()

    @property
    def join(self) -> Join | None:
        """How residual and shortcut are joined; None without a shortcut."""
        block = self.run.block
        return block.join if isinstance(block, Block) and block.has_shortcut else None

    @property
    def branches(self) -> Segment | None:
        """Its branches letter by letter; None unless it is a fork."""
        block = self.run.block
        if not isinstance(block, Fork):
            return None
        return Segment(self.run.part, 0, branch_labels(block, self.run, letters="".join(MEANING)))

    @property
    def caption(self) -> tuple[str, str]:
        """The word, and where it stands."""
        assert self.run.block is not None
        role = f"{self.role}: " if self.role else ""
        return self.run.block.word, f"{role}{self.count} of {self.total} blocks"


def block_kinds(arch: Arch) -> tuple[BlockKind, ...]:
    """Every different block of the stages, by word and shortcut, in the order of their places in a stage."""
    kinds: dict[tuple[str, str], BlockKind] = {}
    places: dict[tuple[str, str], list[int]] = {}
    repeats = block_repeats(arch)
    roles = dict(zip(map(id, repeats), repeat_roles(arch, repeats), strict=True))
    inside = [run for run in repeats if 0 < run.part <= len(arch.stages) and run.block]
    for part in range(1, len(arch.stages) + 1):
        place = 0
        for run in (run for run in inside if run.part == part):
            assert run.block is not None
            name = run.block.word, "".join(layer.letter for layer in run.layers if layer.path == "shortcut")
            first = kinds.get(name, BlockKind(run, 0, sum(run.count for run in inside), roles[id(run)]))
            kinds[name] = replace(first, count=first.count + run.count)
            places.setdefault(name, []).extend((place, place + run.count - 1))
            place += run.count
    return tuple(kinds[name] for name in sorted(kinds, key=lambda n: (min(places[n]), max(places[n]))))


def block_size(kind: BlockKind) -> tuple[float, float]:
    """Width and height of its drawing, in pixels."""
    text = max(1.1 * text_width(kind.caption[0], 13), text_width(kind.caption[1], SMALL + 1))
    high = CAPTION + ENTRY + 4 + STEP + 17
    if kind.branches:
        return max(text, _boxes_width(kind)), high + 2 * RAIL + kind.branches.rows * (BOX + GAP)
    letters = max(len(kind.main_layers), len(kind.shortcut_layers) + 1)
    joined = (6 + STEP + BOX + (OPERATOR_GAP if _has_factors(kind) else 0)) if kind.join else 0
    return max(text, _boxes_width(kind) + _right_width(kind)), high + letters * (BOX + STEP) + joined


def draw_block(parent: ET.Element, kind: BlockKind, *, at: tuple[float, float], palette: Palette) -> None:
    """Draw it with its upper left corner at `at`.

    Args:
        parent: Element of the drawing that receives the shapes.
        kind: Blocks that are spelled alike, of which one is drawn.
        at: x and y of the upper left corner, in pixels; `block_size` gives the size.
        palette: Colours.
    """
    x, y = at
    add_text(parent, kind.caption[0], (x, y + 12), style=TextStyle(palette.text, 13, weight=650))
    add_text(parent, kind.caption[1], (x, y + 28), style=TextStyle(palette.muted, SMALL + 1))
    canvas = Canvas(parent, x + _boxes_width(kind) / 2, _boxes_width(kind), palette)
    add_text(
        parent,
        "x",
        (canvas.middle, y + CAPTION + 8),
        style=TextStyle(palette.text, 13, anchor="middle", italic=True),
    )
    end, y = y + CAPTION + 13, y + CAPTION + ENTRY + 4
    if kind.branches:
        end = draw_branches(canvas, kind.branches, at=y + RAIL, end=end, colour=canvas.colour(kind.run.part))
    else:
        end = _draw_letters(canvas, kind, end, y)
    draw_arrow(parent, canvas.middle, (end, end + STEP + 5), colour=palette.text)


def _draw_letters(canvas: Canvas, kind: BlockKind, end: float, y: float) -> float:
    """Draw the letters from `y` down, with the shortcut if there is one; return the y of the end."""
    leaves, path = 0.0, "main"
    for layer in kind.main_layers:
        if (path, layer.path) == ("main", "residual"):
            leaves, y = end + 5, y + 6
        elif (path, layer.path) == ("residual", "main"):
            end = _draw_join(canvas, kind, (leaves, end))
            y = end + STEP + 3
        path = layer.path
        draw_arrow(canvas.parent, canvas.middle, (end, y), colour=canvas.palette.text)
        _draw_letter(canvas, kind, layer, (canvas.middle, y), canvas.box_width)
        end, y = y + BOX, y + BOX + STEP
    return _draw_join(canvas, kind, (leaves, end)) if path == "residual" and kind.join else end


def _draw_letter(
    canvas: Canvas, kind: BlockKind, layer: Layer, at: tuple[float, float], width: float
) -> None:
    """One box, coloured where it weighs or picks, grey where it only rescales or bends."""
    tone = canvas.colour(kind.run.part) if layer.letter in "CPVL" + PADS else canvas.palette.muted
    draw_box(
        canvas.parent,
        label(layer, kind.pool),
        at,
        box_width=width,
        colour=tone,
        text_colour=canvas.palette.text,
    )


def _boxes_width(kind: BlockKind) -> float:
    """Pixels across the boxes on the trunk."""
    if kind.branches:
        return total_width(kind.branches)
    return max(100.0, _widest(kind, kind.main_layers))


def _widest(kind: BlockKind, some: Sequence[Layer]) -> float:
    return max((text_width(label(layer, kind.pool), TYPE) + 14 for layer in some), default=0)


def _right_width(kind: BlockKind) -> float:
    """Pixels right of the boxes."""
    if not kind.join:
        return 0
    side_labels = _widest(kind, kind.shortcut_layers)
    text = 10 + text_width("identity", SMALL + 1)
    gate = _widest(kind, kind.on("gate"))
    return (
        SHORTCUT_GAP
        + (gate + SHORTCUT_GAP + 14 if gate else 0)
        + (max(side_labels, side_labels / 2 + 40) if side_labels else text)
    )


def _has_factors(kind: BlockKind) -> bool:
    return kind.join is not None and kind.join != Join()


def _draw_join(canvas: Canvas, kind: BlockKind, span: tuple[float, float]) -> float:
    """Draw the shortcut and the circle where it is added; return the lower edge of the circle."""
    leaves, end = span
    need = (len(kind.shortcut_layers) + (1 if kind.on("gate") else 0)) * (BOX + STEP) + STEP
    more = OPERATOR_GAP if _has_factors(kind) else 0
    joint = max(end + BOX, leaves + need + BOX / 2) + more
    gate = _widest(kind, kind.on("gate"))
    right = (
        canvas.middle
        + canvas.box_width / 2
        + SHORTCUT_GAP
        + (gate + SHORTCUT_GAP + 14 if gate else 0)
        + _widest(kind, kind.shortcut_layers) / 2
    )
    is_projection = any(layer.letter != "D" for layer in kind.shortcut_layers)
    style = (
        f"fill: none; stroke: {canvas.palette.text}; stroke-width: 1.2"
        + "; stroke-dasharray: 4 3" * is_projection
    )
    path = (
        f"M{canvas.middle:.1f} {leaves:.1f}H{right - BEND:.1f}q{BEND} 0 {BEND} {BEND}V{joint - BEND:.1f}"
        f"q0 {BEND} -{BEND} {BEND}H{canvas.middle + ROUND + 3:.1f}"
    )
    add_shape(canvas.parent, "path", {"d": path}, style=style)
    draw_arrow_head(canvas.parent, (canvas.middle + ROUND, joint), colour=canvas.palette.text, toward="left")
    draw_arrow(canvas.parent, canvas.middle, (end, joint - ROUND), colour=canvas.palette.text)
    _draw_shortcut(canvas, kind, (right, (leaves + joint - more) / 2))
    if _has_factors(kind):
        _draw_factors(canvas, kind, right, (leaves, joint - OPERATOR_GAP))
    draw_operator(canvas.parent, (canvas.middle, joint), palette=canvas.palette)
    return joint + ROUND


def _draw_factors(canvas: Canvas, kind: BlockKind, right: float, span: tuple[float, float]) -> None:
    """Draw what multiplies shortcut and residual at the lower y of `span`; a gate starts at the upper."""
    assert kind.join is not None
    (top, y), hand = span, TextStyle(canvas.palette.text, SMALL + 1, italic=True)
    if not kind.on("gate"):
        for x, factor in ((right, kind.join.shortcut), (canvas.middle, kind.join.residual)):
            if factor != 1:
                draw_operator(canvas.parent, (x, y), palette=canvas.palette, times=True)
                add_text(canvas.parent, f"{factor:g}", (x + ROUND + 5, y + 4), style=hand)
        return
    exclusive, x = kind.join.gate == "exclusive", canvas.middle + canvas.box_width / 2 + SHORTCUT_GAP
    width = _widest(kind, kind.on("gate"))
    x, boxes = x + width / 2, top + 16
    draw_arrow(canvas.parent, x, (top, boxes), colour=canvas.palette.text)
    _draw_letter(canvas, kind, kind.on("gate")[0], (x, boxes), width)
    draw_arrow(canvas.parent, x, (boxes + BOX, boxes + BOX + STEP), colour=canvas.palette.text)
    draw_box(
        canvas.parent,
        "sigmoid",
        (x, boxes + BOX + STEP),
        box_width=width,
        colour=canvas.palette.muted,
        text_colour=canvas.palette.text,
    )
    stroke = f"fill: none; stroke: {canvas.palette.text}; stroke-width: 1.2"
    path = f"M{x:.1f} {boxes + 2 * BOX + STEP:.1f}V{y:.1f}H{right - ROUND - 3:.1f}"
    add_shape(canvas.parent, "path", {"d": path}, style=stroke)
    draw_arrow_head(canvas.parent, (right - ROUND, y), colour=canvas.palette.text, toward="right")
    draw_operator(canvas.parent, (right, y), palette=canvas.palette, times=True)
    add_text(canvas.parent, "1 − g", (x + 8, y - 5), style=hand)
    if exclusive:
        path = f"M{x:.1f} {y:.1f}H{canvas.middle + ROUND + 3:.1f}"
        add_shape(canvas.parent, "path", {"d": path}, style=stroke)
        draw_arrow_head(canvas.parent, (canvas.middle + ROUND, y), colour=canvas.palette.text, toward="left")
        draw_operator(canvas.parent, (canvas.middle, y), palette=canvas.palette, times=True)
        add_text(canvas.parent, "g", (x - 16, y - 5), style=hand)


def _draw_shortcut(canvas: Canvas, kind: BlockKind, at: tuple[float, float]) -> None:
    """Draw the layers on the shortcut, around the middle of its height."""
    x, middle = at
    if not kind.shortcut_layers:
        add_text(
            canvas.parent, "identity", (x + 7, middle + 4), style=TextStyle(canvas.palette.muted, SMALL + 1)
        )
        return
    y, width = (
        middle - (len(kind.shortcut_layers) * (BOX + STEP) - STEP) / 2,
        _widest(kind, kind.shortcut_layers),
    )
    for layer in kind.shortcut_layers:
        cover = {"x": x - width / 2, "y": y, "width": width, "height": BOX, "rx": 3}
        add_shape(canvas.parent, "rect", cover, style=f"fill: {canvas.palette.background}")
        _draw_letter(canvas, kind, layer, (x, y), width)
        y += BOX + STEP
