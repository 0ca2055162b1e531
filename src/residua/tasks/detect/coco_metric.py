"""Average precision (AP) of COCO, computed from detections and ground truth in memory.

faster-coco-eval computes it where it is installed, else pycocotools; both give the same numbers.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.boxes import Boxes
from residua.errors import ConfigError
from residua.tasks.detect.prediction import BoxPrediction

METRIC_NAMES = (
    "AP",
    "AP50",
    "AP75",
    "AP small",
    "AP medium",
    "AP large",
    "AR 1",
    "AR 10",
    "AR 100",
    "AR small",
    "AR medium",
    "AR large",
)
"""COCO's twelve metrics in pycocotools' order. AP is the mean over IoU .50 to .95, AR is average recall."""


def coco_average_precision(
    detections: Sequence[BoxPrediction], ground_truth: Sequence[Boxes], classes: int
) -> tuple[float, tuple[tuple[str, float], ...], NDArray[np.float64]]:
    """Compute COCO's metrics.

    Args:
        detections: of each image.
        ground_truth: objects of each image, in the same order.
        classes: number of classes.

    Returns:
        AP@[.50:.95], the twelve metrics by name, and AP of each class (classes,), all in percent; NaN where
        there is no object.

    Raises:
        ConfigError: neither library is installed.
    """
    coco_eval = run_cocoeval(detections, ground_truth, classes)
    stats = coco_eval.stats.tolist()[: len(METRIC_NAMES)]
    metrics = [100 * value if value > -1 else float("nan") for value in stats]
    # axes: IoU, recall, class, area (0: all), detections an image (-1: 100); values -1 where no object is
    precision = coco_eval.eval["precision"][:, :, :, 0, -1]
    has_objects = (precision > -1).any((0, 1))
    by_class = np.where(has_objects, 100 * np.where(precision > -1, precision, 0).mean((0, 1)), np.nan)
    return metrics[0], tuple(zip(METRIC_NAMES, metrics, strict=True)), by_class


def run_cocoeval(detections: Sequence[BoxPrediction], ground_truth: Sequence[Boxes], classes: int) -> Any:
    """The library's COCOeval after `evaluate`, `accumulate` and `summarize`.

    Args:
        detections: of each image.
        ground_truth: objects of each image, in the same order.
        classes: number of classes.

    Returns:
        The COCOeval; `stats` has the twelve metrics.

    Raises:
        ConfigError: neither library is installed.
    """
    coco_class, coco_eval_class = import_cocoeval()
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print
        annotations = coco_class()
        annotations.dataset = to_coco_annotations(ground_truth, classes)
        annotations.createIndex()
        results = to_coco_results(detections)
        loaded = annotations.loadRes(results) if results else _empty_results(coco_class, annotations)
        coco_eval = coco_eval_class(annotations, loaded, "bbox")
        coco_eval.evaluate()
        coco_eval.accumulate()
        coco_eval.summarize()
    return coco_eval


def to_coco_annotations(ground_truth: Sequence[Boxes], classes: int) -> dict[str, Any]:
    """Ground truth in COCO's annotation format.

    Args:
        ground_truth: objects of each image.
        classes: number of classes.

    Returns:
        JSON values with `images`, `annotations` and `categories`, all numbered from 1; `bbox` is x, y, width
        and height in pixels.
    """
    annotations = [
        {
            "id": 0,
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": _x_y_width_height(corners),
            "area": float(area),
            "iscrowd": int(is_ignored),
        }
        for image, boxes in enumerate(ground_truth, 1)
        for corners, label, area, is_ignored in zip(
            boxes.corners.astype(np.float64), boxes.labels, boxes.areas, boxes.ignored, strict=True
        )
    ]
    return {
        "images": [{"id": image} for image in range(1, len(ground_truth) + 1)],
        "annotations": [{**annotation, "id": number} for number, annotation in enumerate(annotations, 1)],
        "categories": [{"id": label, "name": str(label)} for label in range(1, classes + 1)],
    }


def to_coco_results(detections: Sequence[BoxPrediction]) -> list[dict[str, Any]]:
    """Detections of each image in COCO's result format: one dict for each box."""
    return [
        {
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": _x_y_width_height(corners),
            "score": float(score),
        }
        for image, each in enumerate(detections, 1)
        for corners, label, score in zip(
            each.corners.astype(np.float64), each.labels, each.scores, strict=True
        )
    ]


def import_cocoeval() -> tuple[Any, Any]:
    """The classes COCO and COCOeval of faster-coco-eval or of pycocotools. ConfigError without either."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError:
        return _import_pycocotools()
    return COCO, COCOeval_faster


def _import_pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError:
        raise ConfigError(
            "COCO's metrics need pycocotools: pip install 'residua[detect]' (or 'residua[boxes]', which is "
            "faster), or give --views voc"
        ) from None
    return COCO, COCOeval


def _x_y_width_height(corners: NDArray[np.float64]) -> list[float]:
    x1, y1, x2, y2 = corners
    return [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]


def _empty_results(coco_class: Any, annotations: Any) -> Any:
    """Results without a detection, which `loadRes` cannot read."""
    results = coco_class()
    results.dataset = {**annotations.dataset, "annotations": []}
    results.createIndex()
    return results
