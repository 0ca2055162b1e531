"""How long the paths of the gradient are: through k of n branches, around the others (Veit et al. 2016)."""

from collections.abc import Collection
from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.analyse.copies import twin_of
from residua.analyse.gradients import blocks, joined, start
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network

DRAWS = 4
"""Random paths of each length that are averaged, at most."""
LENGTHS = 16
"""Lengths that are measured, at most; the others are interpolated."""
SEED = 0
"""Of the choice of paths."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths by their length: how many there are, and what they carry."""

    lengths: tuple[int, ...]
    """0 to n residual branches."""
    counts: tuple[int, ...]
    """Paths of each length: n over k; all together 2 to the n."""
    magnitudes: tuple[float, ...]
    """Mean norm of the gradient that one such path brings to the first block; 0 where it underflows."""
    shares: tuple[float, ...]
    """Counts times magnitudes, as shares that sum to 1: the distribution of effective paths."""

    @property
    def typical(self) -> float:
        """Mean length of a path, if all counted alike: n / 2."""
        return self.lengths[-1] / 2

    @property
    def effective(self) -> float:
        """Mean length of a path, weighted by what it carries."""
        return sum(length * share for length, share in zip(self.lengths, self.shares, strict=True))


def path_lengths(network: Network, images: Tensor, labels: Tensor) -> Paths:
    """The distribution for `images`, normalised (N, C, H, W), and `labels` (N,), in eval mode.

    ValueError for a network in which nothing is skipped.
    """
    with twin_of(network, dtype=torch.float64) as twin, torch.enable_grad():
        n = sum(isinstance(b, ResidualBlock) and b.residual is not None for b in blocks(twin))
        if n < len(blocks(twin)):
            raise ValueError(f"{network.arch.name} has blocks without shortcut: choose a residual network")
        chance = np.random.default_rng(SEED)
        x = images.double()
        measured = sorted({round(k) for k in np.linspace(0, n, min(LENGTHS, n + 1))})
        norms = []
        for length in measured:
            draws = min(DRAWS, comb(n, length))
            chosen = [chance.choice(n, length, replace=False).tolist() for _ in range(draws)]
            norms.append(
                float(np.mean([float(path_gradient(twin, x, labels, some).norm()) for some in chosen]))
            )
    lengths = tuple(range(n + 1))
    magnitudes = _interpolated(measured, norms, lengths)
    return Paths(lengths, tuple(comb(n, k) for k in lengths), magnitudes, _shares(magnitudes))


def path_gradient(network: Network, images: Tensor, labels: Tensor, through: Collection[int]) -> Tensor:
    """Gradient of the loss at the first block by one path: branches in the blocks `through`, else shortcuts.

    The forward pass is whole; only the way back is cut. All 2 to the n paths add up to the
    gradient, but for what flows through the gates of gated shortcuts.
    """
    x = first = start(network, images).detach().requires_grad_()
    for place, block in enumerate(blocks(network)):
        assert isinstance(block, ResidualBlock)
        assert block.residual is not None
        assert block.shortcut is not None
        fork = block.before(x)
        branch, around = block.residual(fork), block.shortcut(fork)
        if place in through:
            x = joined(block, fork.detach(), branch, around.detach())
        else:
            x = joined(block, fork.detach(), branch.detach(), around)
    loss = cross_entropy(network.forward_head(network.tail(x)), labels)
    found: Tensor = torch.autograd.grad(loss, first)[0]
    return found


def _interpolated(measured: list[int], norms: list[float], lengths: tuple[int, ...]) -> tuple[float, ...]:
    """Norms at every length; between measured ones in a straight line of their logarithms."""
    logs = np.log(np.maximum(norms, 1e-300))
    found = np.exp(np.interp(lengths, measured, logs))
    return tuple(float(value) if value > 1e-299 else 0.0 for value in found)


def _shares(magnitudes: tuple[float, ...]) -> tuple[float, ...]:
    """n over k times magnitude, normalised; by logarithms, for n over k outgrows what a float holds."""
    from scipy.special import gammaln, logsumexp

    k = np.arange(len(magnitudes))
    n = len(magnitudes) - 1
    counts = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    with np.errstate(divide="ignore"):
        logs = counts + np.log(magnitudes)
    return tuple(np.exp(logs - logsumexp(logs)).tolist())
