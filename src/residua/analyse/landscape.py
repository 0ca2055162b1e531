"""A slice through the loss around the weights, in directions that weigh filters alike (Li et al. 2018)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.analyse.copies import twin_of
from residua.nn.network import Network

STEPS = 15
"""Points along each direction; odd, so that the weights themselves are one."""
REACH = 1.0
"""How far from the weights, in lengths of a filter."""
BATCH = 250
"""Images at once."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Loss on a square of two random directions."""

    places: tuple[float, ...]
    """Steps along either direction, in lengths of a filter; 0 is the network."""
    losses: tuple[tuple[float, ...], ...]
    """Mean cross-entropy in nats; rows by the second direction, columns by the first."""

    @property
    def center(self) -> float:
        """Loss of the network itself."""
        middle = len(self.places) // 2
        return self.losses[middle][middle]

    @property
    def flat(self) -> float:
        """Share of the square where the loss is below the centre's plus one nat: larger is flatter."""
        every = [loss for row in self.losses for loss in row]
        return sum(loss < self.center + 1 for loss in every) / len(every)


def loss_slice(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = STEPS,
    reach: float = REACH,
    seed: int = 0,
) -> Slice:
    """Losses for `images`, normalised (N, C, H, W), and `labels` (N,), on `steps` x `steps` points.

    ValueError for an even number of steps, which has no centre.
    """
    if steps < 3 or steps % 2 == 0:
        raise ValueError(f"{steps} steps: give an odd number above 2, so that the network is in the middle")
    places = torch.linspace(-reach, reach, steps).tolist()
    with twin_of(network) as twin, torch.inference_mode():
        weights = [p for p in twin.parameters() if p.ndim > 1]
        start = [p.clone() for p in weights]
        chance = torch.Generator().manual_seed(seed)
        across, up = (directions(start, chance) for _ in range(2))
        rows = []
        for y in places:
            row = []
            for x in places:
                for p, w, a, b in zip(weights, start, across, up, strict=True):
                    p.copy_(w + x * a + y * b)
                row.append(_loss(twin, images, labels))
            rows.append(tuple(row))
    return Slice(tuple(places), tuple(rows))


def directions(weights: list[Tensor], chance: torch.Generator) -> list[Tensor]:
    """A random direction for each of `weights`, every filter of it as long as the weights' own."""
    found = []
    for weight in weights:
        drawn = torch.randn(weight.shape, generator=chance).to(weight.device)
        lengths = drawn.flatten(1).norm(dim=1).clamp_min(1e-12)
        scale = weight.flatten(1).norm(dim=1) / lengths
        found.append(drawn * scale.view(-1, *[1] * (weight.ndim - 1)))
    return found


def _loss(network: Network, images: Tensor, labels: Tensor) -> float:
    total = 0.0
    for some, truth in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
        total += float(cross_entropy(network(some).double(), truth, reduction="sum"))
    return min(total / len(labels), 1e6)  # far out the loss may be infinite, which no figure can show
