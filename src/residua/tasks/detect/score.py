"""Scores of detectors: average precision with the protocol that it was measured by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from residua.data.boxes import Boxes
from residua.spec.record import nearest
from residua.tasks.detect import coco_metric
from residua.tasks.detect.found import Detections
from residua.tasks.detect.voc_metric import (
    Interpolation,
    average_precisions,
    bootstrap_interval,
    rank_all_classes,
)


@dataclass(frozen=True, slots=True)
class BoxScore:
    """Mean average precision under one protocol."""

    protocol: str
    """A name in `PROTOCOLS`."""
    value: float
    """The protocol's main number, in percent."""
    interval: tuple[float, float] | None
    """95 % interval of `value`, images drawn with replacement, in percent; None where there is none."""
    parts: tuple[tuple[str, float], ...]
    """Its other numbers by name, in percent; NaN where no object was there to be found."""
    classes: tuple[tuple[str, float], ...]
    """The main number of each class that has objects, in percent."""
    n: int
    """Images."""
    boxes: int
    """Objects to be found: those set aside are not."""
    split: str
    """Which images."""
    weights: str
    """Which weights: `raw`, `ema` or `best`."""


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """What a protocol says of a set."""

    value: float
    """Its main number."""
    interval: tuple[float, float] | None
    """Its 95 % interval."""
    parts: tuple[tuple[str, float], ...]
    """Its other numbers by name."""
    classes: NDArray[np.float64]
    """The main number of each class; NaN without objects: (classes,)."""


def _coco(found: Sequence[Detections], truth: Sequence[Boxes], classes: int) -> Measured:
    value, parts, each = coco_metric.coco_average_precision(found, truth, classes)
    return Measured(value, None, parts, each)


def _voc(how: Interpolation, found: Sequence[Detections], truth: Sequence[Boxes], classes: int) -> Measured:
    several = rank_all_classes(found, truth, classes)
    each = average_precisions(several, how)
    return Measured(float(np.nanmean(each)), bootstrap_interval(several, how), (), each)


PROTOCOLS: Mapping[str, Callable[[Sequence[Detections], Sequence[Boxes], int], Measured]] = {
    "coco": _coco,
    "voc": partial(_voc, "area"),
    "voc2007": partial(_voc, "eleven"),
}
"""COCO's AP@[.5,.95]; VOC's AP@.5, the area under the curve (2010 on) or eleven points of it (2007)."""
SAYS = {
    "coco": "mean AP over overlaps .50 to .95, 101 points, 100 boxes an image (pycocotools)",
    "voc": "mean AP at overlap .5, area under the curve (VOC 2010 on)",
    "voc2007": "mean AP at overlap .5, eleven points (VOC 2007)",
}
"""What each means, in a line."""


def check(protocols: Sequence[str]) -> None:
    """ValueError for one that is not known, or needs what is not installed."""
    for name in protocols:
        if name not in PROTOCOLS:
            raise ValueError(f"no protocol {name!r}: {nearest(name, PROTOCOLS)}")
        if name == "coco":
            coco_metric.import_pycocotools()


def score(
    found: Sequence[Detections],
    truth: Sequence[Boxes],
    *,
    protocol: str,
    classes: Sequence[str],
    split: str,
    weights: str,
) -> BoxScore:
    """How well `found` are the boxes of `truth`, image by image, under `protocol`."""
    said = PROTOCOLS[protocol](found, truth, len(classes))
    pairs = zip(classes, said.classes.tolist(), strict=True)
    by_class = tuple((name, ap) for name, ap in pairs if np.isfinite(ap))
    count = sum(int((~boxes.aside).sum()) for boxes in truth)
    facts = (len(truth), count, split, weights)
    return BoxScore(protocol, said.value, said.interval, said.parts, by_class, *facts)
