"""Path lengths: how much gradient flows through k of n residual branches (Veit et al. 2016)."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.analyse.blocks import stem_output
from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, by_network
from residua.errors import ConfigError
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network
from residua.report.chart import Series, plot
from residua.report.page import Figure

IMAGES = 32
"""Images at most: the study needs gradients in float64."""
DRAWS = 4
"""Random paths of each length that are averaged, at most."""
LENGTHS = 16
"""Lengths that are measured, at most; the others are interpolated."""
SEED = 0
"""Of the choice of paths."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths by their length: how many there are, and how much gradient they carry."""

    lengths: tuple[int, ...]
    """0 to n residual branches."""
    counts: tuple[int, ...]
    """Paths of each length: n over k; all together 2 to the n."""
    magnitudes: tuple[float, ...]
    """Mean norm of the gradient that one such path carries to the first block; 0 if it underflows."""
    shares: tuple[float, ...]
    """Counts times magnitudes, as shares that sum to 1: the distribution of effective paths."""

    @property
    def typical(self) -> float:
        """Mean length of all paths: n / 2."""
        return self.lengths[-1] / 2

    @property
    def effective(self) -> float:
        """Mean length of the paths, weighted by the gradient they carry."""
        return sum(length * share for length, share in zip(self.lengths, self.shares, strict=True))


def path_lengths(network: Network, images: Tensor, labels: Tensor) -> Paths:
    """Measure how much gradient paths of each length carry, in eval mode and float64.

    Args:
        network: A network all of whose blocks have a shortcut.
        images: (N, C, H, W) float, preprocessed.
        labels: (N,) int.

    Returns:
        The distribution over lengths from 0 to n branches.

    Raises:
        ConfigError: a block has no shortcut.
    """
    with working_copy(network, dtype=torch.float64) as work, torch.enable_grad():
        n = sum(isinstance(b, ResidualBlock) and b.residual is not None for b in work.blocks())
        if n < len(work.blocks()):
            raise ConfigError(f"{network.arch.name} has blocks without shortcut: choose a residual network")
        generator = np.random.default_rng(SEED)
        x = images.double()
        passage = PathGradients(work, x, labels)
        measured = sorted({round(k) for k in np.linspace(0, n, min(LENGTHS, n + 1))})
        norms = []
        for length in measured:
            draws = min(DRAWS, comb(n, length))
            choices = [generator.choice(n, length, replace=False).tolist() for _ in range(draws)]
            gradients = [passage.gradient(choice) for choice in choices]
            norms.append(float(np.mean([float(gradient.norm()) for gradient in gradients])))
    lengths = tuple(range(n + 1))
    magnitudes = _interpolate(measured, norms, lengths)
    return Paths(lengths, tuple(comb(n, k) for k in lengths), magnitudes, _shares(magnitudes))


class PathGradients:
    """Gradients of the loss at the first block along single paths.

    The forward pass is complete and made once; only the backward pass is cut. The gradients of all 2 to the n
    paths add up to the whole gradient, except for what flows through the gates of gated shortcuts.
    """

    def __init__(self, network: Network, images: Tensor, labels: Tensor) -> None:
        """Make the forward pass.

        Args:
            network: A network all of whose blocks have a shortcut, in float64.
            images: (N, C, H, W) double, preprocessed.
            labels: (N,) int.
        """
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []
        x = stem_output(network, images).detach()
        for block in network.blocks():
            assert isinstance(block, ResidualBlock)
            assert block.residual is not None
            assert block.shortcut is not None
            fork = block.before(x := x.requires_grad_())
            residual, shortcut = block.residual(fork), block.shortcut(fork)
            through = block.merge(fork.detach(), residual, shortcut.detach())
            around = block.merge(fork, residual.detach(), shortcut)
            self._steps.append((x, through, around))
            x = around.detach()
        loss = cross_entropy(network.forward_head(network.tail(x.requires_grad_())), labels)
        self._last: Tensor = torch.autograd.grad(loss, x)[0]

    def gradient(self, through: Collection[int]) -> Tensor:
        """The gradient along one path, of the shape of the first block's input.

        Args:
            through: Indices of the blocks where the path takes the residual branch, and not the shortcut.
        """
        gradient = self._last
        for place in reversed(range(len(self._steps))):
            x, residual, shortcut = self._steps[place]
            y = residual if place in through else shortcut
            gradient = torch.autograd.grad(y, x, gradient, retain_graph=True)[0]
        return gradient


def draw(results: Mapping[str, Paths], colours: Colours) -> tuple[Figure, ...]:
    """For each network, shares of paths and of gradient by length, and the gradient of one path."""
    figures, x = [], "length: branches on the path"
    for name, one in results.items():
        log_total = math.log(2) * one.lengths[-1]
        counts = tuple(100 * math.exp(math.log(count) - log_total) for count in one.counts)
        gradient = tuple(100 * share for share in one.shares)
        series = (
            Series("gradient", tuple(zip(one.lengths, gradient, strict=True)), "both"),
            Series("paths", tuple(zip(one.lengths, counts, strict=True)), "both"),
        )
        single = (Series("", tuple(zip(one.lengths, one.magnitudes, strict=True)), "both"),)
        caption = (
            f"{name}: a path has {one.typical:.1f} branches on average, one that carries gradient "
            f"{one.effective:.1f}."
        )
        single_plot = plot(single, x=x, y="gradient by one path", logarithmic=True)
        figures.append(Figure(plot(series, x=x, y="share (%)"), caption, caption))
        figures.append(
            Figure(single_plot, f"{name}: gradient that one path of each length carries.", caption)
        )
    return tuple(figures)


def summarise(results: Mapping[str, Paths]) -> str:
    """The mean length of effective paths."""
    lengths = {name: f"{one.effective:.1f} of {one.lengths[-1]}" for name, one in results.items()}
    return f"Mean length of the paths that carry the gradient, in branches: {by_network(lengths)}."


def _interpolate(measured: list[int], norms: list[float], lengths: tuple[int, ...]) -> tuple[float, ...]:
    """Norms at every length; between measured ones on a straight line of their logarithms."""
    logs = np.log(np.maximum(norms, 1e-300))
    values = np.exp(np.interp(lengths, measured, logs))
    return tuple(float(value) if value > 1e-299 else 0.0 for value in values)


def _shares(magnitudes: tuple[float, ...]) -> tuple[float, ...]:
    """n over k times magnitude, normalised; in logarithms, for n over k exceeds the range of a float."""
    from scipy.special import gammaln, logsumexp

    k = np.arange(len(magnitudes))
    n = len(magnitudes) - 1
    counts = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    with np.errstate(divide="ignore"):
        logs = counts + np.log(magnitudes)
    return tuple(np.exp(logs - logsumexp(logs)).tolist())


def _measure(subject: Subject) -> Paths:
    return path_lengths(subject.network, subject.inputs[:IMAGES], subject.labels[:IMAGES])


STUDY = Study(
    "paths",
    title="Path lengths: which paths carry the gradient",
    measures="gradient carried by paths through k of n branches, beside how many such paths there are",
    source="after Veit et al. 2016",
    needs=Needs.TRAINING,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="With n blocks there are 2ⁿ paths from the loss to the first block: each block is passed "
    "through its branch or through its shortcut. Most paths have about n/2 branches (Veit et al. "
    "2016). The gradient of one path falls with its length, so that shorter paths than that carry "
    "most of the gradient: their number times their strength. The forward pass is complete; only "
    "the backward pass is cut, and all paths together are exactly the gradient. Lengths between "
    "measured ones are interpolated.",
)
