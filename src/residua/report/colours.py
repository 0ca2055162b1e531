"""The colours of a report in one place: fixed for light and for dark, or read from the page's CSS."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Palette:
    """The colours one drawing or page is made of, as CSS values."""

    text: str
    """Text that must be read."""
    muted: str
    """Text that helps: axes, captions."""
    grid: str
    """Grid lines and borders."""
    background: str
    """What lies behind."""
    surface: str
    """Paper a shade darker, behind commands and pictures."""
    series: tuple[str, ...]
    """One colour a network, in order; each has a contrast of 4.5 or more on the paper."""


# Okabe and Ito's hues (blue, vermilion, green, purple, ochre, grey), told apart under every common colour
# blindness; darkened for white paper and lightened for dark, as theirs are for areas and ours are text too.
LIGHT = Palette(
    text="#1c1b1a",
    muted="#5f5d59",
    grid="#dddad4",
    background="#ffffff",
    surface="#f6f5f2",
    series=("#0a64a8", "#bd4a00", "#0b7a5b", "#964679", "#7d6000", "#5f5d59"),
)
DARK = Palette(
    text="#e9e6e0",
    muted="#a6a29a",
    grid="#3a3936",
    background="#161616",
    surface="#20201f",
    series=("#74b9f2", "#ff9b63", "#4fcda8", "#e3a3cc", "#dcbd4a", "#b3afa8"),
)


def css_variables(palette: Palette) -> tuple[tuple[str, str], ...]:
    """Name and value of every colour as a CSS custom property: `("--text", "#1c1b1a")`."""
    plain = ("text", "muted", "grid", "background", "surface")
    named = [(f"--{name}", getattr(palette, name)) for name in plain]
    series = [(f"--series-{place}", colour) for place, colour in enumerate(palette.series, 1)]
    return (*named, *series)


def page_palette() -> Palette:
    """Colours that follow the page around the drawing, and are LIGHT where no page sets them."""
    plain = {name.removeprefix("--"): f"var({name}, {value})" for name, value in css_variables(LIGHT)}
    series = tuple(plain.pop(f"series-{place}") for place in range(1, len(LIGHT.series) + 1))
    return Palette(**plain, series=series)
