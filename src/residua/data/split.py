"""Which images of every class are held out: decided by a hash of each, never by their order."""

import math

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import DataError


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
                f"class {name!r} has {len(members)} image, and needs one to train and one to judge: add one"
            )
        # 0.07 * 100 is 7.000000000000001, and its ceiling must not be 8
        count = min(max(1, math.ceil(holdout * len(members) - 1e-9)), len(members) - 1)
        mask[members[np.argsort(hashes[members], kind="stable")[:count]]] = True
    return mask
