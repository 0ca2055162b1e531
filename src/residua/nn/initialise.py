"""Initial weights."""

from torch import nn

from residua.nn.joins import GatedJoin
from residua.nn.letters import BATCH_NORMS


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


def zero_last_norm(network: nn.Module) -> int:
    """Zero the weight of the last norm of every residual branch: each block starts as its shortcut.

    Returns:
        How many branches end in a norm, and so were changed.
    """
    changed = 0
    for module in network.modules():
        residual = getattr(module, "residual", None)
        if isinstance(residual, nn.Sequential) and isinstance(residual[-1], BATCH_NORMS):
            nn.init.zeros_(residual[-1].weight)
            changed += 1
    return changed
