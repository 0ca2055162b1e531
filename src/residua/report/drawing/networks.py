"""Whole diagrams: networks side by side and aligned, with a legend and a description, as SVG."""

import xml.etree.ElementTree as ET
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from residua.report.colours import DARK, LIGHT, css_variables
from residua.report.drawing.block import BlockKind, block_kinds, block_size, draw_block
from residua.report.drawing.column import Canvas, draw_column, draw_operator
from residua.report.drawing.layout import GUTTER, SMALL, TITLE, Column, split_network
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
    """The networks, split into segments."""
    key: str
    """Whether a section holds one `size` of map or one `part` of a network."""
    tops: dict[Hashable, float]
    """Upper edge of each section, in pixels."""
    end: float
    """Lower edge of the last."""

    @property
    def lefts(self) -> tuple[float, ...]:
        """Left edge of each column, gutter included."""
        lefts, x = [], float(MARGIN)
        for column in self.columns:
            lefts.append(x)
            x += column.width + BETWEEN
        return tuple(lefts)

    @property
    def right(self) -> float:
        """Right edge of the last column."""
        return self.lefts[-1] + self.columns[-1].width


def draw_networks(archs: Sequence[Arch], *, fold: bool | None = None) -> str:
    """Draw one column for each network, and beside a single residual one its blocks letter by letter.

    Args:
        archs: One to three networks.
        fold: Whether equal blocks in a row are drawn once; None does so if a column would not fit a page.

    Returns:
        SVG text, in colours that follow a dark screen.
    """
    if fold is None:
        fold = any(
            sum(segment.rows for segment in split_network(arch, fold=False).segments) > MOST_ROWS
            for arch in archs
        )
    return _with_dark_style(_draw_columns(archs, fold=fold, with_blocks=len(archs) == 1))


def _draw_columns(archs: Sequence[Arch], *, fold: bool, with_blocks: bool) -> ET.Element:
    """The columns; to their right the blocks of the first, if it skips any."""
    plan = _align(tuple(split_network(arch, fold=fold) for arch in archs))
    some = block_kinds(archs[0]) if with_blocks and _legend_entries(plan) else ()
    corner = plan.right + BETWEEN, float(MARGIN + HEAD)
    spots = _place_blocks(some, corner, high=plan.end - corner[1])
    sizes = [block_size(kind) for kind in some]
    right = max([plan.right, *(x + width for (x, _), (width, _) in zip(spots, sizes, strict=True))])
    end = max([plan.end, *(y + high for (_, y), (_, high) in zip(spots, sizes, strict=True))])
    legend = _wrap_legend(_legend_entries(plan), right - MARGIN)
    root = _empty_page(archs, right + MARGIN, end + MARGIN + LINE * len(legend))
    _draw_sections(root, plan)
    for column, left in zip(plan.columns, plan.lefts, strict=True):
        canvas = Canvas(
            root, left + GUTTER + column.boxes_width / 2, column.box_width, LIGHT, column.boxes_width
        )
        _draw_title(canvas, column.arch)
        draw_column(canvas, column, top=MARGIN + HEAD - 16, tops=plan.tops, key=plan.key)
    for kind, spot in zip(some, spots, strict=True):
        draw_block(root, kind, at=spot, palette=LIGHT)
    _draw_legend(root, legend, end + 14)
    return root


def draw_blocks(archs: Sequence[Arch]) -> str:
    """Draw the blocks of each of `archs` letter by letter, one row a network, as SVG text."""
    y, right, placed = float(MARGIN), 0.0, []
    for arch in archs:
        y, x, high = y + 34, float(MARGIN), 0.0
        head = y - 20
        for kind in block_kinds(arch):
            placed.append((kind, (x, y), head))
            width, tall = block_size(kind)
            x, high = x + width + 2 * BETWEEN, max(high, tall)
        y, right = y + high + 20, max(right, x - 2 * BETWEEN, MARGIN + text_width(_size_line(arch), 15))
    root = _empty_page(archs, right + MARGIN, y + MARGIN)
    for kind, spot, _ in placed:
        draw_block(root, kind, at=spot, palette=LIGHT)
    at = MARGIN
    for arch, head in zip(archs, sorted({head for _, _, head in placed}), strict=True):
        add_text(root, arch.name, (at, head), style=TextStyle(LIGHT.text, 16, weight=650))
        add_text(
            root,
            _size_line(arch),
            (at + text_width(arch.name, 16) + 14, head),
            style=TextStyle(LIGHT.muted, SMALL + 1),
        )
    return _with_dark_style(root)


def draw_column_only(arch: Arch) -> str:
    """Draw `arch` as one folded column without its blocks, as SVG text without a description."""
    return _with_dark_style(_without_margins(_draw_columns((arch,), fold=True, with_blocks=False)))


def draw_commonest_block(arch: Arch) -> str:
    """Draw the most frequent block of `arch` letter by letter, as SVG text without a description."""
    kind = max(block_kinds(arch), key=lambda each: each.count)
    width, high = block_size(kind)
    root = _empty_page((arch,), width + 2 * MARGIN, high + ABOVE)
    draw_block(root, kind, at=(MARGIN, ABOVE), palette=LIGHT)
    return _with_dark_style(_without_margins(root))


def _without_margins(root: ET.Element) -> ET.Element:
    """`root` without its margins and its role: the page around it describes it."""
    aside = MARGIN - 2  # strokes are as width as that
    width, high = float(root.get("width", "0")) - 2 * aside, float(root.get("height", "0")) - ABOVE
    root.set("viewBox", f"{aside} {ABOVE} {number(width)} {number(high)}")
    root.set("width", number(width))
    root.set("height", number(high))
    del root.attrib["role"]
    return root


def _size_line(arch: Arch) -> str:
    total = describe.cost(arch)
    params, macs = format_count(total.params), format_count(total.macs)
    return f"{arch.depth()} layers, {params} parameters, {macs} multiply-adds"


def _empty_page(archs: Sequence[Arch], width: float, height: float) -> ET.Element:
    """An empty drawing with a title and a description for screen readers."""
    root = new_svg(width, height)
    root.set("class", "network")
    root.set("role", "img")
    add_tooltip(root, " beside ".join(arch.name for arch in archs) + ", from image to classes")
    ET.SubElement(root, "desc").text = " ".join(describe_network(arch) for arch in archs)
    sheet = {"x": 0, "y": 0, "width": width, "height": height}
    add_shape(root, "rect", sheet, style=f"fill: {LIGHT.background}")
    return root


def describe_network(arch: Arch) -> str:
    """Describe a drawing of `arch` in a sentence, part by part."""
    lines = [
        f"{row.part} at {describe.extent(row.size, row.frames)}: {row.layers}, {row.words}"
        for row in describe.table(arch)
    ]
    return f"{arch.name} ({arch.source}): {_size_line(arch)}. {'; '.join(lines)}."


def _with_dark_style(root: ET.Element) -> str:
    """The drawing as SVG text: fixed colours for print, replaced by a style sheet on a dark screen."""
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


def _align(columns: tuple[Column, ...]) -> DrawingLayout:
    """By the size of the map where the networks share sizes, else part by part."""
    sizes = [list(dict.fromkeys(segment.size for segment in column.segments)) for column in columns]
    most = max(sizes, key=len)
    key = "size" if all(set(some) <= set(most) for some in sizes) else "part"
    parts = sorted({segment.part for column in columns for segment in column.segments})
    y, tops = float(MARGIN + HEAD + 12), dict[Hashable, float]()
    for section in most if key == "size" else parts:
        tops[section] = y
        y += SECTION + max(_height(column, key, section) for column in columns)
    return DrawingLayout(columns, key, tops, y)


def _height(column: Column, key: str, section: Hashable) -> float:
    return sum(segment.height for segment in column.segments if getattr(segment, key) == section)


def _draw_sections(root: ET.Element, plan: DrawingLayout) -> None:
    """A rule above each section, and the size of its maps where it is not the one to the left."""
    for section, top in plan.tops.items():
        y = top - SECTION / 2
        line = {"x1": MARGIN, "x2": plan.right, "y1": y, "y2": y}
        add_shape(root, "line", line, style=f"stroke: {LIGHT.grid}; stroke-width: 1")
        before = 0, 1
        for column, left in zip(plan.columns, plan.lefts, strict=True):
            maps = [(p.size, p.frames) for p in column.segments if getattr(p, plan.key) == section]
            now = maps[-1] if maps else before
            if now != before:
                text = describe.extent(*now, between=" × ")
                add_text(root, text, (left, y + 15), style=TextStyle(LIGHT.muted, SMALL + 1))
            before = now


def _draw_title(canvas: Canvas, arch: Arch) -> None:
    layers, params, macs = _size_line(arch).split(", ")
    lines = f"{layers} · {params}", macs
    add_text(
        canvas.parent,
        arch.name,
        (canvas.middle, MARGIN + 8),
        style=TextStyle(LIGHT.text, TITLE, "middle", 650),
    )
    for place, text in enumerate(lines):
        hand = TextStyle(LIGHT.muted, SMALL, "middle")
        add_text(canvas.parent, text, (canvas.middle, MARGIN + 23 + 13 * place), style=hand)


def _place_blocks(
    some: Sequence[BlockKind], corner: tuple[float, float], *, high: float
) -> tuple[tuple[float, float], ...]:
    """Corners of drawings one below the other, in as many columns as the height asks for."""
    (x, top), y, widest, corners = corner, corner[1], 0.0, []
    for kind in some:
        width, tall = block_size(kind)
        if y > top and y + tall > top + high:
            x, y, widest = x + widest + BETWEEN, top, 0.0
        corners.append((x, y))
        y, widest = y + tall + 20, max(widest, width)
    return tuple(corners)


def _legend_entries(plan: DrawingLayout) -> tuple[tuple[str, str], ...]:
    """The marks that occur, and what they mean."""
    segments = [segment for column in plan.columns for segment in column.segments]
    occurring = {
        ("solid", "identity"): any(p.skipped and not p.is_projection for p in segments),
        ("dashed", "projection, named beside it"): any(p.is_projection for p in segments),
        ("plus", "addition"): any(p.skipped for p in segments),
    }
    return tuple(sign for sign, occurs in occurring.items() if occurs)


def _wrap_legend(signs: tuple[tuple[str, str], ...], width: float) -> list[list[tuple[float, str, str]]]:
    """The entries in lines, each with its x."""
    lines: list[list[tuple[float, str, str]]] = []
    x = width + 1
    for sign, meaning in signs:
        entry_width = 34 + text_width(meaning, SMALL + 1)
        if x + entry_width > width:
            lines.append([])
            x = 0.0
        lines[-1].append((MARGIN + x, sign, meaning))
        x += entry_width + 14
    return lines


def _draw_legend(root: ET.Element, lines: list[list[tuple[float, str, str]]], top: float) -> None:
    for row, line in enumerate(lines):
        y = top + LINE * row + 8
        for x, sign, meaning in line:
            if sign == "plus":
                draw_operator(root, (x + 13, y), palette=LIGHT)
            else:
                dashes = "; stroke-dasharray: 4 3" if sign == "dashed" else ""
                style = f"stroke: {LIGHT.text}; stroke-width: 1.2{dashes}"
                add_shape(root, "line", {"x1": x, "x2": x + 26, "y1": y, "y2": y}, style=style)
            add_text(root, meaning, (x + 34, y + 4), style=TextStyle(LIGHT.muted, SMALL + 1))
