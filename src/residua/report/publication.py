"""The figures and tables of a page as files for a paper: SVG, PDF, PNG, and LaTeX with booktabs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from residua.files import write_file
from residua.report.page import Figure, Figures, Folded, Page, Part, Table, render
from residua.report.standalone import can_convert, write_all_formats

LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\N{NO-BREAK SPACE}": "~",
    "\N{MINUS SIGN}": "$-$", "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{MULTIPLICATION SIGN}": r"$\times$",
    "<": "$<$", ">": "$>$",
}  # fmt: skip
"""Character -> how LaTeX is told to print it."""


def publication_folder(report: Path) -> Path:
    """The folder of the figures and tables of `report`: its name without the ending."""
    return report.with_suffix("")


def write_report(page: Page, report: Path, *, bibliography: str = "") -> None:
    """Write a page as HTML, and its figures and tables into the folder of the same name.

    Args:
        page: The page.
        report: The HTML file, replaced if it exists.
        bibliography: As in `write_publication`.
    """
    report.parent.mkdir(parents=True, exist_ok=True)
    write_file(report, render(page))
    write_publication(page, publication_folder(report), bibliography=bibliography)


def write_publication(page: Page, folder: Path, *, bibliography: str = "") -> bool:
    """Write every figure of `page` as SVG, PDF and PNG, and every table as LaTeX.

    Args:
        page: The page; figures and tables are counted from 1, in its order.
        folder: Where `figure-1.svg`, `figure-1.pdf`, `figure-1.png`, `table-1.tex` ... are written; it is
            made if it does not exist.
        bibliography: BibTeX entries, written as `papers.bib`; empty for none.

    Returns:
        Whether PDF and PNG files were written: they need the extra `figures`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [part for section in page.sections for part in _flat(section.parts)]
    drawings = [part for part in parts if isinstance(part, Figure)]
    for number, drawing in enumerate(drawings, 1):
        write_all_formats(drawing.svg, folder / f"figure-{number}.svg")
    for number, table in enumerate((part for part in parts if isinstance(part, Table)), 1):
        write_file(folder / f"table-{number}.tex", booktabs(table))
    if bibliography:
        write_file(folder / "papers.bib", bibliography)
    return can_convert()


def _flat(parts: Sequence[Part]) -> Iterator[Part]:
    """Parts with the contents of groups in their place."""
    for part in parts:
        if isinstance(part, Figures):
            yield from part.items
        elif isinstance(part, Folded):
            yield from _flat(part.parts)
        else:
            yield part


def booktabs(table: Table) -> str:
    r"""A table as LaTeX that needs `\usepackage{booktabs}`, in a floating `table` with its caption.

    Args:
        table: A table of a page.

    Returns:
        LaTeX text; every character of a cell is printed as it is.
    """
    columns = "".join("r" if place in table.numeric else "l" for place in range(len(table.head)))
    rows = [" & ".join(map(latex_text, row)) + r" \\" for row in table.rows]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        *([rf"  \caption{{{latex_text(table.caption)}}}"] if table.caption else []),
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        "    " + " & ".join(map(latex_text, table.head)) + r" \\",
        r"    \midrule",
        *(f"    {row}" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    """`text` with the characters that LaTeX reads as commands written so that it prints them."""
    return "".join(LATEX.get(character, character) for character in text)
