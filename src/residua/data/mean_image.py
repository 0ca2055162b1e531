"""The mean of every pixel of a set, for networks that subtract it."""

import numpy as np

from residua.data.images import Images
from residua.data.transforms import test_view
from residua.spec.preprocess import Preprocess, packed

MOST = 10_000
"""Files that are read for it: with so many a mean is right to about one grey level."""


def mean_image(images: Images, preprocess: Preprocess) -> str:
    """The mean of `images` as they look when they are judged, for `Preprocess.mean_image`.

    Of more than `MOST` files at most as many are read, spread evenly over the classes. DataError names what
    cannot be decoded.
    """
    step = 1 if images.pixels is not None else -(-len(images) // MOST)
    chosen = range(0, len(images), step)
    total = np.zeros((preprocess.channels, preprocess.size, preprocess.size))
    for index in chosen:
        total += test_view(images.image(index, preprocess.colour), preprocess)
    return packed((total / len(chosen)).round().astype(np.uint8).tobytes())
