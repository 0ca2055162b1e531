"""The optimiser of a recipe: its kind, its parameter groups, and which norms are frozen."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import nn

from residua.errors import ConfigError
from residua.nn.initialise import whitened_layer
from residua.nn.letters import BATCH_NORMS
from residua.nn.network import Network, layer_groups
from residua.spec.recipe import Optim

FUSED = ("sgd", "adamw")
"""Kinds that have one kernel for the whole update."""


def make_optimizer(
    network: Network, optim: Optim, *, fused: Literal["auto", "on", "off"] = "auto"
) -> torch.optim.Optimizer:
    """The optimiser of a recipe over all parameters of `network`.

    Groups carry a `scale`, which the loop multiplies with the learning rate. Norms and biases decay only with
    `optim.decay_norms_and_biases`. Norms are not trained with `optim.frozen_norms`, nor are the filters of
    the first convolution with `optim.whiten_stem`.

    Args:
        network: The network on its device.
        optim: Kind and hyperparameters.
        fused: One kernel for the whole update; `on` requires it.

    Raises:
        ConfigError: The library of that kind is not installed, or it has no fused kernel.
    """
    if fused == "on" and optim.kind not in FUSED:
        raise ConfigError(f"plan.fused is on: {optim.kind} has no fused kernel, give auto or off")
    if optim.frozen_norms:
        for norm in _norms(network):
            norm.requires_grad_(False)
    if optim.whiten_stem:
        whitened_layer(network).weight.requires_grad_(False)
    groups = [
        group for scale, names in _layers(network, optim) for group in _groups(network, optim, scale, names)
    ]
    groups = [group for group in groups if group["params"]]
    # fused = one pass over memory; in the ragged end of a tensor the plain loop may have another last bit
    use_fused = fused != "off"
    betas = (optim.momentum, optim.beta2)
    if optim.kind == "sgd":
        return torch.optim.SGD(groups, optim.lr, optim.momentum, nesterov=optim.nesterov, fused=use_fused)
    if optim.kind == "adamw":
        return torch.optim.AdamW(groups, optim.lr, betas, fused=use_fused)
    library: Any = _timm(optim.kind)
    if optim.kind == "lamb":
        optimizer: torch.optim.Optimizer = library.Lamb(groups, optim.lr, betas=betas, max_grad_norm=None)
    else:
        optimizer = library.Muon(
            groups, optim.lr, momentum=optim.momentum, nesterov=optim.nesterov, betas=betas
        )
    return optimizer


def values_per_weight(optim: Optim) -> int:
    """Numbers that the optimiser stores for each weight, at most; Muon stores the second only for vectors."""
    return int(optim.momentum > 0) if optim.kind == "sgd" else 2


def train_mode(optim: Optim) -> Any:
    """A function that puts a network into training mode, except for frozen norms."""

    def train(network: nn.Module) -> None:
        network.train()
        if optim.frozen_norms:
            for norm in _norms(network):
                norm.eval()

    return train


def _norms(network: nn.Module) -> Iterator[nn.Module]:
    return (layer for layer in network.modules() if isinstance(layer, BATCH_NORMS))


def _layers(network: Network, optim: Optim) -> list[tuple[float, list[str]]]:
    """Names of parameters with the scale of their learning rate: 1 for the head, less for each block
    below."""
    if optim.layer_decay == 1:
        return [(1.0, [name for name, _ in network.named_parameters()])]
    groups = layer_groups(network)
    return [(optim.layer_decay ** (len(groups) - 1 - depth), names) for depth, names in enumerate(groups)]


def _groups(network: nn.Module, optim: Optim, scale: float, names: list[str]) -> list[dict[str, Any]]:
    weights = dict(network.named_parameters())
    trained = [weights[name] for name in names if weights[name].requires_grad]
    matrices, vectors = [w for w in trained if w.ndim > 1], [w for w in trained if w.ndim <= 1]
    vector_decay = optim.weight_decay if optim.decay_norms_and_biases else 0.0
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": optim.weight_decay, "scale": scale},
        {"params": vectors, "weight_decay": vector_decay, "scale": scale},
    ]
    if optim.kind == "muon":  # Jordan 2024: AdamW trains the first and the last layer
        outer = {id(weights[name]) for name in names if name.startswith(("stem.", "head."))}
        groups[0]["params"] = [w for w in matrices if id(w) not in outer]
        groups.append({**groups[0], "params": [w for w in matrices if id(w) in outer], "use_fallback": True})
    return groups


def _timm(kind: str) -> Any:
    try:
        import timm.optim
    except ImportError:
        raise ConfigError(
            f"optim.kind {kind} needs timm: pip install 'residua[optim]', or give sgd or adamw"
        ) from None
    return timm.optim
