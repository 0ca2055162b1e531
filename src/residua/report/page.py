"""A report as one HTML page that asks nothing of any network: plain values in, the whole document out."""

import base64
import dataclasses
import importlib.resources
import io
import re
from typing import TYPE_CHECKING

from residua.report.colours import DARK, LIGHT, css_variables
from residua.spec.printable import printable

if TYPE_CHECKING:
    import numpy as np

WHOLE = re.compile(r"[A-Za-z]+-\d+|--[a-z][a-z-]*")
"""What no line may break: `ResNet-20`, `--budget`."""
JOINT = re.compile(r"_(?=[a-z]{4})|(?<=\w)/(?=\w)")
"""Where a line may: `exclusive_gate`, `val/rose.jpg`, not `conv2_x`."""
SMALL, LARGE = 128, 512  # pixels: a picture is enlarged to at least the one and shrunk to at most the other
ROOMY = 240  # pixels of a side, from which on a picture would lose too much beside four others


@dataclasses.dataclass(frozen=True)
class Text:
    """Running text."""

    paragraphs: tuple[str, ...]
    """Plain text, no markup."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawing and what to say of it."""

    svg: str
    """SVG text that we made ourselves: it goes into the page as it is."""
    caption: str
    """Below the drawing."""
    alternative: str
    """What the drawing shows, for who cannot see it."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """Drawings side by side where there is room, else one below the other."""

    items: tuple[Figure, ...]
    """In reading order."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under a head; ValueError for an empty name, a ragged row or a place that does not exist."""

    head: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells, already formatted."""
    caption: str = ""
    """Above the table."""
    numeric: tuple[int, ...] = ()
    """Columns set flush right, counted from 0."""
    strong: tuple[int, ...] = ()
    """Rows to emphasise, counted from 0."""

    def __post_init__(self) -> None:
        """Refuse a ragged table, and a column without a name: a screen reader reads it with every cell."""
        if not all(name.strip() for name in self.head):
            raise ValueError(f"head {self.head} has an empty name: give each column one")
        for place, row in enumerate(self.rows):
            if len(row) != len(self.head):
                description = f"row {place} has {len(row)} cells under {len(self.head)} columns"
                raise ValueError(f"{description}: give equally many")
        columns, rows = len(self.head), len(self.rows)
        for name, places, count in (("numeric", self.numeric, columns), ("strong", self.strong, rows)):
            if not all(0 <= place < count for place in places):
                raise ValueError(f"{name} {places} names what is not there: count from 0 below {count}")


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """One image and what was made of it; ValueError unless its pixels are an image."""

    pixels: "np.ndarray"
    """(H, W) grey or (H, W, 3) RGB, uint8."""
    title: str
    """The answer: `predicted 8`."""
    lines: tuple[str, ...]
    """What is worth knowing besides: the truth, the confidence, the file."""
    good: bool | None = None
    """Whether the answer is right; None where the question does not arise."""
    anchor: str = ""
    """Its name as the target of a link within the page, unique there; empty for none."""

    def __post_init__(self) -> None:
        """Refuse what is no image."""
        shape = self.pixels.shape
        is_image = len(shape) in (2, 3) and shape[2:] in ((), (3,)) and 0 not in shape
        if self.pixels.dtype != "uint8" or not is_image:
            raise ValueError(
                f"pixels are {self.pixels.dtype} {shape}: give uint8 (H, W) or (H, W, 3), not empty"
            )


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Images side by side."""

    items: tuple[Picture, ...]
    """In reading order."""
    caption: str = ""
    """Below them."""
    small: bool = False
    """Set smaller: seven in a row of the page, four on a phone."""

    @property
    def wide(self) -> bool:
        """Whether they are too large for five in a row: three then, and one on a phone."""
        return not self.small and any(max(item.pixels.shape[:2]) > ROOMY for item in self.items)


@dataclasses.dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str
    """The command, line breaks kept."""
    caption: str = ""
    """What it does."""


@dataclasses.dataclass(frozen=True)
class Numbers:
    """The few numbers the page is about, set large."""

    items: tuple[tuple[str, str], ...]
    """The value with its unit, and what it is."""


@dataclasses.dataclass(frozen=True)
class Folded:
    """Parts that are shown when the reader opens them."""

    summary: str
    """What they are, in a line that is always shown."""
    parts: "tuple[Part, ...]"
    """In reading order."""


Part = Text | Figure | Figures | Table | Pictures | Code | Numbers | Folded


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    """The heading."""
    parts: tuple[Part, ...]
    """In reading order."""


@dataclasses.dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    """The heading of the page and the name of its window."""
    lead: str
    """One paragraph that says what was found."""
    sections: tuple[Section, ...]
    """In reading order."""
    footer: str
    """Where the page comes from: version, source, time."""


TEMPLATES: dict[type[Part], str] = {
    Text: "text.html",
    Figure: "figure.html",
    Figures: "figures.html",
    Table: "table.html",
    Pictures: "pictures.html",
    Code: "code.html",
    Numbers: "numbers.html",
    Folded: "folded.html",
}


def render(page: Page) -> str:
    """The whole HTML document, in light and dark, for screen, phone and paper; the same page, the same text.

    Every label is escaped; the drawings of its figures are trusted. Images become PNG data within the page.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_page_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png"] = png
    environment.filters["broken"] = broken
    environment.filters["amount"] = lambda text: text.replace(
        " to ", "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}"
    )
    environment.globals["template_of"] = lambda part: TEMPLATES[type(part)]
    css = _template("page.css")
    return environment.get_template("page.html").render(
        page=page, css=css, light=css_variables(LIGHT), dark=css_variables(DARK)
    )


def _page_text(text: object) -> object:
    """Text as `printable` shows it, whose percent signs stay with their numbers; our own markup as it is."""
    return printable(text).replace(" %", "\N{NO-BREAK SPACE}%") if type(text) is str else text


def broken(text: str) -> str:
    """Names and commands as HTML whose lines break at `JOINT`, never within `WHOLE`."""
    from markupsafe import Markup, escape

    joined = JOINT.sub(r"\g<0><wbr>", str(escape(_page_text(text))))
    return Markup(WHOLE.sub(r'<span class="whole">\g<0></span>', joined))  # noqa: S704  (escaped above)


def png(pixels: "np.ndarray") -> str:
    """The image as a `data:` address: enlarged by a whole factor when tiny, shrunk when large."""
    from PIL import Image

    image = Image.fromarray(pixels)
    factor = -(-SMALL // max(image.size))
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((LARGE, LARGE))
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _template(name: str) -> str:
    """The text of one of our templates."""
    return importlib.resources.files("residua.report").joinpath("templates", name).read_text("utf-8")
