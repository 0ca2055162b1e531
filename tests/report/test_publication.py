"""Figures and tables for a paper: fixed colours, three formats, LaTeX that prints what a cell holds."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image
from report_sample import drawings

from residua.report.page import Figure, Figures, Folded, Page, Section, Table, Text
from residua.report.publication import booktabs, latex_text, write_publication
from residua.report.standalone import MARGIN, PNG_SCALE, can_convert, standalone, write_all_formats

needs_cairo = pytest.mark.skipif(
    not can_convert(), reason="the extra figures or the library cairo is missing"
)


@pytest.mark.parametrize("name", sorted(drawings()))
def test_a_drawing_alone_has_fixed_colours_and_one_layout(name: str) -> None:
    text = standalone(drawings()[name])
    root = ET.fromstring(text)
    assert "var(" not in text
    assert "@media" not in text
    assert 'class="slim"' not in text
    assert [float(root[1].get(side, "0")) for side in ("x", "y")] == [MARGIN, MARGIN]


@needs_cairo
def test_a_drawing_becomes_svg_pdf_and_png(tmp_path: Path) -> None:
    assert write_all_formats(drawings()["plot_log"], tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    assert svg == standalone(drawings()["plot_log"])
    width, height = (float(side) for side in re.findall(r'(?:width|height)="([\d.]+)"', svg)[:2])
    image = Image.open(tmp_path / "a.png")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert image.size == (round(PNG_SCALE * width), round(PNG_SCALE * height))
    assert len(image.convert("L").getcolors() or range(300)) > 10  # something is on it


def test_a_table_becomes_latex_that_prints_its_cells() -> None:
    table = Table(
        ("network", "error"),
        (("a_b & c", "8.75 ± 0.20 %"), ("#1 {x} $y", "−0.1")),
        "50 % of all",
        numeric=(1,),
    )
    lines = booktabs(table).splitlines()
    assert r"  \begin{tabular}{lr}" in lines
    assert r"  \caption{50 \% of all}" in lines
    assert r"    a\_b \& c & 8.75 $\pm$ 0.20 \% \\" in lines
    assert r"    \#1 \{x\} \$y & $-$0.1 \\" in lines
    assert [line.strip() for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert latex_text("< 1") == "$<$ 1"
    assert latex_text("\\^~") == r"\textbackslash{}\textasciicircum{}\textasciitilde{}"


def test_all_figures_and_tables_of_a_page_are_written(tmp_path: Path) -> None:
    one, two = (Figure(drawings()[name], "", "") for name in ("plot_log", "bars"))
    table = Table(("a",), (("1",),))
    parts = (Figures((one, two)), table, Text(("text",)), Folded("more", (table, one)))
    has_all = write_publication(
        Page("t", "", (Section("s", parts),), ""), tmp_path, bibliography="@book{a}\n"
    )
    assert has_all == can_convert()
    endings = ("svg", "pdf", "png") if has_all else ("svg",)
    files = {f"figure-{number}.{ending}" for number in (1, 2, 3) for ending in endings}
    assert {file.name for file in tmp_path.iterdir()} == {*files, "table-1.tex", "table-2.tex", "papers.bib"}
    assert (tmp_path / "figure-1.svg").read_text() == (tmp_path / "figure-3.svg").read_text()
