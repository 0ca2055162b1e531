"""Every table and figure of the three papers by name, and the recipe each is trained by."""

from collections.abc import Mapping

from residua.reproduce import rows_detect, rows_duta2020, rows_he2015, rows_he2016, rows_video
from residua.reproduce.published import Item
from residua.spec.record import nearest

ITEMS: Mapping[str, Item] = {
    item.name: item
    for item in (
        *rows_he2015.ITEMS,
        *rows_he2016.ITEMS,
        *rows_duta2020.ITEMS,
        *rows_video.ITEMS,
        *rows_detect.ITEMS,
    )
}
"""Name -> item, in the papers' order."""
RECIPE_OF: Mapping[tuple[str, str], str] = {
    ("he2015", "small"): "he2015.cifar",
    ("he2015", "large"): "he2015.imagenet",
    ("he2016", "small"): "he2016.cifar",
    ("he2016", "large"): "he2016.imagenet",
    ("duta2020", "small"): "duta2020.cifar",
    ("duta2020", "large"): "duta2020.imagenet",
}
"""Paper and kind of pictures -> name of the recipe."""
UNSCHEDULED = {
    "kinetics400": "video",
    "something2": "video",
    "coco": "coco",
    "voc2007": "voc",
    "voc2012": "voc",
}
"""Data on which networks are trained by hand, and their source: the papers' schedules are of another way to
train, or not known to us."""


def item(name: str) -> Item:
    """The table or figure called `name`. ValueError offers the nearest names, or says why there is none."""
    if name not in ITEMS:
        raise ValueError(f"no item {name!r}: {nearest(name, ITEMS)}; `residua reproduce --list` shows all")
    found = ITEMS[name]
    if found.reason:
        raise ValueError(f"{name} cannot be reproduced: {found.reason}")
    return found
