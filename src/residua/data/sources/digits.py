"""Digits: 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn and need no download."""

import numpy as np

from residua.data.images import Images
from residua.data.listing import ListingOptions, SourceListing
from residua.data.sampler import draws
from residua.data.split import val_mask

_SPLIT_KEY = 0  # seed, epoch and stream of the split: it is the same in every run


def find_digits(_place: str, options: ListingOptions) -> SourceListing:
    """The digits as (N, 8, 8, 1) uint8, from 0 (paper) to 255 (ink).

    `options.val_fraction` of every class is the test part, chosen by a hash of each image's number.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * 255 / 16).astype(np.uint8)[:, :, :, None]
    labels = digits.target.astype(np.int64)
    classes = tuple("0123456789")
    hashes = (draws(_SPLIT_KEY, _SPLIT_KEY, np.arange(len(labels)), _SPLIT_KEY) * 2**53).astype(np.uint64)
    mask = val_mask(labels, hashes, val_fraction=options.val_fraction, classes=classes)
    train = Images("train", classes, labels[~mask], pixels=pixels[~mask])
    test = Images("test", classes, labels[mask], pixels=pixels[mask])
    return SourceListing("digits", train, test, f"split by hash, {options.val_fraction:.0%} held out")
