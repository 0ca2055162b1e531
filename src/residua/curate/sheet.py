"""The table of a clean as a sheet: its rows for reading, and edits that go back to the file.

An edit changes the cells `action` and `suggested` of its row alone. It names the digest of the file that it
was made on: if a spreadsheet has saved the file meanwhile, the edit is refused.
"""

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from residua.curate.actions import ACTIONS, COLUMNS, read_actions
from residua.data.table_cells import protect, unprotect
from residua.errors import ConfigError
from residua.files import file_lock, read_file, write_file


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One image in the table."""

    path: str
    """Path of the image within the source."""
    label: str
    """Its class."""
    suggested: str
    """The class it would get."""
    score: float | None
    """Predicted probability of the label; None without a prediction."""
    reason: str
    """Why the image should be reviewed; empty without a reason."""
    action: str
    """`keep`, `relabel` or `drop`."""


@dataclass(frozen=True, slots=True)
class SheetEdit:
    """What a person decided for one image."""

    action: str
    """What to do with it: `keep`, `relabel` or `drop`."""
    suggested: str = ""
    """The class it gets where it is relabelled; empty keeps what the table says."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The table of a clean."""

    rows: tuple[SheetRow, ...]
    """Its rows, in the order of the file: those to review first."""
    digest: str
    """SHA-256 of the file."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class of the table, sorted."""
        return tuple(sorted({name for row in self.rows for name in (row.label, row.suggested) if name}))


def read_sheet(file: Path) -> Sheet:
    """Read the table of a clean.

    Raises:
        ConfigError: It is no such table; the message names the row.
    """
    read_actions(file)
    content = read_file(file)
    _, rows = _parse(content)
    return Sheet(tuple(_row(cells) for cells in rows), hashlib.sha256(content).hexdigest())


def edit_sheet(file: Path, edits: Mapping[str, SheetEdit], *, digest: str) -> Sheet:
    """Write edits into the table of a clean.

    Args:
        file: The table.
        edits: Path of an image -> the decision.
        digest: That of the table which the edits were made on.

    Returns:
        The table after the edits.

    Raises:
        ConfigError: The table changed since, lacks an image, or has no class of that name.
    """
    with file_lock(file.with_name(f".{file.name}.lock")):
        sheet = read_sheet(file)
        if sheet.digest != digest:
            raise ConfigError(f"{file.name} changed since it was read: load it again, then repeat the edit")
        if missing := edits.keys() - {row.path for row in sheet.rows}:
            raise ConfigError(f"{file.name} has no row for {sorted(missing)[0]!r}")
        for edit in edits.values():
            if edit.action not in ACTIONS or (edit.suggested and edit.suggested not in sheet.classes):
                raise ConfigError(
                    f"{edit.action} {edit.suggested!r}: give keep, relabel or drop and a known class"
                )
        write_file(file, _edited(read_file(file), edits))
        return read_sheet(file)


def _parse(content: bytes) -> tuple[str, list[dict[str, str]]]:
    """The delimiter and the rows, as cells."""
    text = content.decode("utf-8-sig")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    for cells in reader:
        if None in cells:
            raise ConfigError(f"row {reader.line_num} has more cells than columns: remove them")
        rows.append(cells)
    return delimiter, rows


def _row(cells: dict[str, str]) -> SheetRow:
    values = {name: unprotect((cells.get(name) or "").strip()) for name in COLUMNS}
    score = values["score"].replace(",", ".")
    is_number = score.replace(".", "", 1).isdigit()
    return SheetRow(
        values["path"],
        values["label"],
        values["suggested"],
        float(score) if is_number else None,
        values["reason"],
        values["action"].lower(),
    )


def _edited(content: bytes, edits: Mapping[str, SheetEdit]) -> str:
    """The table with the edits, with the delimiter and the columns that it has."""
    delimiter, rows = _parse(content)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    for cells in rows:
        if edit := edits.get(unprotect(cells["path"].strip())):
            cells["action"] = edit.action
            cells["suggested"] = protect(edit.suggested) if edit.suggested else cells["suggested"]
        writer.writerow(cells)
    mark = "\ufeff" if content.startswith(b"\xef\xbb\xbf") else ""
    return mark + table.getvalue()
