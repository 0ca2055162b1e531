"""Which images of every class are held out, once or in turn: a hash of each decides, never their order."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from residua.errors import DataError

SHARE = 0.2
"""Of every class is held out when nobody says otherwise: what `Data.holdout` says."""


def held_out(
    labels: NDArray[np.int64], hashes: NDArray[np.uint64], *, holdout: float, classes: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Mask (N,) of the images kept from training: of each class the share `holdout` with the smallest hashes.

    Every class keeps an image on both sides; DataError names a class that has only one.
    """
    mask = np.zeros(len(labels), bool)
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise DataError(
                f"class {name!r} has {len(members)} example, and needs one to train and one to judge: add one"
            )
        # 0.07 * 100 is 7.000000000000001, and its ceiling must not be 8
        count = min(max(1, math.ceil(holdout * len(members) - 1e-9)), len(members) - 1)
        mask[members[np.argsort(hashes[members], kind="stable")[:count]]] = True
    return mask


def folds(
    labels: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    *,
    count: int,
    together: Iterable[Sequence[int]] = (),
) -> NDArray[np.int64]:
    """The fold of each image, (N,) from 0 to `count` - 1: every class in equal parts.

    The places of each group in `together` get one fold: a copy that was learned from would be no test.
    """
    found = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        found[members[np.argsort(hashes[members], kind="stable")]] = np.arange(len(members)) % count
    for group in together:
        found[list(group)] = found[group[0]]
    return found
