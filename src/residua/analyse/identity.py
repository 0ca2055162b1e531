"""Identity mapping: whether x_L = x_l + sum of F holds, forward and backward (He et al. 2016, section 2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.analyse.blocks import stem_output
from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, by_network, depth_series, short_number
from residua.errors import ConfigError
from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network
from residua.report.chart import plot
from residua.report.page import Figure

IMAGES = 32
"""Images at most: the study needs gradients in float64."""
SMALLEST = 1e-17
"""Stands for an error of 0, which a logarithmic axis cannot show: below what float64 can resolve."""


@dataclass(frozen=True, slots=True)
class Span:
    """Blocks in a row whose shortcut is the identity, and how well the sum describes them."""

    name: str
    """First and last block: `stages.0.1 to stages.0.8`."""
    words: tuple[str, ...]
    """The blocks' words."""
    errors: tuple[float, ...]
    """After each block, ||x_L - (x_l + sum F)|| / ||x_L||; only rounding if nothing else is on the path."""
    gradient_error: float
    """||dE/dx_l - dE/dx_L (1 + d sum F / dx_l)|| / ||dE/dx_l|| over the whole span."""
    share: float
    """||dE/dx_L|| / ||dE/dx_l||: how much of the gradient comes by the "1" alone; nothing bounds it."""


def identity_errors(network: Network, images: Tensor, labels: Tensor) -> tuple[Span, ...]:
    """Measure how well the sum of the residual branches describes a network, in eval mode and float64.

    Args:
        network: A network with identity shortcuts.
        images: (N, C, H, W) float, preprocessed.
        labels: (N,) int.

    Returns:
        One span for each run of blocks with identity shortcuts.

    Raises:
        ConfigError: no shortcut is the identity.
    """
    with working_copy(network, dtype=torch.float64) as work, torch.enable_grad():
        places = list(_identity_runs(work))
        if not places:
            raise ConfigError(f"{network.arch.name} has no identity shortcut: choose a residual network")
        maps, branches = _forward_by_block(work, images.double())
        loss = cross_entropy(work.forward_head(work.tail(maps[-1])), labels)
        gradients = torch.autograd.grad(loss, maps, retain_graph=True)
        words = [block.word for block in network.arch.blocks()]
        names = network.block_names()
        spans = []
        for first, last in places:
            errors = []
            total = torch.zeros_like(maps[first])
            for place in range(first, last):
                total = total + branches[place]
                errors.append(_relative_error(maps[place + 1], maps[first] + total))
            end, begin = gradients[last], gradients[first]
            (through,) = torch.autograd.grad(total, maps[first], end, retain_graph=True)
            name = f"{names[first]} to {names[last - 1]}"
            gradient_error, share = _relative_error(begin, end + through), float(end.norm() / begin.norm())
            spans.append(Span(name, tuple(words[first:last]), tuple(errors), gradient_error, share))
    return tuple(spans)


def draw(results: Mapping[str, tuple[Span, ...]], colours: Colours) -> tuple[Figure, ...]:
    """Error of the sum after each block; the sum starts again at each run of identity shortcuts."""
    errors = {n: [max(e, SMALLEST) for span in spans for e in span.errors] for n, spans in results.items()}
    series = depth_series(errors, colours, kind="dots")
    y = "relative error of x + ΣF"
    return (
        Figure(
            plot(series, x="block with an identity shortcut", y=y, logarithmic=True),
            "Relative error of the sum after each block. Near 10⁻¹⁶ it is rounding, and the sum holds.",
            f"Largest error: {_worst(results)}.",
        ),
    )


def summarise(results: Mapping[str, tuple[Span, ...]]) -> str:
    """The largest errors, forward and backward."""
    backward = by_network(
        {name: short_number(max(s.gradient_error for s in spans)) for name, spans in results.items()}
    )
    return f"Largest relative error of x_L = x_l + ΣF: {_worst(results)}. Of its gradient: {backward}."


def _worst(results: Mapping[str, tuple[Span, ...]]) -> str:
    return by_network({n: short_number(max(max(s.errors) for s in spans)) for n, spans in results.items()})


def _identity_runs(network: Network) -> Iterator[tuple[int, int]]:
    """First block and the one after the last, of every run of identity shortcuts."""
    start, place = -1, -1
    for place, block in enumerate(network.blocks()):
        shortcut = block.shortcut if isinstance(block, ResidualBlock) else None
        is_identity = shortcut is not None and len(shortcut) == 0
        if is_identity and start < 0:
            start = place
        if not is_identity and start >= 0:
            yield start, place
            start = -1
    if start >= 0:
        yield start, place + 1


def _forward_by_block(network: Network, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs of the blocks and output of the last, and what each residual branch adds (0 without one)."""
    x = stem_output(network, images).requires_grad_()
    maps, branches = [x], []
    for block in network.blocks():
        if isinstance(block, ResidualBlock) and block.residual is not None and block.shortcut is not None:
            fork = block.before(x)
            branch = block.residual(fork)
            x = block.merge(fork, branch, block.shortcut(fork))
        else:
            x = block(x)
            branch = torch.zeros_like(x)
        maps.append(x)
        branches.append(branch)
    return maps, branches


def _relative_error(true: Tensor, approximate: Tensor) -> float:
    return float((true - approximate).detach().norm() / true.detach().norm())


def _measure(subject: Subject) -> tuple[Span, ...]:
    return identity_errors(subject.network, subject.inputs[:IMAGES], subject.labels[:IMAGES])


STUDY = Study(
    "identity",
    title="Identity mapping",
    measures="relative error of x_L = x_l + ΣF, and of its gradient, in float64",
    source="He et al. 2016, section 2",
    needs=Needs.IMAGES,
    measure=_measure,
    draw=draw,
    summarise=summarise,
    explain="If the path between two blocks has only additions, the later map is the earlier one plus "
    "everything the branches between them add. The gradient of the earlier map is then the "
    "gradient of the later one plus what comes through the branches (He et al. 2016, section 2). "
    "In float64 this is exact up to rounding. An activation on the path breaks it, and the error "
    'shows by how much. The "1 +" in the gradient is no lower bound: the branches may cancel it, '
    "which is only unlikely.",
)
