"""Boxes: the labelled objects of one image, checks of boxes, and their overlap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]
"""Left, top, right and bottom of a box, in pixels; right and bottom lie behind the last pixel."""


@dataclass(frozen=True, eq=False, slots=True)
class Boxes:
    """The n labelled boxes of one image, in the order of its annotation file."""

    corners: NDArray[np.float32]
    """Left, top, right and bottom of each in pixels of the upright image: (n, 4)."""
    labels: NDArray[np.int64]
    """Class of each, from 0: (n,)."""
    ignored: NDArray[np.bool_]
    """Boxes excluded from training and scores, VOC's `difficult` and COCO's `iscrowd`: (n,) bool."""
    areas: NDArray[np.float64]
    """Area of each in square pixels, in COCO that of the segmentation: (n,)."""

    @classmethod
    def of(
        cls,
        corners: Sequence[Corners],
        labels: Sequence[int],
        ignored: Sequence[bool] = (),
        areas: Sequence[float] = (),
    ) -> "Boxes":
        """Boxes from lists; by default none is ignored, and areas are those of the boxes."""
        array = np.asarray(corners, np.float64).reshape(-1, 4)
        own = (array[:, 2] - array[:, 0]) * (array[:, 3] - array[:, 1])
        return cls(
            array.astype(np.float32),
            np.asarray(labels, np.int64).reshape(-1),
            np.asarray(ignored or [False] * len(array), np.bool_),
            np.asarray(areas if len(areas) else own, np.float64),
        )

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.labels)

    def select(self, which: NDArray[Any]) -> "Boxes":
        """The boxes at `which`, a mask or indices."""
        return Boxes(self.corners[which], self.labels[which], self.ignored[which], self.areas[which])

    def with_corners(self, corners: NDArray[np.float32]) -> "Boxes":
        """The same objects with other `corners`, (n, 4); areas stay as annotated."""
        return Boxes(corners.astype(np.float32), self.labels, self.ignored, self.areas)


def box_fault(corners: Corners, width: int, height: int) -> str:
    """Why a box of an image of `width` x `height` pixels cannot be used; empty for a usable box.

    A box may leave the image by one pixel; `clip_box` cuts it.

    Args:
        corners: Left, top, right and bottom, in pixels; any of them may be NaN or infinite.
        width: Width of the image, in pixels.
        height: Height of the image, in pixels.

    Returns:
        The reason, as a clause that calls the box "it"; empty for a usable box.
    """
    left, top, right, bottom = corners
    if not all(map(math.isfinite, corners)):
        return "its numbers are not finite"
    if right <= left or bottom <= top:
        return f"it has no area ({left:g}, {top:g}, {right:g}, {bottom:g})"
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return f"it lies outside of {width} x {height} ({left:g}, {top:g}, {right:g}, {bottom:g})"
    if min(left, top) < -1 or right > width + 1 or bottom > height + 1:
        return f"it leaves {width} x {height} ({left:g}, {top:g}, {right:g}, {bottom:g})"
    return ""


def clip_box(corners: Corners, width: int, height: int) -> Corners:
    """`corners`, clipped to the image.

    Args:
        corners: Left, top, right and bottom, in pixels.
        width: Width of the image, in pixels.
        height: Height of the image, in pixels.

    Returns:
        Left, top, right and bottom, in pixels, within the image where the box overlaps it.
    """
    left, top, right, bottom = corners
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)


def box_iou(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of each box in `one`, (n, 4), with each in `other`, (m, 4): (n, m) float64."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(box[:, 2:] - box[:, :2]).prod(1) for box in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    iou: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou
