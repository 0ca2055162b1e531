"""Average precision as PASCAL VOC measures it (Everingham et al. 2010, 4.2; its development kit)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from residua.data.boxes import Boxes, overlaps
from residua.measure import resample
from residua.tasks.detect.found import Detections

Area = Literal["area", "eleven"]
"""The area under the curve (2010 on), or the mean of eleven points of it (to 2009)."""
OVERLAP = 0.5
"""Least intersection over union at which a detection is right."""


@dataclass(frozen=True, eq=False, slots=True)
class Ranked:
    """The n detections of one class in N images, the surest first, without those on objects set aside."""

    right: NDArray[np.bool_]
    """Whether each found an object that no surer one had found: (n,)."""
    images: NDArray[np.int64]
    """In which image: (n,)."""
    scores: NDArray[np.float32]
    """How sure it was: (n,)."""
    objects: NDArray[np.int64]
    """Objects of the class in each image: (N,)."""

    def curve(
        self, times: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recall and precision after each detection: two of (n,). Image i counts `times[i]` times."""
        many = np.ones(len(self.objects), np.int64) if times is None else times
        weight = many[self.images]
        right, seen = np.cumsum(weight * self.right), np.cumsum(weight)
        return right / max(1, (many * self.objects).sum()), right / np.maximum(seen, 1)

    def precision(self, how: Area, times: NDArray[np.int64] | None = None) -> float:
        """Average precision from 0 to 1; NaN where there is no object."""
        many = self.objects if times is None else times * self.objects
        if not many.sum():
            return float("nan")
        recall, precision = self.curve(times)
        return _area(recall, precision) if how == "area" else _eleven(recall, precision)


def ranked(
    found: Sequence[Detections], truth: Sequence[Boxes], label: int, overlap: float = OVERLAP
) -> Ranked:
    """The detections of class `label`, and whether each is right.

    The surest first, each takes the object of its class that it overlaps most, if by `overlap` or more and if
    it is free; a second one that does is wrong. Objects set aside count neither way.
    """
    objects = [boxes.chosen(boxes.labels == label) for boxes in truth]
    mine = [one.chosen(one.labels == label) for one in found]
    said = [verdicts(one, other, overlap)[0] for one, other in zip(mine, objects, strict=True)]
    scores = np.concatenate([np.zeros(0, np.float32), *(one.scores for one in mine)])
    every = np.concatenate([np.zeros(0, np.int64), *said])
    images = np.repeat(np.arange(len(mine)), [len(one) for one in mine])
    order = np.argsort(-scores, kind="stable")
    order = order[every[order] != 0]
    counts = np.array([int((~boxes.aside).sum()) for boxes in objects])
    return Ranked(every[order] > 0, images[order], scores[order], counts)


def every_class(found: Sequence[Detections], truth: Sequence[Boxes], classes: int) -> list[Ranked]:
    """`ranked` of each class."""
    return [ranked(found, truth, label) for label in range(classes)]


def average_precisions(several: Sequence[Ranked], how: Area = "area") -> NDArray[np.float64]:
    """AP of each class in percent; NaN for one without objects: (classes,)."""
    return np.array([100 * each.precision(how) for each in several])


def interval(several: Sequence[Ranked], how: Area = "area") -> tuple[float, float]:
    """95 % interval of the mean of `average_precisions`, images drawn with replacement."""
    count = len(several[0].objects)

    def drawn(places: NDArray[np.int64]) -> float:
        times = np.bincount(places, minlength=count)
        values = np.array([100 * each.precision(how, times) for each in several])
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    return resample.statistic(drawn, count)


def verdicts(
    found: Detections, objects: Boxes, overlap: float = OVERLAP
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """1 for right, -1 for wrong, 0 for on an object set aside, of each detection of one class: (n,).

    And which of the `objects`, of that class alone, were found.
    """
    shared = overlaps(found.corners, objects.corners)
    said = np.full(len(found), -1)
    taken = np.zeros(len(objects), bool)
    for i in np.argsort(-found.scores, kind="stable").tolist():
        if not len(objects) or shared[i].max() < overlap:
            continue
        nearest = int(shared[i].argmax())
        said[i] = 0 if objects.aside[nearest] else -1 if taken[nearest] else 1
        taken[nearest] = True
    return said, taken


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """The area under the curve once no precision is lower than a later one."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _eleven(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """The mean, over recalls 0, 0.1, ... 1, of the best precision at that recall or beyond."""
    points = [precision[recall >= point] for point in np.arange(11) / 10]
    return float(np.mean([part.max() if len(part) else 0.0 for part in points]))
