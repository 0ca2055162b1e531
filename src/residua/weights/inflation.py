"""Weights of a network for images in one for clips: windows of one frame become windows of several."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Inflation = Literal["centre", "repeat"]
"""The image's weights in the middle frame and zeros around, or in every frame, divided by their number."""


def inflated(weight: Tensor, time: int, *, how: Inflation = "centre") -> Tensor:
    """(out, in, k, k) -> (out, in, time, k, k).

    `repeat` is I3D's rule (Carreira and Zisserman 2017, 2.1). It gives a still clip the image's map only
    where no window reaches over the first or last frame, for there it sums zeros; `centre` does so
    everywhere, and is as free to learn what moves.
    """
    if how == "repeat":
        return (weight.float()[:, :, None] / time).expand(-1, -1, time, -1, -1).to(weight.dtype).contiguous()
    found = torch.zeros(*weight.shape[:2], time, *weight.shape[2:], dtype=weight.dtype, device=weight.device)
    found[:, :, time // 2] = weight
    return found


def inflate_state(
    ours: Mapping[str, Tensor], own: Mapping[str, Tensor], *, how: Inflation = "centre"
) -> tuple[dict[str, Tensor], int]:
    """`ours` with the windows that `own` has in time, and how many of them span several frames."""
    found, count = dict(ours), 0
    for key, weight in ours.items():
        if weight.ndim == 4 and key in own and own[key].ndim == 5:
            time = own[key].shape[2]
            found[key] = inflated(weight, time, how=how)
            count += time > 1
    return found, count
