"""Label files: CSV, JSON lines or Parquet with a path, a label and perhaps a split in every row."""

import csv
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from residua.data.decode import IMAGE, Gate, one_line, shown
from residua.data.images import Images
from residua.data.items import Files
from residua.data.listing import SourceListing
from residua.errors import DataError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
"""Endings, in lower case, of label files."""

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
_Row = tuple[int, str, Any, str]
"""Number of a row as an editor counts it, path, label, and split, empty when there is none."""


@dataclass(frozen=True)
class _Listed:
    """The rows of a label file, checked."""

    paths: list[str]
    labels: list[str]
    splits: list[int]


def find_labels(file: Path, *, gate: Gate = IMAGE) -> SourceListing:
    """The images, or what else `gate` reads, that `file` lists, relative to its folder.

    Columns `path`, `label` and perhaps `split` stand in this order, or under a header in any order with more
    beside them. DataError names the row of a missing, negative or fractional label, of a path that leaves the
    folder or comes twice, and of a split that is neither train, val nor test.
    """
    if not file.is_file():
        raise DataError(f"{shown(file)} does not exist: give a .csv or .parquet of paths and labels")
    rows = {".parquet": _parquet, ".jsonl": _json_lines}.get(file.suffix.lower(), _csv)(file)
    found = _checked(file, rows)
    classes = _classes(found.labels)
    place = {name: label for label, name in enumerate(classes)}
    labels = np.array([place[name] for name in found.labels], np.int64)
    splits = np.array(found.splits, np.int64)
    every = Images("train", classes, labels, files=Files.of(file.parent, found.paths), gate=gate)
    judge = next((number for number in (1, 2) if (splits == number).any()), None)
    if judge is None or not (splits == 0).any():
        return SourceListing(str(file), every, None, " of the list", file.stem)
    name = {1: "val", 2: "test"}[judge]
    test = every.subset(np.flatnonzero(splits == judge))
    left = int((splits == 2).sum()) if judge == 1 else 0
    remarks = (f"{left} test images left alone",) if left else ()
    train = every.subset(np.flatnonzero(splits == 0))
    judged = replace(test, name=name)
    return SourceListing(str(file), train, judged, f"split column of {file.name}", file.stem, remarks=remarks)


def _classes(labels: list[str]) -> tuple[str, ...]:
    """The classes in the order that their numbers have, or that strings have."""
    names = set(labels)
    if all(name.isascii() and name.isdecimal() for name in names):
        # by value; int() refuses more than 4300 digits
        return tuple(sorted(names, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name)))
    return tuple(sorted(names))


def _checked(file: Path, rows: Iterator[_Row]) -> _Listed:
    found, inside = _Listed([], [], []), _Fence(file.parent)
    seen: dict[str, int] = {}
    for row, path, label, split in rows:
        where = f"{shown(file)} row {row}"
        if not path or "\0" in path:
            raise DataError(f"{where} has no path: give every row a path and a label")
        if not _writable(path, os.fsencode):
            raise DataError(f"{where} has a path that no file can have ({path!a}): write it as UTF-8")
        kept = inside(path, where)
        if kept in seen:
            raise DataError(f"{where} lists {shown(path)}, which row {seen[kept]} lists already: keep one")
        seen[kept] = row
        found.paths.append(kept)
        found.labels.append(_label(label, where))
        found.splits.append(_split(split, where))
    if not found.paths:
        raise DataError(f"{shown(file)} lists no image: give rows of path and label")
    if len(set(found.splits)) > 1 and -1 in found.splits:
        raise DataError(f"{shown(file)} names a split in some rows only: name it in all, or in none")
    return found


class _Fence:
    """Paths relative to a folder that they do not leave, not even through a link."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder.absolute())
        self.real = os.path.realpath(folder)
        self.parents: dict[str, bool] = {}

    def __call__(self, path: str, where: str) -> str:
        """`path` relative to the folder. DataError when it leaves it."""
        kept = os.path.normpath(os.path.relpath(path, self.folder) if os.path.isabs(path) else path)
        full = os.path.join(self.folder, kept)
        if kept in (".", "..") or kept.startswith(f"..{os.sep}") or not self._holds(full):
            raise DataError(
                f"{where} lists {shown(path)}, which is outside {shown(self.folder)}: "
                "put the label file above its images"
            )
        return kept

    def _holds(self, full: str) -> bool:
        if os.path.islink(full):
            return self._real(full)
        parent = os.path.dirname(full)
        if parent not in self.parents:
            self.parents[parent] = self._real(parent)
        return self.parents[parent]

    def _real(self, full: str) -> bool:
        found = os.path.realpath(full)
        return found == self.real or found.startswith(self.real.rstrip(os.sep) + os.sep)


def _label(label: Any, where: str) -> str:
    """A label as the name of a class; whole numbers lose the `.0` that spreadsheets give them."""
    if isinstance(label, dict | list):
        raise DataError(f"{where} has several labels: give a name or a number")
    if isinstance(label, float) and math.isfinite(label) and label == int(label):
        label = int(label)
    text = label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
    text = text.strip()
    if not _writable(text, str.encode):
        raise DataError(f"{where} has a label that is no text ({text!a}): write it as UTF-8")
    if label is None or text.lower() in _MISSING:
        raise DataError(f"{where} has the label {text!r}: give every image a class")
    number = _number(text)
    if number is not None and (number < 0 or number != int(number)):
        raise DataError(f"{where} has the label {text}: give a name, or a whole number from 0 on")
    return str(int(number)) if number is not None and "." in text else text


def _writable(text: str, encode: Callable[[str], bytes]) -> bool:
    """Whether `text` can be written down: half a character, as JSON can hold ("\\ud800"), cannot."""
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


def _csv(file: Path) -> Iterator[_Row]:
    """Rows of a CSV: comma, semicolon or tab; with a byte order mark or without."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            mark = max(",;\t", key=first.count)
            lines.seek(0)
            reader = csv.reader(lines, delimiter=mark, strict=True)
            order: tuple[int, ...] | None = None
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                if order is None:
                    order, is_header = _order(cells, shown(file))
                    if is_header:
                        continue
                if len(cells) <= max(order):
                    raise DataError(
                        f"{shown(file)} row {reader.line_num} has {len(cells)} cells: give {max(order) + 1}"
                    )
                yield (
                    reader.line_num,
                    cells[order[0]],
                    cells[order[1]],
                    cells[order[2]] if len(order) > 2 else "",
                )
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(file)} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{shown(file)} is no CSV ({error}): save it again as CSV") from None
    except OSError as error:
        raise DataError(f"{shown(file)} cannot be read: {error.strerror}") from None


def _json_lines(file: Path) -> Iterator[_Row]:
    """Rows of a file with an object in every line; the first says which names stand for what."""
    names: dict[str, str] = {}
    number = 0
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DataError(
                        f'{shown(file)} row {number} is no object: give {{"path": .., "label": ..}}'
                    )
                if not names:
                    places = _named([str(name).lower() for name in row], shown(file))
                    names = dict(zip(_COLUMNS, [list(row)[place] for place in places], strict=False))
                path, split = row.get(names["path"]), row.get(names.get("split", ""))
                yield number, str(path or ""), row.get(names["label"]), str(split or "")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(file)} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except DataError:
        raise
    except (ValueError, RecursionError) as error:  # no JSON, a number of 5000 digits, lists in lists in lists
        raise DataError(f"{shown(file)} row {number} is no JSON ({error}): save it again") from None
    except OSError as error:
        raise DataError(f"{shown(file)} cannot be read: {error.strerror}") from None


def _order(cells: list[str], file: str) -> tuple[tuple[int, ...], bool]:
    """Where path, label and split stand, and whether `cells` is the header that says so."""
    names = [cell.lower() for cell in cells]
    if any(name in _COLUMNS["path"] or name in _COLUMNS["label"] for name in names):
        return _named(names, file), True
    if len(cells) < 2:
        raise DataError(f"{file} has one column: give path and label, e.g. cat/1.jpg,cat")
    return tuple(range(min(3, len(cells)))), False


def _named(names: list[str], file: str) -> tuple[int, ...]:
    places = []
    for column, known in _COLUMNS.items():
        found = [place for place, name in enumerate(names) if name in known]
        if len(found) > 1:
            raise DataError(f"{file} has {len(found)} columns for the {column}: keep one")
        if not found and column != "split":
            raise DataError(f"{file} has no column for the {column}: call one of them {known[0]}")
        places += found
    return tuple(places)


def _parquet(file: Path) -> Iterator[_Row]:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise DataError("Parquet needs pyarrow: pip install pyarrow, or give a .csv") from None
    try:
        table = parquet.ParquetFile(file)
        columns = [str(name) for name in table.schema_arrow.names]
        order = _named([name.lower() for name in columns], shown(file))
        row = 0
        for batch in table.iter_batches(columns=[columns[place] for place in order]):
            held = [batch.column(columns[place]).to_pylist() for place in order]
            for path, label, *split in zip(*held, strict=True):
                row += 1
                yield row, str(path or ""), label, str(split[0] or "") if split else ""
    except DataError:
        raise
    except Exception as error:  # arrow raises a dozen types for damaged files
        reason = one_line(error)
        raise DataError(f"{shown(file)} is no Parquet that can be read ({reason})") from None
