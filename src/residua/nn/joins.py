"""Scaled and gated sums of a residual and its shortcut (He et al. 2016, table 1)."""

import torch
from torch import Tensor, nn

from residua.spec.block import Join


class ScaledJoin(nn.Module):
    """residual * a + shortcut * b, with constants a and b."""

    def __init__(self, join: Join) -> None:
        super().__init__()
        self.join = join

    def forward(self, _: Tensor, residual: Tensor, shortcut: Tensor) -> Tensor:
        """Maps of one shape -> their weighted sum."""
        return self.join.residual * residual + self.join.shortcut * shortcut


class GatedJoin(nn.Module):
    """F + (1 - g) x, or g F + (1 - g) x if `exclusive`; g = sigmoid(W_g b + bias), b the forked map."""

    def __init__(self, join: Join, conv: nn.Module) -> None:
        """`conv` is W_g with a bias, whose initial value `join` holds."""
        super().__init__()
        self.exclusive, self.bias = join.gate == "exclusive", join.bias
        self.conv = conv

    def initialise_bias(self) -> None:
        """Set the bias of W_g: a low one leaves the shortcut open."""
        assert isinstance(self.conv.bias, Tensor)
        nn.init.constant_(self.conv.bias, self.bias)

    def forward(self, forked: Tensor, residual: Tensor, shortcut: Tensor) -> Tensor:
        """Maps of one shape -> their gated sum."""
        gate = torch.sigmoid(self.conv(forked))
        return (gate * residual if self.exclusive else residual) + (1 - gate) * shortcut
