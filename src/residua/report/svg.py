"""A small drawing kit over the standard library's XML: shapes, text, round ticks, labels kept apart."""

import dataclasses
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from residua.spec.printable import printable

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
UNWRITABLE = re.compile("[\ufffe\uffff]")
"""What XML 1.0 cannot carry, even escaped, beside what `printable` escapes; a name can hold any of it."""

LINE = 1.2  # heights of the type, from one line to the next
BREAKS = re.compile(r"[^\s_/.-]*[\s_/.-]+|[^\s_/.-]+")
"""Pieces of a name between which a line may end."""


@dataclasses.dataclass(frozen=True)
class TextStyle:
    """How a line of text is set."""

    colour: str
    """A CSS colour."""
    pixels: float = 13
    """Height of the type."""
    anchor: str = "start"
    """Which part of the text stands at its point: start, middle or end."""
    weight: int = 400
    """400 is regular, 650 bold."""
    turn: float = 0
    """Degrees, clockwise."""
    italic: bool = False
    """Whether it names a quantity, as x does."""


def new_svg(width: float, height: float) -> ET.Element:
    """An empty SVG of that size in pixels; a browser with less room scales it down."""
    return ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": number(width),
            "height": number(height),
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "font-family": FONT,
        },
    )


def responsive_svg(
    broad: tuple[float, float], slim: tuple[float, float]
) -> tuple[ET.Element, ET.Element, ET.Element]:
    """An empty SVG that holds a figure twice: for a desktop and for a phone.

    Args:
        broad: Width and height for a desktop, in pixels.
        slim: Width and height for a phone, in pixels; hidden until the page's style sheet shows it.

    Returns:
        The whole drawing, and the element to draw each of the two into.
    """
    root, sizes = new_svg(*broad), {"broad": broad, "slim": slim}
    del root.attrib["viewBox"]  # each of the two has its own
    root.set("class", "curves")
    root.set("style", "; ".join(f"--{name}: {wide:g} / {high:g}" for name, (wide, high) in sizes.items()))
    for name, (wide, high) in sizes.items():
        view = {"class": name, "viewBox": f"0 0 {wide:g} {high:g}", "width": "100%", "height": "100%"}
        add_shape(root, "svg", view)
    root[1].set("display", "none")
    return root, root[0], root[1]


def add_shape(
    parent: ET.Element, tag: str, fields: Mapping[str, str | float], *, style: str = ""
) -> ET.Element:
    """Add an element to the drawing.

    Args:
        parent: The element that it is drawn into.
        tag: `rect`, `line`, `path` ...
        fields: Its attributes; numbers are pixels and are rounded to a tenth.
        style: CSS; colours belong here, where CSS variables work.

    Returns:
        The new element.
    """
    attributes = {name: value if isinstance(value, str) else number(value) for name, value in fields.items()}
    return ET.SubElement(parent, tag, {**attributes, "style": style} if style else attributes)


def add_text(parent: ET.Element, text: str, at: tuple[float, float], *, style: TextStyle) -> ET.Element:
    """Add a line of text.

    Args:
        parent: The element that it is drawn into.
        text: Any text; `to_string` escapes it.
        at: x, and y of the baseline, in pixels.
        style: Its type.

    Returns:
        The new element.
    """
    fields: dict[str, str | float] = {"x": at[0], "y": at[1], "font-size": style.pixels}
    fields["text-anchor"] = style.anchor
    css = f"fill: {style.colour}; font-weight: {style.weight}" + "; font-style: italic" * style.italic
    element = add_shape(parent, "text", fields, style=css)
    if style.turn:
        element.set("transform", f"rotate({number(style.turn)} {number(at[0])} {number(at[1])})")
    element.text = text
    return element


def add_lines(parent: ET.Element, lines: Sequence[str], at: tuple[float, float], *, style: TextStyle) -> None:
    """Add lines of text one below the other, the middle of all of them at the height of one line at `at`.

    Args:
        parent: The element that they are drawn into.
        lines: Their texts.
        at: x, and y of the baseline that a single line would have, in pixels.
        style: Their type; they are `LINE` times its height apart.
    """
    step = LINE * style.pixels
    for place, line in enumerate(lines):
        add_text(parent, line, (at[0], at[1] + step * (place - (len(lines) - 1) / 2)), style=style)


def add_tooltip(parent: ET.Element, text: str) -> None:
    """Add what a browser shows when the pointer rests on `parent`."""
    ET.SubElement(parent, "title").text = text


def path_data(points: Sequence[tuple[float, float]]) -> str:
    """Path data of a line through `points`, straight past those that are not finite; empty if none is."""
    finite = [f"{number(x)} {number(y)}" for x, y in points if math.isfinite(x) and math.isfinite(y)]
    # Closed, a line of one point shows its round end: a dot; open it shows nothing.
    return f"M{'L'.join(finite)}{'Z' if len(finite) == 1 else ''}" if finite else ""


def to_string(root: ET.Element) -> str:
    """The drawing as SVG text, with names as `printable` shows them; the same drawing gives the same text."""
    return UNWRITABLE.sub("\ufffd", printable(ET.tostring(root, encoding="unicode")))


def number(value: float) -> str:
    """`value` to a tenth of a pixel, as short as possible: `12`, `12.5`."""
    return f"{value:.1f}".removesuffix(".0")


def wrap(text: str, length: int, *, lines: int = 0) -> tuple[str, ...]:
    """`text` in lines of about equal length, nothing left out.

    Args:
        text: A name; lines end after a space, hyphen, underscore, slash or dot, else anywhere.
        length: Characters of a line, at most.
        lines: Number of lines, at most: then they are as long as they must be; 0 sets no limit.

    Returns:
        The lines, at least one.
    """
    if lines:
        length = max(length, -(-len(text) // lines))
    if len(text) <= length or lines == 1:
        return (text,)
    pieces = [word[i : i + length] for word in BREAKS.findall(text) for i in range(0, len(word), length)]
    while True:
        rows = [""]
        for piece in pieces:
            if rows[-1] and len((rows[-1] + piece).rstrip()) > length:
                rows.append("")
            rows[-1] += piece
        if not lines or len(rows) <= lines:
            return tuple(row.strip() for row in rows)
        length += 1


def text_width(text: str, pixels: float) -> float:
    """About how wide `text` is at a type size of `pixels`; rather too much in the usual sans-serifs."""
    return 0.64 * pixels * len(text)  # a digit of DejaVu, the widest of them


def ticks(top: float, *, most: int = 5, whole: bool = False) -> tuple[float, ...]:
    """Round numbers from 0 up to `top`, evenly spaced.

    Args:
        top: End of the axis, above 0.
        most: At most this many intervals.
        whole: Whether only whole numbers make sense.

    Returns:
        At most `most` + 1 numbers; steps are 1, 2, 2.5 or 5 times a power of ten.
    """
    least = top / most
    unit = 10.0 ** math.floor(math.log10(least))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= least * (1 - 1e-9))
    step = math.ceil(step) if whole else step
    return tuple(step * place for place in range(math.floor(top / step + 1e-9) + 1))


def spread_apart(positions: Sequence[float], *, gap: float, low: float, high: float) -> tuple[float, ...]:
    """Move labels apart by as little as possible (least squares), and keep their order.

    Args:
        positions: Where each label would stand, in pixels.
        gap: Least distance of two labels.
        low: Least position.
        high: Largest position, unless there is too little room; then labels start at `low` and run past it.

    Returns:
        The new positions, in the order of `positions`.
    """
    order = sorted(range(len(positions)), key=lambda place: positions[place])
    # With the gaps subtracted, apart means in order: neighbours that are not are pooled to their mean.
    pools: list[tuple[float, int]] = []
    for rank, place in enumerate(order):
        mean, count = positions[place] - gap * rank, 1
        while pools and pools[-1][0] >= mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    last = max(low, high - gap * (len(positions) - 1))
    flat = [min(max(mean, low), last) for mean, count in pools for _ in range(count)]
    moved = {place: flat[rank] + gap * rank for rank, place in enumerate(order)}
    return tuple(moved[place] for place in range(len(positions)))
