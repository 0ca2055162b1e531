"""First weights."""

from torch import nn

from residua.nn.joins import GatedJoin

NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def he_normal(network: nn.Module) -> None:
    """Convolutions from a normal of variance 2 / (kernel area x channels out) (He et al., PReLU).

    Norms start as the identity and linear layers as torch makes them, which is what torchvision does too;
    gates with the bias that their block asks for. On `meta` there is nothing to draw.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, GatedJoin):
            module.start()


def zero_last_norm(network: nn.Module) -> int:
    """Start every residual branch that ends in a norm at zero, the block as its shortcut; how many did."""
    changed = 0
    for module in network.modules():
        residual = getattr(module, "residual", None)
        if isinstance(residual, nn.Sequential) and isinstance(residual[-1], NORMS):
            nn.init.zeros_(residual[-1].weight)
            changed += 1
    return changed
