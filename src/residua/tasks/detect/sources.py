"""Sources of boxes by name: `voc:DIR` and `coco:DIR`."""

from collections.abc import Callable, Mapping

from residua.data.scenes import Marked
from residua.data.sources.coco import find_coco
from residua.data.sources.voc import find_voc
from residua.errors import DataError

FINDERS: Mapping[str, Callable[[str], Marked]] = {"voc": find_voc, "coco": find_coco}
"""Name before the colon, and what finds the boxes of the folder behind it."""


def find(source: str) -> Marked:
    """What `source` holds, before any image is opened. DataError says what is wrong with it."""
    name, _, folder = source.partition(":")
    if name not in FINDERS or not folder:
        raise DataError(f"{source} names no set of boxes: give voc:DIR or coco:DIR")
    return FINDERS[name](folder)
