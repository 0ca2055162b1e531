"""The HTML page: everything in it, nothing out of it, no request to another host."""

import base64
import html.parser
import io
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from report_sample import full_page

from eyes import heads_without_text, policy_problems
from residua.report import colours, page

NAMESPACE = "http://www.w3.org/2000/svg"


class Reader(html.parser.HTMLParser):
    """Collects tags, attributes and text as a browser would see them."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fields: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fields += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data.replace("\N{NO-BREAK SPACE}", " "))


def test_hostile_labels_stay_labels() -> None:
    read = Reader(page.render(full_page()))
    assert "script" not in read.tags
    assert not [name for name, _ in read.fields if name.startswith("on")]
    assert any("<script>alert('1')</script>" in text for text in read.text)


def test_the_page_refers_to_nothing_outside_itself() -> None:
    document = page.render(full_page())
    addresses = [
        value for name, value in Reader(document).fields if name in ("src", "href", "srcset", "action")
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "//" not in re.sub(r"data:image/png;base64,[\w+/=]+", "", document.replace(NAMESPACE, ""))
    assert "url(" not in document
    assert "@import" not in document


def test_the_policy_forbids_what_the_page_does_not_need() -> None:
    document = page.render(full_page())
    assert policy_problems(document) == []
    without = document.replace("http-equiv", "http-eqiv")
    moved = document.replace("<head>", "<head></head><body>")
    loose = document.replace("default-src 'none'", "default-src *")
    twice = document.replace("<title>", "<meta http-equiv=content-security-policy content=x><title>")
    assert all(map(policy_problems, (without, moved, loose, twice)))


def test_every_page_comes_from_the_one_template() -> None:
    package = pathlib.Path(page.__file__).parents[1]
    files = [file for kind in ("*.py", "*.html") for file in package.rglob(kind)]
    whole = [file for file in files if re.search("<html|<!doctype", file.read_text("utf-8"), re.I)]
    names = sorted(file.relative_to(package).as_posix() for file in whole)
    assert names == ["lab/page/index.html", "report/templates/page.html", "serve/page/index.html"]


def test_every_kind_of_part_appears() -> None:
    text = "".join(Reader(page.render(full_page())).text)
    lead = ("The lead.", "Drawings", "First paragraph.", "the table", "81.00 %", "the pictures", "truth: 3")
    rest = ("the command", "very/very/", "training error", "caption of bars", "predicted", "The footer.")
    assert [words for words in lead + rest if words not in text] == []


def test_a_percent_sign_stays_with_its_number_and_an_interval_in_one_line() -> None:
    table = page.Table(("network", "right, 95 % interval"), (("net", "3.21 (3.10 to 3.32)"),), numeric=(1,))
    document = page.render(page.Page("T", "9 % of it.", (page.Section("S", (table,)),), ""))
    for text in ("9\N{NO-BREAK SPACE}% of it.", "(3.10\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}3.32)"):
        assert text in document


def test_names_and_commands_break_where_a_reader_would_break_them() -> None:
    table = page.Table(("network",), (("ResNet-20 & <b>",), ("exclusive_gate-6",), ("conv2_x",)))
    parts = (table, page.Code("residua analyse --what lesion"))
    document = page.render(page.Page("t", "", (page.Section("s", parts),), ""))
    assert '<span class="whole">ResNet-20</span> &amp; &lt;b&gt;' in document
    assert 'exclusive_<wbr><span class="whole">gate-6</span>' in document
    assert "conv2_x" in document
    assert 'analyse <span class="whole">--what</span> lesion' in document


def test_every_kind_of_part_has_its_template() -> None:
    assert set(page.TEMPLATES) == set(page.Part.__args__)


def test_every_image_and_drawing_is_told_in_words() -> None:
    read = Reader(page.render(full_page()))
    fields = dict(read.fields)
    assert read.tags.count("img") == 3 == [name for name, _ in read.fields].count("alt")
    assert fields["alt"] == "unjudged"
    assert ("aria-label", "wrong") in read.fields


def test_the_same_page_is_the_same_text() -> None:
    assert page.render(full_page()) == page.render(full_page())


def test_ids_are_unique_and_every_link_leads_to_one() -> None:
    fields = Reader(page.render(full_page())).fields
    ids = [value for name, value in fields if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value for name, value in fields if name == "href" and value.startswith("#")]
    assert links
    assert {link[1:] for link in links} <= set(ids)


def test_a_column_without_a_name_is_refused_and_no_head_is_empty() -> None:
    for empty in ("", " "):
        with pytest.raises(ValueError, match="empty name"):
            page.Table(("network", empty), ())
    assert heads_without_text(page.render(full_page())) == []
    assert heads_without_text("<table><th></th><th> \n</th><th>a</th></table>") == ["", ""]


def test_folded_parts_are_closed_and_complete() -> None:
    document = page.render(full_page())
    folded = document[document.index("<details>") : document.index("</details>")]
    assert "<summary>every setting</summary>" in folded
    assert "optim.lr" in folded


def test_a_tiny_picture_is_enlarged_by_a_whole_factor_without_smoothing() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    image = _decoded(page.png(pixels))
    assert image.size == (128, 128)
    assert (np.asarray(image)[::16, ::16] == pixels).all()


def test_a_large_picture_is_shrunk_in_proportion() -> None:
    assert _decoded(page.png(np.zeros((1000, 2000, 3), np.uint8))).size == (512, 256)


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells"):
        page.Table(("a", "b"), (("1", "2"), ("3",)))
    with pytest.raises(ValueError, match="count from 0 below 2"):
        page.Table(("a", "b"), (), numeric=(2,))


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8), np.zeros((0, 8), np.uint8)]
)
def test_what_is_no_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="give uint8"):
        page.Picture(pixels, "x", ())


@pytest.mark.parametrize("palette", [colours.LIGHT, colours.DARK])
def test_type_can_be_read_on_its_paper(palette: colours.Palette) -> None:
    for colour in (palette.text, palette.muted, *palette.series):
        assert _contrast(colour, palette.background) >= 4.5  # WCAG 2.2, level AA


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "{'matplotlib', 'jinja2', 'PIL', 'numpy', 'torch'}"
    rooms = "residua.report.page, residua.report.training_curves"
    code = f"import sys, {rooms}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_large_pictures_get_more_room() -> None:
    film, thumb = (page.Picture(np.zeros((side, side, 3), np.uint8), "a", ()) for side in (300, 112))
    assert page.Pictures((thumb, film)).wide
    assert not page.Pictures((thumb,)).wide
    assert not page.Pictures((film,), small=True).wide
