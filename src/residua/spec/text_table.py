"""TextTable: rows and notes for the terminal; it knows neither colours nor widths, which the command adds."""

from dataclasses import dataclass


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
