"""Whether x_L = x_l + sum of F holds, forward and backward (He et al. 2016, 2), and where it does not."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.analyse.copies import twin_of
from residua.analyse.gradients import blocks, joined, start
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network


@dataclass(frozen=True, slots=True)
class Span:
    """Blocks in a row whose shortcut is the identity, and how well the sum describes them."""

    name: str
    """First and last block: `stages.0.1 to stages.0.8`."""
    words: tuple[str, ...]
    """The blocks' words."""
    errors: tuple[float, ...]
    """After each block, ||x_L - (x_l + sum F)|| / ||x_L||; only rounding where nothing is on the path."""
    gradient_error: float
    """||dE/dx_l - dE/dx_L (1 + d sum F / dx_l)|| / ||dE/dx_l|| over the whole span."""
    share: float
    """||dE/dx_L|| / ||dE/dx_l||: how much of the gradient comes by the "1" alone; nothing bounds it."""


def identity_errors(network: Network, images: Tensor, labels: Tensor) -> tuple[Span, ...]:
    """One Span per run of blocks with identity shortcuts, in eval mode and float64.

    `images` are normalised (N, C, H, W), `labels` (N,). ValueError where no shortcut is the identity.
    """
    with twin_of(network, dtype=torch.float64) as twin, torch.enable_grad():
        spans = list(_spans(twin))
        if not spans:
            raise ValueError(f"{network.arch.name} has no identity shortcut: choose a residual network")
        maps, branches = _walk(twin, images.double())
        gradients = torch.autograd.grad(
            cross_entropy(twin.forward_head(twin.tail(maps[-1])), labels), maps, retain_graph=True
        )
        words = [block.word for block in network.arch.blocks()]
        names = [f"stages.{s}.{b}" for s, stage in enumerate(network.arch.stages) for b in range(len(stage))]
        found = []
        for first, last in spans:
            errors = []
            total = torch.zeros_like(maps[first])
            for place in range(first, last):
                total = total + branches[place]
                errors.append(_distance(maps[place + 1], maps[first] + total))
            end, begin = gradients[last], gradients[first]
            (through,) = torch.autograd.grad(total, maps[first], end, retain_graph=True)
            found.append(
                Span(
                    f"{names[first]} to {names[last - 1]}",
                    tuple(words[first:last]),
                    tuple(errors),
                    _distance(begin, end + through),
                    float(end.norm() / begin.norm()),
                )
            )
    return tuple(found)


def _spans(network: Network) -> Iterator[tuple[int, int]]:
    """First block and the one after the last of every run of identity shortcuts."""
    start, place = -1, -1
    for place, block in enumerate(blocks(network)):
        shortcut = block.shortcut if isinstance(block, ResidualBlock) else None
        is_identity = shortcut is not None and len(shortcut) == 0
        if is_identity and start < 0:
            start = place
        if not is_identity and start >= 0:
            yield start, place
            start = -1
    if start >= 0:
        yield start, place + 1


def _walk(network: Network, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """What goes into each block and out of the last, and what each residual branch adds (0 without one)."""
    x = start(network, images).requires_grad_()
    maps, branches = [x], []
    for block in blocks(network):
        if isinstance(block, ResidualBlock) and block.residual is not None and block.shortcut is not None:
            fork = block.before(x)
            branch = block.residual(fork)
            x = joined(block, fork, branch, block.shortcut(fork))
        else:
            x = block(x)
            branch = torch.zeros_like(x)
        maps.append(x)
        branches.append(branch)
    return maps, branches


def _distance(true: Tensor, told: Tensor) -> float:
    return float((true - told).detach().norm() / true.detach().norm())
