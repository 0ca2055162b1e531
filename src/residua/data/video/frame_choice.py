"""Which frames of a video a network reads: at random positions in training, at fixed ones in evaluation.

A position is a number from 0 to 1: how far a sequence of frames lies between its earliest and its latest
place.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from residua.data.sampler import CLIP_POSITION, draws
from residua.spec.clip import Clip

MIDDLE = 0.5
"""Position of a single clip: the middle of the video, or of each of its segments."""


def frame_numbers(clip: Clip, count: int, positions: Sequence[float] | NDArray[np.float64]) -> list[int]:
    """The frames of one clip.

    Args:
        clip: Frames, stride and segments that the network reads.
        count: Number of frames in the video.
        positions: `position_count(clip)` numbers from 0 to 1. With a stride, one for each segment: where its
            first frame lies between the earliest and the latest that fit. Without a stride, one for each
            frame: where it lies in its own part of the video.

    Returns:
        `clip.total` frame numbers from 0. Where the video is too short, its last frame repeats.
    """
    if not clip.stride:
        part = count / clip.total
        return [min(count - 1, int((k + position) * part)) for k, position in enumerate(positions)]
    numbers = []
    for segment, position in enumerate(positions):
        start, stop = (count * edge // clip.segments for edge in (segment, segment + 1))
        room = max(0, stop - start - clip.span)
        first = start + min(room, int(position * (room + 1)))
        numbers += [min(count - 1, first + k * clip.stride) for k in range(clip.frames)]
    return numbers


def position_count(clip: Clip) -> int:
    """How many positions `frame_numbers` takes."""
    return clip.segments if clip.stride else clip.total


def random_positions(clip: Clip, seed: int, epoch: int, index: int) -> list[float]:
    """Positions of video `index` in one epoch; they depend on (seed, epoch, index) alone.

    Args:
        clip: Frames, stride and segments that the network reads.
        seed: Seed of the run.
        epoch: Epoch from 0.
        index: Index of the video in its split, from 0.

    Returns:
        `position_count(clip)` uniform numbers in [0, 1), for `frame_numbers`.
    """
    where = np.array([index])
    return [float(draws(seed, epoch, where, CLIP_POSITION + k)[0]) for k in range(position_count(clip))]


def equal_positions(clip: Clip, position: float) -> list[float]:
    """The same position for every segment or frame."""
    return [position] * position_count(clip)


def even_positions(views: int) -> list[float]:
    """Positions of `views` clips, from the beginning of a video to its end; of one clip, the middle."""
    return [MIDDLE] if views == 1 else [k / (views - 1) for k in range(views)]


def evenly_spaced_frames(length: int, count: int) -> list[int]:
    """Numbers of `count` frames, from the first to the last of `length`."""
    return [round(position * (length - 1)) for position in even_positions(count)]
