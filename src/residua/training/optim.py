"""The optimiser, made from a recipe."""

import torch
from torch import nn

from residua.spec.recipe import Optim


def make(network: nn.Module, optim: Optim) -> torch.optim.SGD:
    """Fused SGD over every learnable tensor; norms and biases decay only if `optim.decay_all`."""
    matrices = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": optim.decay},
        {"params": vectors, "weight_decay": optim.decay if optim.decay_all else 0.0},
    ]
    # fused = one pass over memory; in the ragged end of a tensor the plain loop may have another last bit
    return torch.optim.SGD(groups, optim.rate, optim.momentum, nesterov=optim.nesterov, fused=True)
