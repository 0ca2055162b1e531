"""Weights in another shape: of an image network for clips, of a colour network for grey images."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Inflation = Literal["centre", "repeat"]
"""Where the weights of an image network go in a window of several frames: into the middle frame, with zeros
around it, or into every frame, divided by the number of frames."""


def inflate_weight(weight: Tensor, time: int, *, how: Inflation = "centre") -> Tensor:
    """A window of one frame as a window of several.

    `repeat` is I3D's rule (Carreira and Zisserman 2017, 2.1). With it, a clip that does not move gives the
    image's map only where no window reaches over the first or last frame, because it sums zeros there. With
    `centre` it does everywhere, and training can still learn motion.

    Args:
        weight: (out, in, k, k).
        time: Frames of the new window.
        how: Where the weights go.

    Returns:
        (out, in, time, k, k), of the same dtype.
    """
    if how == "repeat":
        return (weight.float()[:, :, None] / time).expand(-1, -1, time, -1, -1).to(weight.dtype).contiguous()
    shape = (*weight.shape[:2], time, *weight.shape[2:])
    inflated = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
    inflated[:, :, time // 2] = weight
    return inflated


def inflate_state(
    ours: Mapping[str, Tensor], own: Mapping[str, Tensor], *, how: Inflation = "centre"
) -> tuple[dict[str, Tensor], int]:
    """Weights of an image network with windows in time where the network for clips has them.

    Args:
        ours: Weights to load, by our names.
        own: State dict of the network that they are loaded into.
        how: Where the weights go.

    Returns:
        The new weights, and how many windows of them span several frames.
    """
    inflated, count = dict(ours), 0
    for key, weight in ours.items():
        if weight.ndim == 4 and key in own and own[key].ndim == 5:
            time = own[key].shape[2]
            inflated[key] = inflate_weight(weight, time, how=how)
            count += time > 1
    return inflated, count


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """The weights of the first convolution for another number of image channels, as timm adapts them.

    For 1 channel they are summed, so that a grey image gives the map of a colour image with three equal
    channels. For others they are repeated and scaled.

    Args:
        weight: (out, in, ...).
        channels: The new number of channels.

    Returns:
        (out, channels, ...), of the same dtype.
    """
    present = weight.shape[1]
    if channels == 1:
        return weight.float().sum(1, keepdim=True).to(weight.dtype)
    windows = [1] * (weight.ndim - 2)
    repeated = weight.float().repeat(1, -(-channels // present), *windows)[:, :channels]
    return (repeated * (present / channels)).to(weight.dtype)
