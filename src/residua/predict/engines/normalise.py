"""Normalise views without torch, for engines whose graph reads float32; the rule is that of `Preprocess`."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from residua.spec.preprocess import Preprocess


def normalise_views(views: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    """Normalise pixels: (value / 255 - mean) / std.

    Args:
        views: Views (n, C, S, S).
        preprocess: Mean and standard deviation of each channel, or a mean image.

    Returns:
        (n, C, S, S).
    """
    mean, std = statistics(preprocess, views.shape[-1])
    inputs = views.astype(np.float32)
    inputs -= mean
    inputs /= std
    return inputs


@lru_cache(maxsize=8)
def statistics(preprocess: Preprocess, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation on the scale of pixels (0 to 255).

    Args:
        preprocess: What they are taken from.
        size: Side of the views, in pixels.

    Returns:
        The mean, (C, 1, 1) or of a mean image (C, size, size), and the standard deviation, (C, 1, 1).
    """
    mean, std = (
        np.array(values, np.float32)[:, None, None] * 255 for values in (preprocess.mean, preprocess.std)
    )
    if side := preprocess.mean_side:
        levels = np.frombuffer(preprocess.levels, np.uint8).reshape(-1, side, side)
        mean = np.stack([_resized(channel, size) for channel in levels])
    return mean, std


def _resized(channel: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """A channel of a mean image resized to `size`: bilinear, without antialias, as `normalise` of torch."""
    side = len(channel)
    places = np.clip((np.arange(size) + 0.5) * (side / size) - 0.5, 0, side - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, side - 1)
    share = (places - low).astype(np.float32)
    rows = channel[low] * (1 - share)[:, None] + channel[high] * share[:, None]
    columns: NDArray[np.float32] = rows[:, low] * (1 - share) + rows[:, high] * share
    return columns
