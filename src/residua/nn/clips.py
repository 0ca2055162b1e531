"""Segments of a clip: rows of the batch inside a network, averaged logits behind it; memory formats."""

import torch
from torch import Tensor

from residua.errors import ConfigError
from residua.spec.amount import quantity
from residua.spec.arch import Arch
from residua.spec.clip import Clip


def fold_segments(x: Tensor, arch: Arch) -> Tensor:
    """The input of the stem, with every segment as a row of the batch.

    Args:
        x: Clips (N, C, T, H, W) of S segments, or images (N, C, H, W) for a network without a clip.
        arch: The network.

    Returns:
        (N S, C, T/S, H, W); (N S, C, H, W) if the network reads one frame of each segment; images unchanged.

    Raises:
        ConfigError: The frames do not divide into the segments, or `x` is images where clips are needed.
    """
    clip = arch.clip
    if clip is None:
        return x
    if isinstance(x, Tensor):  # a proxy of torch.fx has no shape yet
        _check_frames(x, arch, clip)
    if not arch.has_time:
        return _as_rows(x.movedim(2, 1))
    if clip.segments == 1:
        return x
    return _as_rows(torch.unflatten(x, 2, (clip.segments, x.shape[2] // clip.segments)).movedim(2, 1))


def _check_frames(x: Tensor, arch: Arch, clip: Clip) -> None:
    if x.ndim != 5:
        raise ConfigError(f"{arch.name} reads clips (N, C, T, H, W): got a tensor of shape {tuple(x.shape)}")
    frames = x.shape[2]
    if frames % clip.segments or (clip.frames == 1 and frames != clip.segments):
        raise ConfigError(
            f"{arch.name} reads {quantity(clip.segments, 'segment')}, which "
            f"{quantity(frames, 'frame')} cannot fill: "
            f"give {quantity(clip.total, 'frame')}, or change its clip"
        )


def _as_rows(x: Tensor) -> Tensor:
    """(N, S, ...) -> (N S, ...), without a copy where the memory allows."""
    return x.flatten(0, 1)


def average_segments(x: Tensor, arch: Arch) -> Tensor:
    """Logits (N S, classes) -> (N, classes), the mean over the segments of each clip."""
    return x if arch.segments == 1 else torch.unflatten(x, 0, (-1, arch.segments)).mean(1)


def layout(form: str, axes: int) -> torch.memory_format:
    """torch's memory format for a name of `Plan.memory_format`; `axes` is 4 for images, 5 for clips."""
    if form != "channels_last":
        return torch.contiguous_format
    return torch.channels_last_3d if axes == 5 else torch.channels_last
