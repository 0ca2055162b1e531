"""Initial weights."""

from torch import nn

from residua.nn.joins import GatedJoin
from residua.nn.letters import BATCH_NORMS

WITH_WEIGHTS = (nn.Conv2d, nn.Conv3d, nn.Linear, *BATCH_NORMS)
"""Layers of a residual branch that have weights."""


def he_normal(network: nn.Module) -> None:
    """Draw the weights of convolutions from N(0, 2 / (kernel area x output channels)), in place.

    The source is He et al. 2015, "Delving deep into rectifiers", eq. 14. Norms stay the identity and linear
    layers as torch initialises them, as in torchvision. Gates get the bias of their block. Weights on the
    meta device are skipped.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, GatedJoin):
            module.initialise_bias()


def zero_last_layers(network: nn.Module) -> int:
    """Zero the last layer with weights of every residual branch: each block starts as its shortcut.

    That is the last norm, or the last convolution where norm and activation come first (`NAC`), as in timm's
    ResNets.

    Returns:
        How many branches were changed.
    """
    changed = 0
    for module in network.modules():
        residual = getattr(module, "residual", None)
        if not isinstance(residual, nn.Sequential):
            continue
        layers = [layer for layer in residual.modules() if isinstance(layer, WITH_WEIGHTS)]
        for layer in layers[-1:]:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
            changed += 1
    return changed
