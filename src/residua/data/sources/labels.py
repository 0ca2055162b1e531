"""Label files: CSV, JSON lines or Parquet with a path, a label and optionally a split in every row."""

import csv
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from residua.data.decode import IMAGE, MediaType, one_line, printable_path
from residua.data.images import Images
from residua.data.items import Files
from residua.data.listing import ListingOptions, SourceListing
from residua.data.table_cells import unprotect
from residua.errors import DataError
from residua.files import near_path
from residua.spec.amount import quantity

_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "video", "clip"),
    "label": ("label", "class", "class_name", "category", "target"),
    "split": ("split", "set", "subset"),
}
_SPLITS = {
    "train": 0,
    "training": 0,
    "val": 1,
    "validation": 1,
    "valid": 1,
    "dev": 1,
    "test": 2,
    "testing": 2,
}
_MISSING = frozenset({"", "nan", "null", "none", "<na>", "na", "n/a", "inf", "-inf", "+inf", "infinity"})
_MAX_LINE = 1 << 20  # characters of a row
_SPARE_BYTES = 32 << 20  # that a column of Parquet may have, unpacked, beside twice the size of the file
_Row = tuple[int, str, Any, str]
"""Row number as an editor counts it, path, label, and split or an empty text."""


@dataclass(frozen=True)
class _Rows:
    """The checked rows of a label file, column by column."""

    paths: list[str]
    labels: list[str]
    splits: list[int]


def find_labels(place: str, _options: ListingOptions) -> SourceListing:
    """List the images of the label file at `place`; see `list_label_file`."""
    return list_label_file(Path(place))


def list_label_file(file: Path, *, media_type: MediaType = IMAGE) -> SourceListing:
    """List the files of `media_type` that a label file names, relative to its folder.

    The columns are path, label and perhaps split, in this order; or in any order below a header, beside any
    other columns.

    Raises:
        DataError: with the row of a missing, negative or fractional label, of a path outside the folder or
            listed twice, or of a split that is not train, val or test.
    """
    if not file.is_file():
        problem = "is a folder, a pipe or a device" if file.exists() else f"does not exist{near_path(file)}"
        raise DataError(f"{printable_path(file)} {problem}: give a .csv or .parquet of paths and labels")
    rows = _checked_rows(file, _READERS.get(file.suffix.lower(), _csv)(file))
    classes = _classes(rows.labels)
    index = {name: label for label, name in enumerate(classes)}
    labels = np.array([index[name] for name in rows.labels], np.int64)
    splits = np.array(rows.splits, np.int64)
    files = Files.of(file.parent, rows.paths)
    images = Images("train", classes, labels, files=files, media_type=media_type)
    held_out = next((number for number in (1, 2) if (splits == number).any()), None)
    if held_out is None or not (splits == 0).any():
        return SourceListing(str(file), images, None, " of the list", file.stem)
    train = images.subset(np.flatnonzero(splits == 0))
    test = replace(images.subset(np.flatnonzero(splits == held_out)), name={1: "val", 2: "test"}[held_out])
    unused = int((splits == 2).sum()) if held_out == 1 else 0
    notes = (f"{quantity(unused, 'test image')} not used",) if unused else ()
    return SourceListing(str(file), train, test, f"split column of {file.name}", file.stem, notes=notes)


def _classes(labels: list[str]) -> tuple[str, ...]:
    """The class names: numbers by value, others in string order."""
    names = set(labels)
    if all(name.isascii() and name.isdecimal() for name in names):
        # by value; int() refuses more than 4300 digits
        return tuple(sorted(names, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name)))
    return tuple(sorted(names))


def _checked_rows(file: Path, rows: Iterator[_Row]) -> _Rows:
    checked, relative = _Rows([], [], []), _RelativePath(file.parent)
    row_of: dict[str, int] = {}
    for row, path, label, split in rows:
        where = f"{printable_path(file)} row {row}"
        if not path or "\0" in path:
            raise DataError(f"{where} has no path: give every row a path and a label")
        if not _can_encode(path, os.fsencode):
            raise DataError(f"{where} has a path that no file can have ({path!a}): write it as UTF-8")
        name = relative(path, where)
        if name in row_of:
            raise DataError(
                f"{where} lists {printable_path(path)}, which row {row_of[name]} lists already: keep one"
            )
        row_of[name] = row
        checked.paths.append(name)
        checked.labels.append(_label(label, where))
        checked.splits.append(_split(split, where))
    if not checked.paths:
        raise DataError(f"{printable_path(file)} lists no image: give rows of path and label")
    if len(set(checked.splits)) > 1 and -1 in checked.splits:
        raise DataError(f"{printable_path(file)} names a split in some rows only: name it in all, or in none")
    return checked


class _RelativePath:
    """Makes paths relative to a folder and refuses those that leave it, also through a link."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder.absolute())
        self.real = os.path.realpath(folder)
        self.parents: dict[str, bool] = {}

    def __call__(self, path: str, where: str) -> str:
        """`path` relative to the folder. DataError when it leaves it."""
        name = os.path.normpath(os.path.relpath(path, self.folder) if os.path.isabs(path) else path)
        full = os.path.join(self.folder, name)
        if name in (".", "..") or name.startswith(f"..{os.sep}") or not self._is_inside(full):
            raise DataError(
                f"{where} lists {printable_path(path)}, which is outside {printable_path(self.folder)}: "
                "put the label file above its images"
            )
        return name

    def _is_inside(self, full: str) -> bool:
        if os.path.islink(full):
            return self._resolves_inside(full)
        parent = os.path.dirname(full)
        if parent not in self.parents:
            self.parents[parent] = self._resolves_inside(parent)
        return self.parents[parent]

    def _resolves_inside(self, full: str) -> bool:
        path = os.path.realpath(full)
        return path == self.real or path.startswith(self.real.rstrip(os.sep) + os.sep)


def _label(label: Any, where: str) -> str:
    """A label as the name of a class; whole numbers lose the `.0` that spreadsheets give them."""
    if isinstance(label, dict | list):
        raise DataError(f"{where} has several labels: give a name or a number")
    if isinstance(label, float) and math.isfinite(label) and label == int(label):
        label = int(label)
    text = label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
    text = text.strip()
    if not _can_encode(text, str.encode):
        raise DataError(f"{where} has a label that is no text ({text!a}): write it as UTF-8")
    if label is None or text.lower() in _MISSING:
        raise DataError(f"{where} has the label {text!r}: give every image a class")
    number = _number(text)
    if number is not None and (number < 0 or number != int(number)):
        raise DataError(f"{where} has the label {text}: give a name, or a whole number from 0 on")
    return str(int(number)) if number is not None and "." in text else text


def _can_encode(text: str, encode: Callable[[str], bytes]) -> bool:
    """False for half a character, as JSON can hold it ("\\ud800")."""
    try:
        encode(text)
    except UnicodeEncodeError:
        return False
    return True


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _split(split: str, where: str) -> int:
    if not split:
        return -1
    if split.lower() not in _SPLITS:
        raise DataError(f"{where} has the split {split!r}: give train, val or test")
    return _SPLITS[split.lower()]


def _short_lines(lines: TextIO, file: Path) -> Iterator[str]:
    """The lines of a file. DataError for one that is longer than any row."""
    while line := lines.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise DataError(
                f"{printable_path(file)} has a line of {_MAX_LINE:,} or more characters: split it"
            )
        yield line


def _csv(file: Path) -> Iterator[_Row]:
    """Rows of a CSV with commas, semicolons or tabs, with or without a byte order mark."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = next(_short_lines(lines, file), "")
            mark = max(",;\t", key=first.count)
            lines.seek(0)
            reader = csv.reader(_short_lines(lines, file), delimiter=mark, strict=True)
            order: tuple[int, ...] | None = None
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                if order is None:
                    order, is_header = _order(cells, printable_path(file))
                    if is_header:
                        continue
                if len(cells) <= max(order):
                    raise DataError(
                        f"{printable_path(file)} row {reader.line_num} has {len(cells)} cells: "
                        f"give {max(order) + 1}"
                    )
                yield (
                    reader.line_num,
                    unprotect(cells[order[0]]),
                    unprotect(cells[order[1]]),
                    cells[order[2]] if len(order) > 2 else "",
                )
    except UnicodeDecodeError as error:
        raise DataError(
            f"{printable_path(file)} is not UTF-8 (byte {error.start}): save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise DataError(f"{printable_path(file)} is no CSV ({error}): save it again as CSV") from None
    except OSError as error:
        raise DataError(f"{printable_path(file)} cannot be read: {error.strerror}") from None


def _json_lines(file: Path) -> Iterator[_Row]:
    """Rows of a file with an object in every line; the keys of the first give the columns."""
    names: dict[str, str] = {}
    number = 0
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(_short_lines(lines, file), 1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(
                        f'{printable_path(file)} row {number} is no object: give {{"path": .., "label": ..}}'
                    )
                if not names:
                    places = _columns([str(name).lower() for name in row], printable_path(file))
                    names = dict(zip(_COLUMNS, [list(row)[place] for place in places], strict=False))
                path, split = row.get(names["path"]), row.get(names.get("split", ""))
                yield number, str(path or ""), row.get(names["label"]), str(split or "")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{printable_path(file)} is not UTF-8 (byte {error.start}): save it as UTF-8"
        ) from None
    except DataError:
        raise
    except (ValueError, RecursionError) as error:  # no JSON, a number of 5000 digits, lists in lists in lists
        raise DataError(f"{printable_path(file)} row {number} is no JSON ({error}): save it again") from None
    except OSError as error:
        raise DataError(f"{printable_path(file)} cannot be read: {error.strerror}") from None


def _order(cells: list[str], file: str) -> tuple[tuple[int, ...], bool]:
    """The indices of the columns path, label and split, and whether `cells` is a header."""
    names = [cell.lower() for cell in cells]
    if any(name in _COLUMNS["path"] or name in _COLUMNS["label"] for name in names):
        return _columns(names, file), True
    if len(cells) < 2:
        raise DataError(f"{file} has one column: give path and label, e.g. cat/1.jpg,cat")
    return tuple(range(min(3, len(cells)))), False


def _columns(names: list[str], file: str) -> tuple[int, ...]:
    places = []
    for column, known in _COLUMNS.items():
        matches = [place for place, name in enumerate(names) if name in known]
        if len(matches) > 1:
            raise DataError(f"{file} has {len(matches)} columns for the {column}: keep one")
        if not matches and column != "split":
            raise DataError(f"{file} has no column for the {column}: call one of them {known[0]}")
        places += matches
    return tuple(places)


def _parquet(file: Path) -> Iterator[_Row]:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise DataError("Parquet needs pyarrow: pip install pyarrow, or give a .csv") from None
    try:
        table = parquet.ParquetFile(file)
        columns = [str(name) for name in table.schema_arrow.names]
        order = _columns([name.lower() for name in columns], printable_path(file))
        _check_sizes(table.metadata, {columns[place] for place in order}, file)
        row = 0
        for batch in table.iter_batches(columns=[columns[place] for place in order]):
            values = [batch.column(columns[place]).to_pylist() for place in order]
            for path, label, *split in zip(*values, strict=True):
                row += 1
                label = unprotect(label) if isinstance(label, str) else label
                yield row, unprotect(str(path or "")), label, str(split[0] or "") if split else ""
    except DataError:
        raise
    except Exception as error:  # arrow raises a dozen types for damaged files
        reason = one_line(error)
        raise DataError(f"{printable_path(file)} is no Parquet that can be read ({reason})") from None


def _check_sizes(metadata: Any, names: set[str], file: Path) -> None:
    """DataError where one of `names` is much larger than the file: Arrow unpacks large pieces of columns."""
    most = 2 * file.stat().st_size + _SPARE_BYTES
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in names and column.total_uncompressed_size > most:
                size = f"{column.total_uncompressed_size:,} bytes in {column.path_in_schema!r}"
                raise DataError(
                    f"{printable_path(file)} unpacks to {size}: give a .csv, or smaller row groups"
                )


_READERS: dict[str, Callable[[Path], Iterator[_Row]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
SUFFIXES = tuple(_READERS)
"""Endings, in lower case, of label files."""
