"""Cells of tables for spreadsheets, which take a text that begins with = + - or @ for a formula.

A file name or a class of a stranger may be such a text. It is written with an apostrophe before it, as OWASP
recommends ("CSV Injection"), and read back without. A text that begins with an apostrophe before one of these
characters gets one more, so that every text comes back as it was. Numbers stay numbers.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last four are full-width = + - @


def protect(cell: Any) -> Any:
    """A text as a table holds it: with an apostrophe where it begins like a formula; numbers unchanged."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def unprotect(cell: str) -> str:
    """The text that `protect` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows of text, numbers and None as CSV, each text protected."""
    table = io.StringIO(newline="")
    csv.writer(table).writerows([protect(cell) for cell in row] for row in rows)
    return table.getvalue()
