"""Networks drawn the way the papers draw them, side by side and aligned: SVG for print and for screens."""

import xml.etree.ElementTree as ET
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from residua.report import drawing_blocks, drawing_strokes
from residua.report.colours import DARK, LIGHT, css_variables
from residua.report.drawing_layout import GUTTER, SMALL, TITLE, Column, cut
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    number,
    text_width,
    to_string,
)
from residua.spec import describe
from residua.spec.amount import format_count
from residua.spec.arch import Arch

MARGIN, HEAD, BETWEEN = 28, 62, 30  # pixels around all, for the names, and between columns
ABOVE = 12  # pixels of the margin above a name that nothing reaches into
SECTION = 8  # pixels from one size of map to the next
MOST_ROWS = 42  # boxes; what has more is folded, for on a page its type would be too small
LINE = 20  # pixels from one line of the legend to the next


@dataclass(frozen=True)
class DrawingLayout:
    """Where columns and sections stand."""

    columns: tuple[Column, ...]
    """The networks, cut."""
    key: str
    """Whether a section holds one `size` of map or one `part` of a network."""
    tops: dict[Hashable, float]
    """Upper edge of each section, in pixels."""
    end: float
    """Lower edge of the last."""

    @property
    def lefts(self) -> tuple[float, ...]:
        """Left edge of each column, gutter included."""
        found, x = [], float(MARGIN)
        for made in self.columns:
            found.append(x)
            x += made.width + BETWEEN
        return tuple(found)

    @property
    def right(self) -> float:
        """Right edge of the last column."""
        return self.lefts[-1] + self.columns[-1].width


def networks(archs: Sequence[Arch], *, fold: bool | None = None) -> str:
    """One column for each of `archs`, and beside a single residual one its blocks letter by letter.

    `fold` draws equal blocks in a row once; None does so where a column would not fit a page.
    """
    if fold is None:
        fold = any(sum(piece.rows for piece in cut(arch, fold=False).pieces) > MOST_ROWS for arch in archs)
    return _in_both_lights(_columns(archs, fold=fold, with_blocks=len(archs) == 1))


def _columns(archs: Sequence[Arch], *, fold: bool, with_blocks: bool) -> ET.Element:
    """The columns; to their right the blocks of the first, if it skips any."""
    plan = _plan(tuple(cut(arch, fold=fold) for arch in archs))
    some = drawing_blocks.kinds(archs[0]) if with_blocks and _signs(plan) else ()
    corner = plan.right + BETWEEN, float(MARGIN + HEAD)
    spots = _flow(some, corner, high=plan.end - corner[1])
    sizes = [drawing_blocks.size(kind) for kind in some]
    right = max([plan.right, *(x + wide for (x, _), (wide, _) in zip(spots, sizes, strict=True))])
    end = max([plan.end, *(y + high for (_, y), (_, high) in zip(spots, sizes, strict=True))])
    legend = _wrapped(_signs(plan), right - MARGIN)
    root = _page(archs, right + MARGIN, end + MARGIN + LINE * len(legend))
    _sections(root, plan)
    for made, left in zip(plan.columns, plan.lefts, strict=True):
        pen = drawing_strokes.Pen(root, left + GUTTER + made.boxes / 2, made.box, LIGHT, made.boxes)
        _title(pen, made.arch)
        drawing_strokes.draw(pen, made, top=MARGIN + HEAD - 16, tops=plan.tops, key=plan.key)
    for kind, spot in zip(some, spots, strict=True):
        drawing_blocks.draw(root, kind, at=spot, palette=LIGHT)
    _legend(root, legend, end + 14)
    return root


def blocks(archs: Sequence[Arch]) -> str:
    """The blocks of each of `archs` letter by letter, one row for a network."""
    y, right, found = float(MARGIN), 0.0, []
    for arch in archs:
        y, x, high = y + 34, float(MARGIN), 0.0
        head = y - 20
        for kind in drawing_blocks.kinds(arch):
            found.append((kind, (x, y), head))
            wide, tall = drawing_blocks.size(kind)
            x, high = x + wide + 2 * BETWEEN, max(high, tall)
        y, right = y + high + 20, max(right, x - 2 * BETWEEN, MARGIN + text_width(_line(arch), 15))
    root = _page(archs, right + MARGIN, y + MARGIN)
    for kind, spot, _ in found:
        drawing_blocks.draw(root, kind, at=spot, palette=LIGHT)
    at = MARGIN
    for arch, head in zip(archs, sorted({head for _, _, head in found}), strict=True):
        add_text(root, arch.name, (at, head), style=TextStyle(LIGHT.text, 16, weight=650))
        add_text(
            root,
            _line(arch),
            (at + text_width(arch.name, 16) + 14, head),
            style=TextStyle(LIGHT.muted, SMALL + 1),
        )
    return _in_both_lights(root)


def column_of(arch: Arch) -> str:
    """`arch` as a column, folded, without its blocks beside it; for a page, which says what it shows."""
    return _in_both_lights(_within_a_page(_columns((arch,), fold=True, with_blocks=False)))


def commonest(arch: Arch) -> str:
    """The block of `arch` that comes most often, letter by letter; for a page, which says what it shows."""
    kind = max(drawing_blocks.kinds(arch), key=lambda each: each.count)
    wide, high = drawing_blocks.size(kind)
    root = _page((arch,), wide + 2 * MARGIN, high + ABOVE)
    drawing_blocks.draw(root, kind, at=(MARGIN, ABOVE), palette=LIGHT)
    return _in_both_lights(_within_a_page(root))


def _within_a_page(root: ET.Element) -> ET.Element:
    """`root` without the margins at its sides and what is `ABOVE`; the page around it says what it shows."""
    aside = MARGIN - 2  # strokes are as wide as that
    wide, high = float(root.get("width", "0")) - 2 * aside, float(root.get("height", "0")) - ABOVE
    root.set("viewBox", f"{aside} {ABOVE} {number(wide)} {number(high)}")
    root.set("width", number(wide))
    root.set("height", number(high))
    del root.attrib["role"]
    return root


def _line(arch: Arch) -> str:
    found = describe.cost(arch)
    params, macs = format_count(found.params), format_count(found.macs)
    return f"{arch.depth()} layers, {params} parameters, {macs} multiply-adds"


def _page(archs: Sequence[Arch], width: float, height: float) -> ET.Element:
    """An empty page with its title and what it shows in words."""
    root = new_svg(width, height)
    root.set("class", "network")
    root.set("role", "img")
    add_tooltip(root, " beside ".join(arch.name for arch in archs) + ", from image to classes")
    ET.SubElement(root, "desc").text = " ".join(told(arch) for arch in archs)
    sheet = {"x": 0, "y": 0, "width": width, "height": height}
    add_shape(root, "rect", sheet, style=f"fill: {LIGHT.background}")
    return root


def told(arch: Arch) -> str:
    """What a drawing of `arch` shows, in words, part by part."""
    lines = [
        f"{row.part} at {describe.extent(row.size, row.frames)}: {row.layers}, {row.words}"
        for row in describe.table(arch)
    ]
    return f"{arch.name} ({arch.source}): {_line(arch)}. {'; '.join(lines)}."


def _in_both_lights(root: ET.Element) -> str:
    """The drawing as text: plain colours for print and for other programs, exchanged on a dark screen."""
    night = dict(css_variables(DARK))
    rules = [
        f'.network [style*="{what}: {colour}"]{{{what}:{night[name]}!important}}'
        for name, colour in reversed(css_variables(LIGHT))  # the quiet ink is also the last net's
        for what in ("fill", "stroke")
    ]
    style = ET.Element("style")
    style.text = "@media (prefers-color-scheme: dark){" + "".join(rules) + "}"
    root.insert(2, style)
    return to_string(root)


def _plan(columns: tuple[Column, ...]) -> DrawingLayout:
    """By the size of the map where the networks share sizes, else part by part."""
    sizes = [list(dict.fromkeys(piece.size for piece in made.pieces)) for made in columns]
    most = max(sizes, key=len)
    key = "size" if all(set(found) <= set(most) for found in sizes) else "part"
    parts = sorted({piece.part for made in columns for piece in made.pieces})
    y, tops = float(MARGIN + HEAD + 12), dict[Hashable, float]()
    for section in most if key == "size" else parts:
        tops[section] = y
        y += SECTION + max(_height(made, key, section) for made in columns)
    return DrawingLayout(columns, key, tops, y)


def _height(made: Column, key: str, section: Hashable) -> float:
    return sum(piece.height for piece in made.pieces if getattr(piece, key) == section)


def _sections(root: ET.Element, plan: DrawingLayout) -> None:
    """A rule above each section, and the size of its maps where it is not the one to the left."""
    for section, top in plan.tops.items():
        y = top - SECTION / 2
        line = {"x1": MARGIN, "x2": plan.right, "y1": y, "y2": y}
        add_shape(root, "line", line, style=f"stroke: {LIGHT.grid}; stroke-width: 1")
        before = 0, 1
        for made, left in zip(plan.columns, plan.lefts, strict=True):
            maps = [(p.size, p.frames) for p in made.pieces if getattr(p, plan.key) == section]
            now = maps[-1] if maps else before
            if now != before:
                said = describe.extent(*now, between=" × ")
                add_text(root, said, (left, y + 15), style=TextStyle(LIGHT.muted, SMALL + 1))
            before = now


def _title(pen: drawing_strokes.Pen, arch: Arch) -> None:
    layers, params, macs = _line(arch).split(", ")
    lines = f"{layers} · {params}", macs
    add_text(
        pen.parent, arch.name, (pen.middle, MARGIN + 8), style=TextStyle(LIGHT.text, TITLE, "middle", 650)
    )
    for place, said in enumerate(lines):
        hand = TextStyle(LIGHT.muted, SMALL, "middle")
        add_text(pen.parent, said, (pen.middle, MARGIN + 23 + 13 * place), style=hand)


def _flow(
    some: Sequence[drawing_blocks.BlockKind], corner: tuple[float, float], *, high: float
) -> tuple[tuple[float, float], ...]:
    """Corners of drawings one below the other, in as many columns as the height asks for."""
    (x, top), y, widest, found = corner, corner[1], 0.0, []
    for kind in some:
        wide, tall = drawing_blocks.size(kind)
        if y > top and y + tall > top + high:
            x, y, widest = x + widest + BETWEEN, top, 0.0
        found.append((x, y))
        y, widest = y + tall + 20, max(widest, wide)
    return tuple(found)


def _signs(plan: DrawingLayout) -> tuple[tuple[str, str], ...]:
    """Which signs occur, and what they mean."""
    pieces = [piece for made in plan.columns for piece in made.pieces]
    found = {
        ("solid", "identity"): any(p.skipped and not p.projects for p in pieces),
        ("dashed", "projection, as said beside it"): any(p.projects for p in pieces),
        ("plus", "addition"): any(p.skipped for p in pieces),
    }
    return tuple(sign for sign, occurs in found.items() if occurs)


def _wrapped(signs: tuple[tuple[str, str], ...], width: float) -> list[list[tuple[float, str, str]]]:
    """The signs in lines, each with its x."""
    lines: list[list[tuple[float, str, str]]] = []
    x = width + 1
    for sign, meaning in signs:
        wide = 34 + text_width(meaning, SMALL + 1)
        if x + wide > width:
            lines.append([])
            x = 0.0
        lines[-1].append((MARGIN + x, sign, meaning))
        x += wide + 14
    return lines


def _legend(root: ET.Element, lines: list[list[tuple[float, str, str]]], top: float) -> None:
    for row, line in enumerate(lines):
        y = top + LINE * row + 8
        for x, sign, meaning in line:
            if sign == "plus":
                drawing_strokes.sign(root, (x + 13, y), palette=LIGHT)
            else:
                dashes = "; stroke-dasharray: 4 3" if sign == "dashed" else ""
                style = f"stroke: {LIGHT.text}; stroke-width: 1.2{dashes}"
                add_shape(root, "line", {"x1": x, "x2": x + 26, "y1": y, "y2": y}, style=style)
            add_text(root, meaning, (x + 34, y + 4), style=TextStyle(LIGHT.muted, SMALL + 1))
