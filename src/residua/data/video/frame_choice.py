"""Moments: which frames of a video a network reads, by chance in training, by rule in judging."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from residua.data.sampler import MOMENT, draws
from residua.spec.clip import Clip

MIDDLE = 0.5
"""Where a single clip is taken from: the middle of the video, or of each of its stretches."""


def chosen(clip: Clip, count: int, shares: Sequence[float] | NDArray[np.float64]) -> list[int]:
    """Numbers of the `clip.total` frames that are taken of a video of `count` frames.

    `shares`, from 0 to 1, say where: with a stride, one for each segment, the first frame of which lies that
    far between the earliest and the latest that fit; without one, one for each frame, inside its own part of
    the stretch. Where a video is too short, its last frame stays.
    """
    if not clip.stride:
        parts = count / clip.total
        return [min(count - 1, int((k + share) * parts)) for k, share in enumerate(shares)]
    numbers = []
    for segment, share in enumerate(shares):
        start, stop = (count * edge // clip.segments for edge in (segment, segment + 1))
        room = max(0, stop - start - clip.span)
        first = start + min(room, int(share * (room + 1)))
        numbers += [min(count - 1, first + k * clip.stride) for k in range(clip.frames)]
    return numbers


def draws_of(clip: Clip) -> int:
    """Numbers of chance that `chosen` wants."""
    return clip.segments if clip.stride else clip.total


def at_random(clip: Clip, seed: int, epoch: int, index: int) -> list[float]:
    """The shares of one video in one epoch, keyed by (seed, epoch, index)."""
    where = np.array([index])
    return [float(draws(seed, epoch, where, MOMENT + k)[0]) for k in range(draws_of(clip))]


def at(clip: Clip, share: float) -> list[float]:
    """The same share for all."""
    return [share] * draws_of(clip)


def spread(views: int) -> list[float]:
    """Shares of `views` clips of one video, from its beginning to its end; of one, the middle."""
    return [MIDDLE] if views == 1 else [k / (views - 1) for k in range(views)]
