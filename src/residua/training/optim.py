"""The optimiser, made from a recipe."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import nn

from residua.nn.network import Network, layer_groups
from residua.spec.recipe import Optim
from residua.training.average import NORMS

FUSED = ("sgd", "adamw")
"""Kinds that have one kernel for the whole update."""


def make_optimizer(
    network: Network, optim: Optim, *, fused: Literal["auto", "on", "off"] = "auto"
) -> torch.optim.Optimizer:
    """The optimiser `optim.kind` over every learnable tensor; vectors decay only if `optim.decay_norms_and_biases`.

    Groups carry a `scale`, by which the loop multiplies the rate. `frozen_norms` ends the learning of norms.
    ValueError when the library of that kind is not installed, or `fused` cannot be had.
    """
    if fused == "on" and optim.kind not in FUSED:
        raise ValueError(f"plan.fused is on: {optim.kind} has no fused kernel, give auto or off")
    if optim.frozen_norms:
        for norm in _norms(network):
            norm.requires_grad_(False)
    groups = [
        group for scale, names in _layers(network, optim) for group in _groups(network, optim, scale, names)
    ]
    groups = [group for group in groups if group["params"]]
    # fused = one pass over memory; in the ragged end of a tensor the plain loop may have another last bit
    whole = fused != "off"
    betas = (optim.momentum, optim.beta2)
    if optim.kind == "sgd":
        return torch.optim.SGD(groups, optim.lr, optim.momentum, nesterov=optim.nesterov, fused=whole)
    if optim.kind == "adamw":
        return torch.optim.AdamW(groups, optim.lr, betas, fused=whole)
    library: Any = _timm(optim.kind)
    if optim.kind == "lamb":
        found: torch.optim.Optimizer = library.Lamb(groups, optim.lr, betas=betas, max_grad_norm=None)
    else:
        found = library.Muon(groups, optim.lr, momentum=optim.momentum, nesterov=optim.nesterov, betas=betas)
    return found


def values_per_weight(optim: Optim) -> int:
    """Numbers that the optimiser keeps for each weight, at most; Muon needs the second only for vectors."""
    return int(optim.momentum > 0) if optim.kind == "sgd" else 2


def train_mode(optim: Optim) -> Any:
    """A function that puts a network into training mode, in which frozen norms stay as they are."""

    def train(network: nn.Module) -> None:
        network.train()
        if optim.frozen_norms:
            for norm in _norms(network):
                norm.eval()

    return train


def _norms(network: nn.Module) -> Iterator[nn.Module]:
    return (layer for layer in network.modules() if isinstance(layer, NORMS))


def _layers(network: Network, optim: Optim) -> list[tuple[float, list[str]]]:
    """Names of parameters with the scale of their rate: the head's is 1, each block's below a share of it."""
    if optim.layer_decay == 1:
        return [(1.0, [name for name, _ in network.named_parameters()])]
    groups = layer_groups(network)
    return [(optim.layer_decay ** (len(groups) - 1 - place), names) for place, names in enumerate(groups)]


def _groups(network: nn.Module, optim: Optim, scale: float, names: list[str]) -> list[dict[str, Any]]:
    weights = dict(network.named_parameters())
    learnt = [weights[name] for name in names if weights[name].requires_grad]
    matrices, vectors = [w for w in learnt if w.ndim > 1], [w for w in learnt if w.ndim <= 1]
    spared = optim.weight_decay if optim.decay_norms_and_biases else 0.0
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": optim.weight_decay, "scale": scale},
        {"params": vectors, "weight_decay": spared, "scale": scale},
    ]
    if optim.kind == "muon":  # Jordan 2024: the first and the last layer learn by AdamW
        outer = {id(weights[name]) for name in names if name.startswith(("stem.", "head."))}
        groups[0]["params"] = [w for w in matrices if id(w) not in outer]
        groups.append({**groups[0], "params": [w for w in matrices if id(w) in outer], "use_fallback": True})
    return groups


def _timm(kind: str) -> Any:
    try:
        import timm.optim
    except ImportError:
        raise ValueError(f"optim.kind {kind} needs timm: pip install timm, or give sgd or adamw") from None
    return timm.optim
