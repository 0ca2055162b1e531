"""The figures of a report, as SVG text that needs no file, no font and no script."""

import math
import textwrap

from residua.report import curves
from residua.report.colours import LIGHT, page_palette
from residua.report.confusion import confusion
from residua.report.curves import Curve, Layout, Panel
from residua.report.svg import (
    TextStyle,
    add_shape,
    add_text,
    add_tooltip,
    new_svg,
    responsive_svg,
    shorten,
    text_width,
    to_string,
)

__all__ = ["Curve", "Panel", "bars", "confusion", "readme_figure", "training_curves"]

BAR_STEP, WIDTH = 24, 400  # pixels from one bar to the next, and across all that belongs to them


def training_curves(panels: tuple[Panel, ...], *, unit: str = "epoch") -> str:
    """Panels with one error axis, thin lines training error, bold lines test error (He et al. 2015, fig. 6).

    Networks at the same place in their panels share a colour. Panels stand side by side, on a phone one below
    the other.
    """
    palette = page_palette()
    columns = min(2, max(1, len(panels)))
    plans = Layout(columns, 740, 270, palette, unit), Layout(1, 350, 230, palette, unit)
    root, *views = responsive_svg(*((plan.width, curves.height(panels, plan)) for plan in plans))
    for view, plan in zip(views, plans, strict=True):
        curves.draw(view, panels, layout=plan)
    return to_string(root)


def readme_figure(panels: tuple[Panel, ...], headline: str, *, unit: str = "epoch") -> str:
    """The same curves side by side under a headline of two lines at most, on a white card of 1200 x 520."""
    root = new_svg(1200, 520)
    add_tooltip(root, headline)
    card = {"x": 1, "y": 1, "width": 1198, "height": 518, "rx": 14}
    add_shape(root, "rect", card, style=f"fill: {LIGHT.background}; stroke: {LIGHT.grid}; stroke-width: 1.5")
    said = _even_lines(headline)
    for row, part in enumerate(said):
        add_text(root, part, (48, 66 + 36 * row), hand=TextStyle(LIGHT.text, 27, weight=650))
    top, zoom = 62 + 36 * len(said), 1.5
    room = (520 - 6 - top) / zoom - curves.HEAD - curves.FOOT
    plan = Layout(len(panels) or 1, 1104 / zoom, room, LIGHT, unit)
    curves.draw(
        add_shape(root, "g", {"transform": f"translate(48 {top}) scale({zoom})"}), panels, layout=plan
    )
    return to_string(root)


def _even_lines(headline: str) -> list[str]:
    """One line, or two of about the same length; 66 characters of 27 pixel bold type fill the card."""
    said = textwrap.wrap(headline, 66, max_lines=2, placeholder=" …")
    evener = textwrap.wrap(headline, len(headline) // len(said or "x") + 6)
    return evener if len(evener) == len(said) else said


def bars(labels: tuple[str, ...], values: tuple[float, ...], *, unit: str) -> str:
    """Horizontal bars from zero, one a label, in the order given; ValueError for an unpaired label."""
    if not labels or len(labels) != len(values):
        raise ValueError(f"{len(labels)} labels and {len(values)} values: give equally many, at least one")
    palette, said = page_palette(), [shorten(label, 18) for label in labels]
    left = max(text_width(label, 13) for label in said) + 10
    full = max([value for value in values if math.isfinite(value)], default=0) or 1
    root = new_svg(WIDTH, BAR_STEP * len(labels))
    for row, (label, short, value) in enumerate(zip(labels, said, values, strict=True)):
        middle = BAR_STEP * (row + 0.5)
        name = add_text(root, short, (left - 10, middle + 4.5), hand=TextStyle(palette.text, anchor="end"))
        add_tooltip(name, label)
        long = max(0.0, (WIDTH - left - 76) * value / full) if math.isfinite(value) else 0.0
        bar = {"x": left, "y": middle - 7, "width": max(long, 1), "height": 14}
        add_shape(root, "rect", bar, style=f"fill: {palette.series[0]}")
        number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        amount = f"{number} {unit}" if math.isfinite(value) else "not measured"
        add_text(root, amount, (left + max(long, 1) + 7, middle + 4.5), hand=TextStyle(palette.muted, 12))
    return to_string(root)
