"""The effective receptive field: which pixels really move one cell of the last map (Luo et al. 2016)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from residua.analyse.copies import twin_of
from residua.nn.network import Network
from residua.spec.describe import receptive_field

DRAWS = 8
"""Random images that are averaged."""
MOST = 449
"""Side of the largest random image, in pixels; wider fields are cut off there."""
FAINT = 0.0455
"""A pixel counts that has more than this share of the strongest one's effect (Luo et al. 2016)."""


@dataclass(frozen=True, eq=False, slots=True)
class Field:
    """The effect of every pixel on the middle cell of the last map."""

    effect: Tensor
    """(S, S) float, mean absolute gradient over images and channels; its largest value is 1."""
    theoretical: int
    """Side of the square that the cell can see at all, in pixels."""
    effective: float
    """Side of a square as large as the pixels that count, in pixels."""
    is_cut: bool
    """Whether the random images were smaller than the theoretical field."""


def effective_field(network: Network, *, draws: int = DRAWS, seed: int = 0) -> Field:
    """The field for `draws` images of normal noise, in eval mode; data is not needed. ValueError
    for a network without maps.

    The gradient that enters the cell has a random sign in every channel, so that channels do not cancel.
    """
    if network.arch.is_flat:
        raise ValueError(f"{network.arch.name} has no maps: choose a convolutional network")
    theoretical = receptive_field(network.arch)
    stride = network.arch.strides()[-1]
    side = min(MOST, theoretical + 2 * stride) // stride * stride or stride
    chance = torch.Generator().manual_seed(seed)
    with twin_of(network) as twin, torch.enable_grad():
        total = torch.zeros(side, side, dtype=torch.float64)
        for _ in range(draws):
            image = torch.randn(1, network.arch.channels, side, side, generator=chance).requires_grad_()
            last = twin.forward_features(image)
            middle = last[0, :, last.shape[-2] // 2, last.shape[-1] // 2]
            signs = torch.randint(0, 2, middle.shape, generator=chance).float().mul(2).sub(1)
            (gradient,) = torch.autograd.grad(middle, image, signs)
            total += gradient[0].abs().sum(0).double()
    effect = (total / total.max().clamp_min(1e-300)).float()
    counted = int((effect > FAINT).sum())
    return Field(effect, theoretical, counted**0.5, side < theoretical)
