"""Splits decided by a hash of each example and never by its position: a validation part, or folds."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from residua.errors import DataError

VAL_FRACTION = 0.2
"""Default share of every class that is held out, as in `spec.recipe.Data.val_fraction`."""


def val_mask(
    labels: NDArray[np.int64], hashes: NDArray[np.uint64], *, val_fraction: float, classes: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Choose the validation images: of each class the share `val_fraction` with the smallest hashes.

    Every class keeps at least one image in both parts.

    Args:
        labels: class of each image, (N,).
        hashes: hash of each image, (N,).
        val_fraction: share of every class, between 0 and 1.
        classes: class names, for the message.

    Returns:
        (N,) bool, true for validation images.

    Raises:
        DataError: for a class with fewer than two images.
    """
    mask = np.zeros(len(labels), bool)
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise DataError(
                f"class {name!r} has {len(members)} example: add more, training and validation need one each"
            )
        # 0.07 * 100 is 7.000000000000001, and its ceiling must not be 8
        count = min(max(1, math.ceil(val_fraction * len(members) - 1e-9)), len(members) - 1)
        mask[members[np.argsort(hashes[members], kind="stable")[:count]]] = True
    return mask


def fold_numbers(
    labels: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    *,
    count: int,
    together: Iterable[Sequence[int]] = (),
) -> NDArray[np.int64]:
    """Assign images to the folds of a stratified cross-validation.

    Args:
        labels: class of each image, (N,).
        hashes: hash of each image, (N,).
        count: number of folds.
        together: groups of image indices that share a fold, e.g. copies of one photograph.

    Returns:
        Fold of each image, (N,) int64 from 0 to `count` - 1; every class is spread evenly.
    """
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        fold[members[np.argsort(hashes[members], kind="stable")]] = np.arange(len(members)) % count
    for group in together:
        fold[list(group)] = fold[group[0]]
    return fold
