"""Clips in front of a network and behind it: segments stand in the batch, and their logits are averaged."""

import torch
from torch import Tensor

from residua.spec.arch import Arch


def fold_segments(x: Tensor, arch: Arch) -> Tensor:
    """What the stem reads: (N S, C, T/S, H, W) of clips (N, C, T, H, W) of S segments; images as they are.

    A network that reads one frame of each segment gets images (N S, C, H, W). ValueError for a clip whose
    frames do not divide into the segments, and for images where clips are read.
    """
    clip = arch.clip
    if clip is None:
        return x
    if x.ndim != 5:
        raise ValueError(f"{arch.name} reads clips (N, C, T, H, W): got a tensor of shape {tuple(x.shape)}")
    frames = x.shape[2]
    if frames % clip.segments or (clip.frames == 1 and frames != clip.segments):
        raise ValueError(
            f"{arch.name} reads {clip.segments} segments, but {frames} frames came: "
            f"give {clip.total} frames, or change its clip"
        )
    if arch.has_time:
        parts = torch.unflatten(x, 2, (clip.segments, frames // clip.segments))
        return x if clip.segments == 1 else _rows(parts.movedim(2, 1))
    return _rows(x.movedim(2, 1))


def _rows(x: Tensor) -> Tensor:
    """(N, S, ...) -> (N S, ...), without a copy where the memory allows."""
    return x.flatten(0, 1)


def average_segments(x: Tensor, arch: Arch) -> Tensor:
    """(N S, classes) -> (N, classes): the mean over the segments of each clip."""
    return x if arch.segments == 1 else torch.unflatten(x, 0, (-1, arch.segments)).mean(1)


def layout(form: str, axes: int) -> torch.memory_format:
    """torch's name for the memory format `form` of tensors with `axes` axes: 4 for images, 5 for clips."""
    if form != "channels_last":
        return torch.contiguous_format
    return torch.channels_last_3d if axes == 5 else torch.channels_last
