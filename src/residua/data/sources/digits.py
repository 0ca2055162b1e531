"""Digits: 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn and need no download."""

import numpy as np

from residua.data.images import ImageDataset, Images
from residua.data.sampler import draws
from residua.data.split import held_out

_SPLIT = 0  # seed, epoch and stream of the split: it is the same in every run


def open_digits(*, holdout: float) -> ImageDataset:
    """The digits, grey, from 0 (paper) to 255 (ink); of every class the share `holdout` is the test split."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.round(found.images * 255 / 16).astype(np.uint8)[:, :, :, None]
    labels = found.target.astype(np.int64)
    classes = tuple("0123456789")
    hashes = draws(_SPLIT, _SPLIT, np.arange(len(labels)), _SPLIT)
    mask = held_out(labels, (hashes * 2**53).astype(np.uint64), holdout=holdout, classes=classes)
    train = Images("train", classes, labels[~mask], pixels=pixels[~mask])
    test = Images("test", classes, labels[mask], pixels=pixels[mask])
    note = f"10 classes, {len(train)} train + {len(test)} test images; split by hash, {holdout:.0%} held out"
    return ImageDataset("digits", train, test, grey=True, size=8, note=note)
