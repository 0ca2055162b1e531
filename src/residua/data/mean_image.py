"""The mean image of a dataset, for networks that subtract it (He et al. 2015, section 4.2)."""

import numpy as np

from residua.data.eval_view import eval_view
from residua.data.images import Images
from residua.spec.preprocess import Preprocess, packed

MAX_IMAGES = 10_000
"""Files that are read at most: enough for a mean that is right to about one grey level."""


def compute_mean_image(images: Images, preprocess: Preprocess) -> str:
    """Compute the mean of the evaluation views of a split.

    Args:
        images: The split. Of more than `MAX_IMAGES` files, every k-th is read.
        preprocess: Size and colour of the views.

    Returns:
        The mean (C, S, S) uint8 as text, for `Preprocess.mean_image`.

    Raises:
        DataError: An image cannot be decoded; the message names it.
    """
    step = 1 if images.pixels is not None else -(-len(images) // MAX_IMAGES)
    chosen = range(0, len(images), step)
    total = np.zeros((preprocess.channels, preprocess.size, preprocess.size))
    for index in chosen:
        total += eval_view(images.image(index, preprocess.colour), preprocess)
    return packed((total / len(chosen)).round().astype(np.uint8).tobytes())
