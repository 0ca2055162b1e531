"""Drawings that stand alone, outside a page: on white paper in fixed colours, as SVG, PDF and PNG."""

import re
from pathlib import Path

from residua.errors import ConfigError
from residua.files import write_file
from residua.report.colours import LIGHT
from residua.report.svg import add_shape, new_svg, to_string

MARGIN = 16
"""Pixels around a drawing."""
PNG_SCALE = 3
"""Pixels of a PNG file for one of the drawing, so that it is sharp in print."""
SUFFIXES = (".svg", ".pdf", ".png")
"""Endings of the files that a drawing is written to."""
VARIABLE = re.compile(r"var\(--[\w-]+, ([^()]*)\)")
"""A colour that a page may replace, with its own value."""
STYLE_SHEET = re.compile(r"<style>.*?</style>", re.DOTALL)
"""Rules for a dark screen."""
SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')


def on_paper(svg: str) -> str:
    """A drawing with a margin on white, so that it can be read on a dark page too.

    Args:
        svg: A drawing of this package.

    Returns:
        SVG text. Of a figure that is drawn for a desktop and for a phone, the desktop's stays.
    """
    slim = svg.find('<svg class="slim"')
    svg = svg if slim < 0 else f"{svg[:slim]}</svg>"
    size = SIZE.search(svg)
    assert size, "a drawing has its size in pixels"
    width, height = (float(side) + 2 * MARGIN for side in size.groups())
    outer = new_svg(width, height)
    add_shape(outer, "rect", {"width": width, "height": height, "rx": 10}, style=f"fill: {LIGHT.background}")
    start, end = to_string(outer).rsplit("</svg>", 1)
    inner = svg.replace("<svg ", f'<svg x="{MARGIN}" y="{MARGIN}" ', 1)
    return f"{start}{inner}</svg>{end}"


def standalone(svg: str) -> str:
    """A drawing `on_paper` whose colours no page changes, for programs that know no style sheets.

    Args:
        svg: A drawing of this package.

    Returns:
        SVG text.
    """
    return on_paper(STYLE_SHEET.sub("", VARIABLE.sub(r"\1", svg)))


def can_convert() -> bool:
    """Whether the extra `figures` and the library cairo that it needs are installed."""
    try:
        import cairosvg  # noqa: F401  (asks whether it can be imported)
    except (ImportError, OSError):  # OSError: there is no libcairo
        return False
    return True


def write_drawing(svg: str, file: Path) -> None:
    """Write a drawing, standalone, as the ending of a file says.

    Args:
        svg: A drawing of this package.
        file: The file, replaced if it exists; it ends in one of `SUFFIXES`.

    Raises:
        ConfigError: `file` is no .svg, and the extra `figures` or the library cairo is not installed.
    """
    alone, suffix = standalone(svg), file.suffix.lower()
    write_file(file, alone if suffix == ".svg" else _converted(alone, suffix))


def write_all_formats(svg: str, file: Path) -> bool:
    """Write a drawing, standalone, as SVG, PDF and PNG.

    Args:
        svg: A drawing of this package.
        file: The .svg file; the others stand beside it.

    Returns:
        Whether PDF and PNG files were written: they need the extra `figures`.
    """
    has_converter = can_convert()
    for suffix in SUFFIXES if has_converter else SUFFIXES[:1]:
        write_drawing(svg, file.with_suffix(suffix))
    return has_converter


def _converted(svg: str, suffix: str) -> bytes:
    """A standalone drawing as a .pdf or .png file."""
    try:
        import cairosvg
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"PDF and PNG files need residua[figures] and the library cairo ({error})"
        ) from None
    data = svg.encode()
    content: bytes = (
        cairosvg.svg2pdf(bytestring=data)
        if suffix == ".pdf"
        else cairosvg.svg2png(bytestring=data, scale=PNG_SCALE)
    )
    return content
