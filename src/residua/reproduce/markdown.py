"""Pieces of the Markdown page of all reproductions: pictures in files, side by side, and wrapped text."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from residua.files import write_file
from residua.report.page import Figure
from residua.report.standalone import on_paper


def write_pictures(
    drawings: Sequence[Figure], folder: Path, name: str, *, on_paper_already: bool = False
) -> list[tuple[str, str]]:
    """Write drawings as `name-1.svg`, `name-2.svg` ...: the Markdown image and the caption of each."""
    folder.mkdir(parents=True, exist_ok=True)
    links = []
    for number, drawing in enumerate(drawings, 1):
        file = folder / f"{name}-{number}.svg"
        write_file(file, drawing.svg if on_paper_already else on_paper(drawing.svg))
        links.append((f"![{drawing.alternative}]({folder.name}/{file.name})", drawing.caption))
    return links


def side_by_side(images: list[tuple[str, str]]) -> str:
    """Pictures with their captions, two in a row; empty for none."""
    if not images:
        return ""
    lines = ["| | |", "| --- | --- |"]
    for start in range(0, len(images), 2):
        pair = [*images[start : start + 2], ("", "")][:2]
        lines += [f"| {left} | {right} |" for left, right in zip(*pair, strict=True)]
    return "\n".join(lines)


def wrap(paragraph: str) -> str:
    """A paragraph in lines of at most 120 characters."""
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """A table.

    Args:
        head: Names of the columns.
        rows: Cells.
        numeric: Columns set flush right, counted from 0.
    """
    rule = ["---:" if place in numeric else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
