"""Drawings that stand alone, outside a page: on white paper in fixed colours, as SVG, PDF and PNG."""

import re

from residua.errors import ConfigError
from residua.report.colours import LIGHT
from residua.report.svg import add_shape, new_svg, to_string

MARGIN = 16
"""Pixels around a drawing."""
PNG_SCALE = 3
"""Pixels of a PNG file for one of the drawing, so that it is sharp in print."""
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


def pdf_and_png(svg: str) -> tuple[bytes, bytes]:
    """A standalone drawing as a PDF file and as a PNG file.

    Args:
        svg: What `standalone` returned.

    Returns:
        The contents of both files.

    Raises:
        ConfigError: The extra `figures` is not installed, or the library cairo.
    """
    try:
        import cairosvg
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"PDF and PNG files need residua[figures] and the library cairo ({error})"
        ) from None
    data = svg.encode()
    return cairosvg.svg2pdf(bytestring=data), cairosvg.svg2png(bytestring=data, scale=PNG_SCALE)
