"""Fold norms into the layers before them, by the words; a network for inference alone, with the same logits.

In eval mode a norm multiplies each channel by a number and adds another. Where a word has an N directly
behind a C or an L, that layer can do both: its weights are multiplied, and it gets a bias. Any other N reads
an activation, a pool, a sum, or a map that other layers read too, and stays as it is.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from residua.nn.network import Network
from residua.nn.sequence import LayerSequence

_FIRST = {
    "before": "it reads the output of the block before",
    "residual": "it reads the map at the fork, which the shortcut reads too",
    "after": "it reads the sum of residual and shortcut",
    "tail": "it reads the output of the last block",
}
"""Why the first norm of a part cannot be folded."""


@dataclass(frozen=True, slots=True)
class NormFolding:
    """What became of one norm."""

    norm: str
    """Its module name: `stages.0.1.residual.norm2`."""
    layer: str
    """Module name of the convolution or linear layer that it is folded into; empty where it stays."""
    reason: str = ""
    """Why it stays; empty where it is folded."""


def fold_norms(network: Network) -> tuple[Network, tuple[NormFolding, ...]]:
    """Fold every norm that directly follows a convolution or a linear layer.

    Args:
        network: Any network, which stays as it is.

    Returns:
        A copy in eval mode without auxiliary classifiers, whose logits agree within rounding; and for each
        norm, in order, what became of it. The copy is for inference alone: its layers are no longer those of
        its `arch`.
    """
    folded = copy.deepcopy(network).eval()
    folded.sides = nn.ModuleList()
    report: list[NormFolding] = []
    for part, module in folded.named_modules():
        if isinstance(module, LayerSequence):
            report += _fold_sequence(part, module)
    return folded, tuple(report)


def _fold_sequence(part: str, layers: LayerSequence) -> list[NormFolding]:
    """Fold the norms of one word into the layers before them."""
    report: list[NormFolding] = []
    before = ""
    for name, layer in [*layers.named_children()]:
        if not name.startswith("norm"):
            before = name
            continue
        target = getattr(layers, before) if before else None
        if isinstance(target, _ConvNd | nn.Linear):
            _fold(target, layer)
            delattr(layers, name)
            report.append(NormFolding(f"{part}.{name}", f"{part}.{before}"))
        else:
            report.append(NormFolding(f"{part}.{name}", "", _reason(part, before)))
            before = name
    return report


def _reason(part: str, before: str) -> str:
    """Why a norm behind the layer called `before` stays."""
    if before:
        return f"it reads {before}, which is no convolution"
    return _FIRST.get(part.rpartition(".")[2], "no convolution comes before it")


@torch.no_grad()
def _fold(layer: _ConvNd | nn.Linear, norm: Any) -> None:
    """Let `layer` compute what `norm` made of its output, in float64 before the last rounding."""
    statistics = norm.running_mean, norm.running_var, norm.weight, norm.bias
    mean, variance, weight, bias = (tensor.double() for tensor in statistics)
    scale: Tensor = weight / torch.sqrt(variance + norm.eps)
    old = layer.weight.double()
    shift = bias - mean * scale if layer.bias is None else bias + (layer.bias.double() - mean) * scale
    layer.weight = nn.Parameter((old * scale.view(-1, *[1] * (old.ndim - 1))).to(layer.weight.dtype))
    layer.bias = nn.Parameter(shift.to(layer.weight.dtype))
