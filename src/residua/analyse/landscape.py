"""Loss landscape: a slice around the weights, in filter-normalised random directions (Li et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, by_network, percent
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.report.contours import contour_map, shared_levels
from residua.report.page import Figure

STEPS = 15
"""Points along each direction; odd, so that the network itself is in the middle."""
REACH = 1.0
"""Distance from the weights to the edge, in lengths of a filter."""
IMAGES = 128
"""Images at most: the loss is measured hundreds of times."""
BATCH = 250
"""Images in a batch."""
LEAST_LOSS = 0.01
"""Lowest line of a figure, in nats: below it a network hardly errs, and lines would crowd."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Loss on a square of two random directions."""

    places: tuple[float, ...]
    """Steps along either direction, in lengths of a filter; 0 is the network."""
    losses: tuple[tuple[float, ...], ...]
    """Mean cross-entropy in nats; rows by the second direction, columns by the first."""

    @property
    def center(self) -> float:
        """Loss of the network itself, in nats."""
        middle = len(self.places) // 2
        return self.losses[middle][middle]

    @property
    def flat(self) -> float:
        """Share of the square where the loss is less than one nat above the centre's: larger is flatter."""
        losses = [loss for row in self.losses for loss in row]
        return sum(loss < self.center + 1 for loss in losses) / len(losses)


def loss_slice(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = STEPS,
    reach: float = REACH,
    seed: int = 0,
) -> Slice:
    """Measure the loss on a square around the weights, in eval mode.

    Args:
        network: Any trained network.
        images: (N, C, H, W) float, preprocessed.
        labels: (N,) int.
        steps: Points along each direction, odd.
        reach: Distance from the weights to the edge, in lengths of a filter.
        seed: Of the two directions.

    Returns:
        `steps` x `steps` losses.

    Raises:
        ConfigError: `steps` is even, and the square has no centre.
    """
    if steps < 3 or steps % 2 == 0:
        raise ConfigError(f"{steps} steps: give an odd number above 2, so that the network is in the middle")
    places = torch.linspace(-reach, reach, steps).tolist()
    with working_copy(network) as work, torch.inference_mode():
        weights = [p for p in work.parameters() if p.ndim > 1]
        start = [p.clone() for p in weights]
        generator = torch.Generator().manual_seed(seed)
        across, up = (random_directions(start, generator) for _ in range(2))
        rows = []
        for y in places:
            row = []
            for x in places:
                for p, w, a, b in zip(weights, start, across, up, strict=True):
                    p.copy_(w + x * a + y * b)
                row.append(_mean_loss(work, images, labels))
            rows.append(tuple(row))
    return Slice(tuple(places), tuple(rows))


def random_directions(weights: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """A random direction for each of `weights`, in which every filter has the norm of the network's own."""
    directions = []
    for weight in weights:
        noise = torch.randn(weight.shape, generator=generator).to(weight.device)
        lengths = noise.flatten(1).norm(dim=1).clamp_min(1e-12)
        scale = weight.flatten(1).norm(dim=1) / lengths
        directions.append(noise * scale.view(-1, *[1] * (weight.ndim - 1)))
    return directions


def draw(results: Mapping[str, Slice], colours: Colours) -> tuple[Figure, ...]:
    """For each network lines of equal loss; all networks share the levels of the lines, and so one scale."""
    losses = [loss for one in results.values() for row in one.losses for loss in row]
    levels = shared_levels(max(min(losses), LEAST_LOSS), max(*losses, 2 * LEAST_LOSS))
    figures = []
    for name, one in results.items():
        svg = contour_map(
            one.losses, one.places, levels, x="first direction (filter lengths)", y="second direction"
        )
        caption = (
            f"{name}: lines of equal loss, in nats, the same for all networks; stronger ones are higher. "
            "The dot is the network. A step of 1 is the length of each filter."
        )
        figures.append(Figure(svg, caption, f"{name}: loss {one.center:.3g} at the centre."))
    return tuple(figures)


def summarise(results: Mapping[str, Slice]) -> str:
    """The loss at the centre, and how much of the square is within one nat of it."""
    texts = {n: f"{one.center:.3g} nats, {percent(100 * one.flat)}" for n, one in results.items()}
    return f"Loss at the network, and share of the square within one nat of it: {by_network(texts)}."


def _mean_loss(network: Network, images: Tensor, labels: Tensor) -> float:
    total = 0.0
    for batch, truth in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
        total += float(cross_entropy(network(batch).double(), truth, reduction="sum"))
    return min(total / len(labels), 1e6)  # far out the loss may be infinite, which no figure can show


def _measure(subject: Subject) -> Slice:
    return loss_slice(subject.network, subject.inputs[:IMAGES], subject.labels[:IMAGES])


STUDY = Study(
    "landscape",
    title="Loss landscape around the weights",
    measures="loss on a square of two random directions with filter normalisation",
    source="Li et al. 2018",
    needs=Needs.TRAINING,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="In the two random directions every filter has the norm of the network's own, so that "
    "networks of different scale can be compared (Li et al. 2018). Where lines are far apart the "
    "weights may move far before the loss rises; a narrow or ragged basin gave training little "
    "room. These are two directions of millions: another seed gives another slice. Norms keep "
    "their statistics.",
)
