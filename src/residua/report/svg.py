"""A small drawing kit over the standard library's XML: shapes, words, round numbers, labels kept apart."""

import dataclasses
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# What XML 1.0 cannot carry, even escaped; a file name can hold any of it.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True)
class TextStyle:
    """How words are set."""

    colour: str
    """A CSS colour."""
    pixels: float = 13
    """Height of the type."""
    anchor: str = "start"
    """Which end of the words stands at the point: start, middle or end."""
    weight: int = 400
    """400 is regular, 650 bold."""
    turn: float = 0
    """Degrees, clockwise."""
    slanted: bool = False
    """Whether it stands for a quantity, as x does."""


def new_svg(width: float, height: float) -> ET.Element:
    """An empty SVG of that size in pixels, drawn to scale where there is less room."""
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
    """An empty SVG that holds a figure twice, in these sizes in pixels: the whole, and room for each.

    The slim one is hidden until the page's style sheet finds itself on a phone.
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
    """A new `tag` within `parent`; colours belong in `style`, where CSS variables are understood."""
    written = {name: value if isinstance(value, str) else number(value) for name, value in fields.items()}
    return ET.SubElement(parent, tag, {**written, "style": style} if style else written)


def add_text(parent: ET.Element, said: str, at: tuple[float, float], *, hand: TextStyle) -> ET.Element:
    """`said` with its baseline at that point, escaped when the drawing is written."""
    fields: dict[str, str | float] = {"x": at[0], "y": at[1], "font-size": hand.pixels}
    fields["text-anchor"] = hand.anchor
    style = f"fill: {hand.colour}; font-weight: {hand.weight}" + "; font-style: italic" * hand.slanted
    made = add_shape(parent, "text", fields, style=style)
    if hand.turn:
        made.set("transform", f"rotate({number(hand.turn)} {number(at[0])} {number(at[1])})")
    made.text = writable(said)
    return made


def add_tooltip(parent: ET.Element, said: str) -> None:
    """What a browser shows when the pointer rests on `parent`."""
    ET.SubElement(parent, "title").text = writable(said)


def path_data(points: Sequence[tuple[float, float]]) -> str:
    """Path data through the points, straight past those that are not finite; empty if none is."""
    seen = [f"{number(x)} {number(y)}" for x, y in points if math.isfinite(x) and math.isfinite(y)]
    # Closed, a line of one point shows its round end: a dot; open it shows nothing.
    return f"M{'L'.join(seen)}{'Z' if len(seen) == 1 else ''}" if seen else ""


def to_string(root: ET.Element) -> str:
    """The drawing as text: the same drawing, the same text."""
    return ET.tostring(root, encoding="unicode")


def writable(said: str) -> str:
    """`said` with every character that XML cannot carry replaced by U+FFFD."""
    return UNWRITABLE.sub("\ufffd", said)


def number(value: float) -> str:
    """`value` to a tenth of a pixel, the shortest way: `12`, `12.5`."""
    return f"{value:.1f}".removesuffix(".0")


def shorten(said: str, room: int) -> str:
    """At most `room` characters of `said`, cut in the middle, for names tend to differ at their ends."""
    half = (room - 1) // 2
    return said if len(said) <= room else f"{said[: room - 1 - half]}…{said[-half:]}"


def text_width(said: str, pixels: float) -> float:
    """About how wide `said` is set, in pixels; rather too much than too little in the usual sans-serifs."""
    return 0.64 * pixels * len(said)  # a digit of DejaVu, the widest of them


def ticks(top: float, *, most: int = 5, whole: bool = False) -> tuple[float, ...]:
    """At most `most` + 1 round numbers from 0 up to `top`, evenly spaced; only `whole` ones if asked."""
    least = top / most
    unit = 10.0 ** math.floor(math.log10(least))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= least * (1 - 1e-9))
    step = math.ceil(step) if whole else step
    return tuple(step * place for place in range(math.floor(top / step + 1e-9) + 1))


def spread_apart(wanted: Sequence[float], *, gap: float, low: float, high: float) -> tuple[float, ...]:
    """Places at least `gap` apart, in the order of `wanted` and as near to it as can be (least squares).

    They lie between `low` and `high`; where there is not room enough they start at `low` and run past `high`.
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    # With the gaps taken out, apart means in order: neighbours that are not are pooled to their mean.
    pools: list[tuple[float, int]] = []
    for rank, place in enumerate(order):
        mean, count = wanted[place] - gap * rank, 1
        while pools and pools[-1][0] >= mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    last = max(low, high - gap * (len(wanted) - 1))
    flat = [min(max(mean, low), last) for mean, count in pools for _ in range(count)]
    found = {place: flat[rank] + gap * rank for rank, place in enumerate(order)}
    return tuple(found[place] for place in range(len(wanted)))
