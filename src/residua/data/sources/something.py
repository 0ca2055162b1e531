"""Something-Something V2: the official JSON lists and the clips beside them, named by number."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from residua.data.decode import printable_path
from residua.data.images import Images
from residua.data.items import Files
from residua.data.limits import read_regular
from residua.data.listing import SourceListing
from residua.data.video.clips import CLIP
from residua.data.walk import walk
from residua.errors import DataError
from residua.spec.amount import quantity

LABELS, TRAIN, VALIDATION = "labels.json", "train.json", "validation.json"
"""Files of class numbers and of clips with their templates; `PREFIX` may precede the names."""
PREFIX = "something-something-v2-"
"""Prefix of the file names as downloaded."""
_MAX_BYTES = 1 << 28  # of a list: the largest official one has 36 MB


def has_lists(place: Path) -> bool:
    """Whether the lists lie in `place` or in its folder `labels`."""
    return place.is_dir() and _file(place, LABELS) is not None and _file(place, TRAIN) is not None


def list_something(place: Path) -> SourceListing:
    """List the clips below `place` that its lists name; missing clips are counted in the notes.

    The label of a clip is its template: `Pushing [something] left`, without the brackets.

    Raises:
        DataError: for a damaged list, a template that is not a label, or when no training clip exists.
    """
    numbers = _read(place, LABELS, dict)
    classes = tuple(sorted(numbers, key=lambda name: int(numbers[name])))
    clips = {p.stem: p for kind, p in walk(place, root=place, suffixes=CLIP.suffixes) if kind == "image"}
    label = {_plain(name): number for number, name in enumerate(classes)}
    train, missing_train = _split(place, TRAIN, "train", classes, label, clips)
    test, missing_test = _split(place, VALIDATION, "val", classes, label, clips)
    if not len(train):
        raise DataError(
            f"{printable_path(place)} holds none of the clips of {TRAIN}: put <id>.webm or .mp4 below it"
        )
    notes = (
        (f"{quantity(missing_train + missing_test, 'listed clip')} missing",)
        if missing_train + missing_test
        else ()
    )
    return SourceListing(f"video:{place}", train, test if len(test) else None, "official lists", notes=notes)


def _split(
    place: Path, file: str, name: str, classes: tuple[str, ...], label: dict[str, int], clips: dict[str, Path]
) -> tuple[Images, int]:
    names, labels, missing = [], [], 0
    for row in _read(place, file, list):
        if not isinstance(row, dict) or "id" not in row or "template" not in row:
            raise DataError(
                f"{file} in {printable_path(place)} has a row without id or template: fetch it again"
            )
        template = _plain(str(row["template"]))
        if template not in label:
            raise DataError(f"{file} has the template {template!r}, which {LABELS} lacks: fetch both again")
        clip = clips.get(str(row["id"]))
        missing += clip is None
        if clip is not None:
            names.append(clip.relative_to(place).as_posix())
            labels.append(label[template])
    files = Files.of(place, names)
    return Images(name, classes, np.array(labels, np.int64), files=files, media_type=CLIP), missing


def _plain(template: str) -> str:
    return re.sub(r"[\[\]]", "", template).strip()


def _file(place: Path, name: str) -> Path | None:
    tries = (folder / (prefix + name) for folder in (place, place / "labels") for prefix in ("", PREFIX))
    return next((file for file in tries if file.is_file()), None)


def _read(place: Path, name: str, kind: type) -> Any:
    file = _file(place, name)
    if file is None:
        return kind()
    try:
        plain: Any = json.loads(read_regular(file, _MAX_BYTES).decode("utf-8"))
        if not isinstance(plain, kind):
            raise ValueError(f"not a {kind.__name__}")
        numbers: dict[str, Any] = plain if isinstance(plain, dict) else {}
        if not all(str(number).isdecimal() for number in numbers.values()):
            raise ValueError("classes without numbers")
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: lists in lists in lists
        raise DataError(
            f"{printable_path(file)} is no list of Something-Something ({error}): fetch it again"
        ) from None
    return plain
