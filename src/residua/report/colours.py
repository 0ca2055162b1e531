"""The colours of a report in one place: fixed for light and for dark, or read from the page's CSS."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Inks:
    """The colours one drawing or page is made of, as CSS values."""

    ink: str
    """Text that must be read."""
    quiet: str
    """Text that helps: axes, captions."""
    rule: str
    """Grid lines and borders."""
    paper: str
    """What lies behind."""
    wash: str
    """Paper a shade darker, behind commands and pictures."""
    nets: tuple[str, ...]
    """One colour a network, in order; each has a contrast of 4.5 or more on the paper."""


# Okabe and Ito's hues (blue, vermilion, green, purple, ochre, grey), told apart under every common colour
# blindness; darkened for white paper and lightened for dark, as theirs are for areas and ours are text too.
LIGHT = Inks(
    ink="#1c1b1a",
    quiet="#5f5d59",
    rule="#dddad4",
    paper="#ffffff",
    wash="#f6f5f2",
    nets=("#0a64a8", "#bd4a00", "#0b7a5b", "#964679", "#7d6000", "#5f5d59"),
)
DARK = Inks(
    ink="#e9e6e0",
    quiet="#a6a29a",
    rule="#3a3936",
    paper="#161616",
    wash="#20201f",
    nets=("#74b9f2", "#ff9b63", "#4fcda8", "#e3a3cc", "#dcbd4a", "#b3afa8"),
)


def variables(inks: Inks) -> tuple[tuple[str, str], ...]:
    """Name and value of every colour as a CSS custom property: `("--ink", "#1c1b1a")`."""
    plain = ("ink", "quiet", "rule", "paper", "wash")
    named = [(f"--{name}", getattr(inks, name)) for name in plain]
    nets = [(f"--net-{place}", colour) for place, colour in enumerate(inks.nets, 1)]
    return (*named, *nets)


def from_page() -> Inks:
    """Colours that follow the page around the drawing, and are LIGHT where no page sets them."""
    plain = {name.removeprefix("--"): f"var({name}, {value})" for name, value in variables(LIGHT)}
    nets = tuple(plain.pop(f"net-{place}") for place in range(1, len(LIGHT.nets) + 1))
    return Inks(**plain, nets=nets)
