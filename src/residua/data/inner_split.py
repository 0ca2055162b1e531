"""A part of the training images that chooses the weights of a run, so that the test images choose nothing."""

from dataclasses import replace
from typing import Any

import numpy as np

from residua.data.images import ImageDataset
from residua.data.listing import name_hashes
from residua.data.split import val_mask
from residua.errors import ConfigError

NAME = "held-out"
"""Name of that part in messages and reports."""


def split_training(dataset: Any, fraction: float) -> Any:
    """`dataset` with training images held out in the place of its test images; as it is for 0.

    The held-out images are chosen by the hash of their names, so that every process and every resume hold out
    the same.

    Args:
        dataset: The opened data of a run.
        fraction: Share of each class of the training images, from 0 to below 1.

    Returns:
        The dataset that training sees: it never contains a test image.

    Raises:
        ConfigError: The data are no images.
        DataError: A class has a single training image.
    """
    if not fraction:
        return dataset
    if not isinstance(dataset, ImageDataset):
        raise ConfigError("data.inner_val_fraction holds out training images: leave it 0 for other data")
    images = dataset.train
    hashes = name_hashes([images.title(i) for i in range(len(images))])
    mask = val_mask(images.labels, hashes, val_fraction=fraction, classes=images.classes)
    held_out = replace(images.subset(np.flatnonzero(mask)), name=NAME)
    return replace(dataset, train=images.subset(np.flatnonzero(~mask)), test=held_out)
