"""Effective receptive field: which pixels influence one cell of the last map (Luo et al. 2016)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, by_network
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.report.heat_maps import MAX_CELLS, heat_map
from residua.report.page import Figure
from residua.spec.describe import receptive_field

if TYPE_CHECKING:
    import numpy as np

DRAWS = 8
"""Random images that are averaged."""
MAX_SIDE = 449
"""Side of the largest random image, in pixels; wider fields are cut off there."""
THRESHOLD = 0.0455
"""A pixel counts if its influence is more than this share of the strongest one's (Luo et al. 2016)."""


@dataclass(frozen=True, eq=False, slots=True)
class Field:
    """The influence of every pixel on the middle cell of the last map."""

    effect: Tensor
    """(S, S) float, mean absolute gradient over images and channels; its largest value is 1."""
    theoretical: int
    """Side of the square of pixels that the cell depends on, in pixels."""
    effective: float
    """Side of a square as large as the pixels that count, in pixels."""
    is_cut: bool
    """Whether the random images were smaller than the theoretical field."""


def effective_field(network: Network, *, draws: int = DRAWS, seed: int = 0) -> Field:
    """Measure the effective receptive field with images of normal noise, in eval mode; no data is needed.

    The gradient at the cell has a random sign in every channel, so that channels do not cancel.

    Args:
        network: A convolutional network.
        draws: Random images that are averaged.
        seed: Of the images and signs.

    Returns:
        The influence of every pixel, and its extent.

    Raises:
        ConfigError: the network has no maps.
    """
    if network.arch.is_flat:
        raise ConfigError(f"{network.arch.name} has no maps: choose a convolutional network")
    theoretical = receptive_field(network.arch)
    stride = network.arch.strides()[-1]
    side = min(MAX_SIDE, theoretical + 2 * stride) // stride * stride or stride
    generator = torch.Generator().manual_seed(seed)
    with working_copy(network) as work, torch.enable_grad():
        device = next(work.parameters()).device
        total = torch.zeros(side, side, dtype=torch.float64)
        for _ in range(draws):
            noise = torch.randn(1, network.arch.channels, side, side, generator=generator)
            image = noise.to(device).requires_grad_()
            last = work.forward_features(image)
            middle = last[0, :, last.shape[-2] // 2, last.shape[-1] // 2]
            signs = torch.randint(0, 2, middle.shape, generator=generator).float().mul(2).sub(1)
            (gradient,) = torch.autograd.grad(middle, image, signs.to(device))
            total += gradient[0].abs().sum(0).double().cpu()
    effect = (total / total.max().clamp_min(1e-300)).float()
    count = int((effect > THRESHOLD).sum())
    return Field(effect, theoretical, count**0.5, side < theoretical)


def draw(results: Mapping[str, Field], colours: Colours) -> tuple[Figure, ...]:
    """For each network, the square root of every pixel's effect; a frame shows the theoretical field."""
    import numpy as np

    figures = []
    for name, one in results.items():
        effect, side = np.sqrt(_fewer_cells(one.effect.numpy())), one.effect.shape[0]
        box = 0.0 if one.theoretical >= side else one.theoretical / side
        rest = ", cut off at the edge." if one.is_cut else "; the frame is the theoretical field."
        figures.append(
            Figure(
                heat_map(effect, low="no effect", high="largest", box=box),
                f"{name}: effect of each pixel on the middle cell of the last map{rest}",
                f"{name}: a spot about {one.effective:.0f} pixels wide.",
            )
        )
    return tuple(figures)


def summarise(results: Mapping[str, Field]) -> str:
    """The effective and the theoretical side."""
    sides = {n: f"{one.effective:.0f} of {one.theoretical} pixels" for n, one in results.items()}
    return f"Effective side of the receptive field: {by_network(sides)}."


def _fewer_cells(values: "np.ndarray") -> "np.ndarray":
    """At most `MAX_CELLS` cells a side, each the mean of those it covers; a remainder is cut at the edges."""
    import numpy as np

    factor = -(-values.shape[0] // MAX_CELLS)
    side = values.shape[0] // factor
    off = (values.shape[0] - side * factor) // 2
    square = values[off : off + side * factor, off : off + side * factor]
    return np.asarray(square.reshape(side, factor, side, factor).mean((1, 3)))


def _measure(subject: Subject) -> Field:
    return effective_field(subject.network)


STUDY = Study(
    "field",
    title="Effective receptive field",
    measures="gradient of one cell of the last map by every pixel, beside the theoretical field",
    source="Luo et al. 2016",
    needs=Needs.NOTHING,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="The figure shows the gradient of one cell of the last map by every pixel, averaged over "
    "images of noise (Luo et al. 2016). The frame is the theoretical field, which follows from "
    "kernels and strides. Inside it the effect falls off like a bell, for many paths lead to the "
    "middle and few to the edge. The effective side is that of a square as large as the pixels "
    "above 4.55 % of the peak. Shades show the square root, so that faint pixels are visible.",
)
