"""Kinetics: the official CSV lists and the clips beside them, `<youtube id>_<start>_<end>.mp4`."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from residua.data.decode import printable_path
from residua.data.images import Images
from residua.data.items import Files
from residua.data.listing import SourceListing
from residua.data.video.clips import CLIP
from residua.data.walk import walk
from residua.errors import DataError
from residua.spec.amount import quantity

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
"""The columns of the lists of Kinetics-400, 600 and 700."""
_MAX_HEAD = 1 << 16  # characters of the first line of a list
_TRAIN, _VAL = (
    "train",
    ("val", "validate", "validation", "test"),
)  # in the column `split`, in order of preference


def has_lists(place: Path) -> bool:
    """Whether `place` is a list of Kinetics, or a folder that holds one."""
    return bool(_lists(place))


def list_kinetics(place: Path) -> SourceListing:
    """List the clips below `place` that its lists name; missing clips are counted in the notes.

    Raises:
        DataError: for a damaged list, or when no training clip exists.
    """
    root = place if place.is_dir() else place.parent
    clips = {p.stem: p for kind, p in walk(root, root=root, suffixes=CLIP.suffixes) if kind == "image"}
    rows = [row for file in _lists(place) for row in _rows(file)]
    classes = tuple(sorted({label for _, label, _ in rows}))
    splits = {split for _, _, split in rows}
    val = next((name for name in _VAL if name in splits), None)
    parts: dict[str, Images] = {}
    for split in filter(None, (_TRAIN, val)):
        pairs = sorted({name: label for name, label, each in rows if each == split and name in clips}.items())
        parts[split] = _images(split, root, classes, [(clips[name], label) for name, label in pairs])
    if not parts.get(_TRAIN):
        raise DataError(
            f"{printable_path(root)} holds none of the clips that its lists name for train: "
            "put <youtube_id>_<start>_<end>.mp4 below it"
        )
    missing = sum(each in parts and name not in clips for name, _, each in rows)
    notes = (f"{quantity(missing, 'listed clip')} missing",) if missing else ()
    test = parts.get(val or "")
    return SourceListing(f"video:{place}", parts[_TRAIN], test, "official lists", notes=notes)


def _images(name: str, root: Path, classes: tuple[str, ...], pairs: list[tuple[Path, str]]) -> Images:
    place = {label: number for number, label in enumerate(classes)}
    labels = np.array([place[label] for _, label in pairs], np.int64)
    names = [path.relative_to(root).as_posix() for path, _ in pairs]
    return Images(
        "train" if name == _TRAIN else "val", classes, labels, files=Files.of(root, names), media_type=CLIP
    )


def _lists(place: Path) -> list[Path]:
    files = sorted(place.glob("*.csv")) if place.is_dir() else [place] if place.suffix == ".csv" else []
    return [file for file in files if file.is_file() and set(COLUMNS) <= set(_head(file))]


def _head(file: Path) -> list[str]:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        return next(csv.reader([lines.readline(_MAX_HEAD)]), [])


def _rows(file: Path) -> Iterator[tuple[str, str, str]]:
    """Stem of the clip, label and split of every row."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            try:
                start, end = (int(float(row[name])) for name in ("time_start", "time_end"))
                yield f"{row['youtube_id']}_{start:06}_{end:06}", row["label"].strip(), row["split"].strip()
            except (TypeError, ValueError, AttributeError):
                raise DataError(
                    f"{printable_path(file)} row {number} is not a row of Kinetics: give {','.join(COLUMNS)}"
                ) from None
