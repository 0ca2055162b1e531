"""Average precision as COCO measures it: by pycocotools, given what we hold in memory."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.boxes import Boxes
from residua.tasks.detect.found import Detections

NAMES = (
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
"""The twelve numbers, in pycocotools' order."""


def measured(
    found: Sequence[Detections], truth: Sequence[Boxes], classes: int
) -> tuple[float, tuple[tuple[str, float], ...], NDArray[np.float64]]:
    """AP@[.5,.95], the twelve numbers by name, and AP of each class, in percent; NaN without objects.

    ValueError when pycocotools is not installed.
    """
    judge = evaluated(found, truth, classes)
    numbers = [100 * value if value > -1 else float("nan") for value in judge.stats.tolist()]
    # overlaps, recalls, classes, areas, most boxes: all areas, 100 boxes; -1 where a class has no object
    each = judge.eval["precision"][:, :, :, 0, -1]
    present = (each > -1).any((0, 1))
    by_class = np.where(present, 100 * np.where(each > -1, each, 0).mean((0, 1)), np.nan)
    return numbers[0], tuple(zip(NAMES, numbers, strict=True)), by_class


def evaluated(found: Sequence[Detections], truth: Sequence[Boxes], classes: int) -> Any:
    """pycocotools' COCOeval of `found` against `truth`, image by image, after `summarize`."""
    coco, judge_of = official()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        held = coco()
        held.dataset = as_coco(truth, classes)
        held.createIndex()
        answers = as_results(found)
        said = held.loadRes(answers) if answers else _nothing(coco, held)
        judge = judge_of(held, said, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


def as_coco(truth: Sequence[Boxes], classes: int) -> dict[str, Any]:
    """`truth` as the JSON values of an annotation file; images and classes are counted from 1."""
    marks = [
        {
            "id": 0,
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])],
            "area": float(area),
            "iscrowd": int(aside),
        }
        for image, boxes in enumerate(truth, 1)
        for box, label, area, aside in zip(
            boxes.corners.astype(np.float64), boxes.labels, boxes.areas, boxes.aside, strict=True
        )
    ]
    return {
        "images": [{"id": image} for image in range(1, len(truth) + 1)],
        "annotations": [{**mark, "id": number} for number, mark in enumerate(marks, 1)],
        "categories": [{"id": label, "name": str(label)} for label in range(1, classes + 1)],
    }


def as_results(found: Sequence[Detections]) -> list[dict[str, Any]]:
    """`found` as COCO's result format: bbox is left, top, width and height."""
    return [
        {
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])],
            "score": float(sure),
        }
        for image, one in enumerate(found, 1)
        for box, label, sure in zip(one.corners.astype(np.float64), one.labels, one.scores, strict=True)
    ]


def official() -> tuple[Any, Any]:
    """pycocotools' COCO and COCOeval. ValueError, naming the extra, where it is not installed."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError:
        raise ValueError(
            "COCO's metric needs pycocotools: pip install 'residua[detect]', or give --views voc"
        ) from None
    return COCO, COCOeval


def _nothing(coco: Any, held: Any) -> Any:
    """No result at all, which `loadRes` cannot read."""
    said = coco()
    said.dataset = {**held.dataset, "annotations": []}
    said.createIndex()
    return said
