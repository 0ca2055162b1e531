"""BoxScore: average precision of a detector, with the protocol that defines it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from residua.data.boxes import Boxes
from residua.errors import ConfigError
from residua.spec.record import nearest
from residua.tasks.detect import coco_metric
from residua.tasks.detect.prediction import BoxPrediction
from residua.tasks.detect.voc_metric import (
    Interpolation,
    average_precisions,
    bootstrap_interval,
    rank_all_classes,
)


@dataclass(frozen=True, slots=True, repr=False)
class BoxScore:
    """Mean average precision under one protocol."""

    protocol: str
    """A name in `PROTOCOLS`."""
    value: float
    """The protocol's main number, in percent."""
    interval: tuple[float, float] | None
    """95 % interval of `value`, images drawn with replacement, in percent; None where there is none."""
    parts: tuple[tuple[str, float], ...]
    """Its other numbers by name, in percent; NaN where there is no object."""
    classes: tuple[tuple[str, float], ...]
    """The main number of each class that has objects, in percent."""
    n: int
    """Images."""
    boxes: int
    """Labelled objects, without those that are ignored."""
    split: str
    """Name of the split."""
    weights: str
    """Which weights: `raw`, `ema` or `best`."""

    def __repr__(self) -> str:
        low, high = self.interval or (None, None)
        interval = "" if low is None else f", 95 % interval {low:.1f} to {high:.1f}"
        size = f"n = {self.n:,} images of {self.split} with {self.boxes:,} objects"
        return f"BoxScore({self.protocol}: {self.value:.1f} % mAP{interval}, {size}, {self.weights} weights)"


@dataclass(frozen=True, eq=False, slots=True)
class ProtocolNumbers:
    """The numbers of one protocol before they are named and described."""

    value: float
    """The main number."""
    interval: tuple[float, float] | None
    """Its 95 % interval."""
    parts: tuple[tuple[str, float], ...]
    """The other numbers by name."""
    by_class: NDArray[np.float64]
    """The main number of each class; NaN without objects: (classes,)."""


def _coco(
    predictions: Sequence[BoxPrediction], ground_truth: Sequence[Boxes], classes: int
) -> ProtocolNumbers:
    value, parts, by_class = coco_metric.coco_average_precision(predictions, ground_truth, classes)
    return ProtocolNumbers(value, None, parts, by_class)


def _voc(
    interpolation: Interpolation,
    predictions: Sequence[BoxPrediction],
    ground_truth: Sequence[Boxes],
    classes: int,
) -> ProtocolNumbers:
    ranked = rank_all_classes(predictions, ground_truth, classes)
    by_class = average_precisions(ranked, interpolation)
    interval = bootstrap_interval(ranked, interpolation)
    return ProtocolNumbers(float(np.nanmean(by_class)), interval, (), by_class)


PROTOCOLS: Mapping[str, Callable[[Sequence[BoxPrediction], Sequence[Boxes], int], ProtocolNumbers]] = {
    "coco": _coco,
    "voc": partial(_voc, "area"),
    "voc2007": partial(_voc, "eleven"),
}
"""COCO's AP@[.5,.95]; VOC's AP@.5, the area under the curve (2010 on) or eleven points of it (2007)."""
PROTOCOL_TEXTS = {
    "coco": "mean AP over overlaps .50 to .95, 101 points, 100 boxes an image (as pycocotools)",
    "voc": "mean AP at overlap .5, area under the curve (VOC 2010 on)",
    "voc2007": "mean AP at overlap .5, eleven points (VOC 2007)",
}
"""What each protocol computes, in a line."""


def check_protocols(protocols: Sequence[str]) -> None:
    """ConfigError for a protocol that does not exist, or that needs a package which is not installed."""
    for name in protocols:
        if name not in PROTOCOLS:
            raise ConfigError(f"no protocol {name!r}: {nearest(name, PROTOCOLS)}")
        if name == "coco":
            coco_metric.import_cocoeval()


def score_boxes(
    predictions: Sequence[BoxPrediction],
    ground_truth: Sequence[Boxes],
    *,
    protocol: str,
    classes: Sequence[str],
    split: str,
    weights: str,
) -> BoxScore:
    """Compare predicted boxes with labelled ones.

    Args:
        predictions: One for each image.
        ground_truth: The labelled boxes of the same images.
        protocol: A name in `PROTOCOLS`.
        classes: Names of the classes.
        split: Name of the split.
        weights: Which weights predicted.

    Returns:
        The protocol's numbers, with what they belong to.
    """
    numbers = PROTOCOLS[protocol](predictions, ground_truth, len(classes))
    pairs = zip(classes, numbers.by_class.tolist(), strict=True)
    return BoxScore(
        protocol,
        numbers.value,
        numbers.interval,
        numbers.parts,
        tuple((name, ap) for name, ap in pairs if np.isfinite(ap)),
        len(ground_truth),
        sum(int((~boxes.ignored).sum()) for boxes in ground_truth),
        split,
        weights,
    )
