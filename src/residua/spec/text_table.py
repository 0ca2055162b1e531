"""TextTable: rows and notes for the terminal; it knows neither colours nor widths, which the command adds."""

from dataclasses import dataclass

from residua.spec.printable import printable

PREVIEWED = 5
"""Rows of a preview."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with formatted cells, and lines to print below it."""

    head: tuple[str, ...]
    """Column names."""
    rows: tuple[tuple[str, ...], ...]
    """Formatted cells, one for each column; a table without rows has only its notes."""
    numeric: int = 0
    """Index of the first column that holds numbers and is aligned right, as are all after it; 0: none."""
    notes: tuple[str, ...] = ()
    """Lines below the table, in order."""

    def preview(self, title: str) -> str:
        """`title`, the first rows in aligned columns, and how many more there are: for `repr`."""
        first = self.rows[:PREVIEWED]
        widths = [max(map(len, column)) for column in zip(*first, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in first]
        more = [f"... {len(self.rows) - PREVIEWED} more"] if len(self.rows) > PREVIEWED else []
        return "\n  ".join([title, *map(printable, [*lines, *more])])
