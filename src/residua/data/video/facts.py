"""What clips tell before anybody looks at them, as the table from which a small tree guesses their class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.images import Images
from residua.data.metadata import MetadataLeak, find_metadata_leak
from residua.data.scan import FACTS, Scan
from residua.errors import DataError
from residua.data.video import reader

_MOST = 2000  # clips that are asked


def told(splits: Sequence[Images]) -> MetadataLeak | None:
    """How well size, length and frame rate alone tell the class; None for clips that are no files.

    A tree is judged on clips it did not see, in five folds over all splits.
    """
    if any(images.files is None for images in splits):
        return None
    rows, labels = [], []
    for images in splits:
        places = np.linspace(0, len(images) - 1, min(_MOST, len(images))).astype(int)
        rows += [_row(images, place) for place in places.tolist()]
        labels.append(images.labels[places])
    return find_metadata_leak(Scan(np.concatenate(rows), ("",)), np.concatenate(labels))


def _row(images: Images, place: int) -> NDArray[np.void]:
    record = np.zeros(1, FACTS)
    item = images.item(place)
    assert isinstance(item, Path | bytes)
    try:
        facts = reader.look(item)
        size = len(item) if isinstance(item, bytes) else item.stat().st_size
    except (DataError, OSError):
        return record  # not readable: it is left out
    record["bytes"], record["width"], record["height"] = size, facts.width, facts.height
    record["frames"], record["rate"], record["readable"] = facts.frames, facts.rate, True
    record["kind"], record["mode"], record["orientation"] = facts.codec, facts.pixels, 1
    return record
