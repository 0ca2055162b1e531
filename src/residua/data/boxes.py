"""Boxes: what is marked in one image, and what is wrong with a mark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]
"""Left, top, right and bottom of a box, in pixels; right and bottom are where it ends."""


@dataclass(frozen=True, eq=False, slots=True)
class Boxes:
    """The n objects marked in one image, in the order of its file."""

    corners: NDArray[np.float32]
    """Left, top, right and bottom of each in pixels of the upright image: (n, 4)."""
    labels: NDArray[np.int64]
    """Class of each, from 0: (n,)."""
    aside: NDArray[np.bool_]
    """Whether each is neither learned nor counted: VOC's `difficult`, COCO's `iscrowd`: (n,)."""
    areas: NDArray[np.float64]
    """Area of each in square pixels; COCO's is that of the object's outline: (n,)."""

    @classmethod
    def of(
        cls,
        corners: Sequence[Corners],
        labels: Sequence[int],
        aside: Sequence[bool] = (),
        areas: Sequence[float] = (),
    ) -> "Boxes":
        """These boxes; none is set aside, and their areas are their own, unless given."""
        found = np.asarray(corners, np.float64).reshape(-1, 4)
        own = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
        return cls(
            found.astype(np.float32),
            np.asarray(labels, np.int64).reshape(-1),
            np.asarray(aside or [False] * len(found), np.bool_),
            np.asarray(areas if len(areas) else own, np.float64),
        )

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.labels)

    def chosen(self, which: NDArray[Any]) -> "Boxes":
        """Those at `which`, a mask or places."""
        return Boxes(self.corners[which], self.labels[which], self.aside[which], self.areas[which])

    def moved(self, corners: NDArray[np.float32]) -> "Boxes":
        """The same objects at other `corners` (n, 4); areas stay those of the file."""
        return Boxes(corners.astype(np.float32), self.labels, self.aside, self.areas)


def box_fault(corners: Corners, width: int, height: int) -> str:
    """Why a box cannot be used, in a few words; empty when it can, if need be cut off at the image's edge."""
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
    """`corners` cut off at the image's edge."""
    left, top, right, bottom = corners
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)


def box_iou(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of every box of `one` (n, 4) with every one of `other` (m, 4): (n, m)."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(box[:, 2:] - box[:, :2]).prod(1) for box in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    found: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found
