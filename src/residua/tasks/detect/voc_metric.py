"""Average precision (AP) of Pascal VOC (Everingham et al. 2010, section 4.2, and its development kit)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from residua.data.boxes import Boxes, box_iou
from residua.measure import resample
from residua.tasks.detect.prediction import BoxPrediction

Interpolation = Literal["area", "eleven"]
"""AP is the area under the precision-recall curve (from 2010) or its mean at eleven recalls (to 2009)."""
IOU_THRESHOLD = 0.5
"""Least intersection over union (IoU) of a true positive with its object."""


@dataclass(frozen=True, eq=False, slots=True)
class RankedDetections:
    """The n detections of one class in N images, by descending score, without those on ignored objects."""

    is_true_positive: NDArray[np.bool_]
    """Whether each matches an object that no detection of higher score matches: (n,)."""
    image_indices: NDArray[np.int64]
    """Image of each: (n,)."""
    scores: NDArray[np.float32]
    """Score of each, from 0 to 1: (n,)."""
    object_counts: NDArray[np.int64]
    """Objects of the class in each image: (N,)."""

    def recall_precision(
        self, image_counts: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The precision-recall curve.

        Args:
            image_counts: how often each image is counted, (N,); once by default.

        Returns:
            Recall and precision among the detections up to each one, two arrays (n,) from 0 to 1.
        """
        counts = np.ones(len(self.object_counts), np.int64) if image_counts is None else image_counts
        weights = counts[self.image_indices]
        true_positives, detections = np.cumsum(weights * self.is_true_positive), np.cumsum(weights)
        objects = max(1, (counts * self.object_counts).sum())
        return true_positives / objects, true_positives / np.maximum(detections, 1)

    def average_precision(
        self, interpolation: Interpolation, image_counts: NDArray[np.int64] | None = None
    ) -> float:
        """AP of the class.

        Args:
            interpolation: how the curve becomes one number.
            image_counts: how often each image is counted, (N,); once by default.

        Returns:
            AP from 0 to 1; NaN where the class has no object.
        """
        objects = self.object_counts if image_counts is None else image_counts * self.object_counts
        if not objects.sum():
            return float("nan")
        recall, precision = self.recall_precision(image_counts)
        mean = _area_under_curve if interpolation == "area" else _eleven_point_mean
        return mean(recall, precision)


def rank_class(
    detections: Sequence[BoxPrediction],
    ground_truth: Sequence[Boxes],
    label: int,
) -> RankedDetections:
    """Sort the detections of class `label` by score and match them with objects, see `match_detections`.

    Args:
        detections: of each image.
        ground_truth: objects of each image, in the same order.
        label: the class, from 0.

    Returns:
        The detections of the class in all images.
    """
    objects = [boxes.select(boxes.labels == label) for boxes in ground_truth]
    of_class = [each.select(each.labels == label) for each in detections]
    pairs = zip(of_class, objects, strict=True)
    matches = [match_detections(one, boxes)[0] for one, boxes in pairs]
    scores = np.concatenate([np.zeros(0, np.float32), *(each.scores for each in of_class)])
    outcomes = np.concatenate([np.zeros(0, np.int64), *matches])
    images = np.repeat(np.arange(len(of_class)), [len(each) for each in of_class])
    order = np.argsort(-scores, kind="stable")
    order = order[outcomes[order] != 0]
    object_counts = np.array([int((~boxes.ignored).sum()) for boxes in objects])
    return RankedDetections(outcomes[order] > 0, images[order], scores[order], object_counts)


def rank_all_classes(
    detections: Sequence[BoxPrediction], ground_truth: Sequence[Boxes], classes: int
) -> list[RankedDetections]:
    """`rank_class` for each of the `classes`.

    Args:
        detections: of each image.
        ground_truth: objects of each image, in the same order.
        classes: number of classes.

    Returns:
        The detections of each class in all images, in the order of the classes.
    """
    return [rank_class(detections, ground_truth, label) for label in range(classes)]


def average_precisions(
    ranked: Sequence[RankedDetections], interpolation: Interpolation = "area"
) -> NDArray[np.float64]:
    """AP of each class in percent, (classes,) float64; NaN for a class without objects."""
    return np.array([100 * each.average_precision(interpolation) for each in ranked])


def bootstrap_interval(
    ranked: Sequence[RankedDetections], interpolation: Interpolation = "area"
) -> tuple[float, float]:
    """95 % interval of the mean AP over classes.

    Args:
        ranked: detections of each class, of the same images.
        interpolation: how AP is computed.

    Returns:
        Lower and upper end in percent, by resampling the images with replacement; samples without an object
        are left out.
    """
    images = len(ranked[0].object_counts)

    def resampled_map(indices: NDArray[np.int64]) -> float:
        counts = np.bincount(indices, minlength=images)
        values = np.array([100 * each.average_precision(interpolation, counts) for each in ranked])
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    return resample.statistic(resampled_map, images)


def match_detections(
    detections: BoxPrediction, objects: Boxes
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Match detections with objects of one class in one image.

    In order of descending score, each detection takes the object with which it has the largest IoU. It is a
    true positive if that IoU reaches IOU_THRESHOLD and no earlier detection took the object. Detections on
    ignored objects (`difficult`, `iscrowd`) count neither way.

    Args:
        detections: n detections.
        objects: m objects.

    Returns:
        1 for a true positive, -1 for a false positive, 0 for ignored, of each detection (n,), and whether
        each object was matched (m,).
    """
    iou = box_iou(detections.corners, objects.corners)
    outcomes = np.full(len(detections), -1)
    is_matched = np.zeros(len(objects), bool)
    for i in np.argsort(-detections.scores, kind="stable").tolist():
        if not len(objects) or iou[i].max() < IOU_THRESHOLD:
            continue
        best = int(iou[i].argmax())
        outcomes[i] = 0 if objects.ignored[best] else -1 if is_matched[best] else 1
        is_matched[best] = True
    return outcomes, is_matched


def _area_under_curve(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """The area under the curve after each precision is raised to the best one at that recall or above."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())


def _eleven_point_mean(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """The mean, over recalls 0, 0.1, ... 1, of the best precision at that recall or above."""
    points = [precision[recall >= point] for point in np.arange(11) / 10]
    return float(np.mean([part.max() if len(part) else 0.0 for part in points]))
