"""The letter tables: what each letter of a word becomes for images (N, C, H, W) and for vectors (N, C)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from residua.spec.block import Conv, Pool


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """All that a letter may read when it becomes a layer."""

    width: int
    """Channels that come in."""
    conv: Conv
    """The next unread shape, for letters that read one; else `width` channels, unchanged."""
    pool: Pool
    """Shape of the block's pools."""
    drop: float
    """Share of values a dropout, or of images a stochastic depth, sets to zero."""
    eps: float
    """What a norm adds to the variance before the root."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of a letter table."""

    name: str
    """What its layers are called, before the number."""
    reads: bool
    """Whether it takes the next unread `Conv`."""
    make: Callable[[LayerSpec], nn.Module]
    """The layer."""


class ZeroPad(nn.Module):
    """(N, width, H, W) -> (N, out, H/stride, W/stride), no parameters: subsample, put zeros around.

    Half of the new channels come before the old ones, half after (He et al. 2015, 3.3, option A, does not
    say where; this is the common CIFAR implementation's way).
    """

    def __init__(self, width: int, conv: Conv) -> None:
        """ValueError when channels would have to go."""
        super().__init__()
        if conv.out < width:
            raise ValueError(f"Z cannot shrink {width} channels to {conv.out}: use a C in the shortcut")
        self.stride = conv.stride
        self.before = (conv.out - width) // 2
        self.after = conv.out - width - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Every `stride`-th pixel of `x`, between two stacks of zeros."""
        every, zeros = slice(None, None, self.stride), (self.before, self.after)
        if type(x) is Tensor and x.is_contiguous(memory_format=torch.channels_last):
            # or the slice's gradient would be contiguous, and layers before it slow, where two formats meet
            return pad(x.permute(0, 2, 3, 1)[:, every, every], zeros).permute(0, 3, 1, 2)
        return pad(x[:, :, every, every], (0, 0, 0, 0, *zeros))


def _conv(given: LayerSpec) -> nn.Module:
    c = given.conv
    return nn.Conv2d(given.width, c.out, c.kernel, c.stride, c.border, groups=c.groups, bias=c.bias)


def _max_pool(given: LayerSpec) -> nn.Module:
    p = given.pool
    return nn.MaxPool2d(p.kernel, p.stride, p.padding, ceil_mode=p.ceil)


def _average_pool(given: LayerSpec) -> nn.Module:
    p = given.pool
    return nn.AvgPool2d(p.kernel, p.stride, p.padding, ceil_mode=p.ceil)


def _stochastic_depth(given: LayerSpec) -> nn.Module:
    from torchvision.ops import StochasticDepth  # half a second that few networks need

    layer: nn.Module = StochasticDepth(given.drop, "row")
    return layer


def _frozen(given: LayerSpec) -> nn.Module:
    from torchvision.ops import FrozenBatchNorm2d

    layer: nn.Module = FrozenBatchNorm2d(given.width, given.eps)
    return layer


LETTERS: Mapping[str, Letter] = {
    "C": Letter("conv", True, _conv),
    "Z": Letter("zero", True, lambda g: ZeroPad(g.width, g.conv)),
    "L": Letter("linear", True, lambda g: nn.Linear(g.width, g.conv.out, bias=g.conv.bias)),
    "N": Letter("norm", False, lambda g: nn.BatchNorm2d(g.width, g.eps)),
    "A": Letter("act", False, lambda _: nn.ReLU()),  # never in place: the shortcut may still need x
    "P": Letter("pool", False, _max_pool),
    "V": Letter("mean", False, _average_pool),
    "D": Letter("drop", False, lambda g: nn.Dropout(g.drop)),
    "R": Letter("response", False, lambda _: nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)),
    "S": Letter("depth", False, _stochastic_depth),
}
"""For images. R is Caffe's; AlexNet's paper has k = 2, and does not divide alpha by the 5 channels."""

Norm = Literal["batch", "sync", "frozen"]
"""Statistics of the batch in one process, of the batch over all processes, or kept as they are."""

NORMS: Mapping[Norm, Callable[[LayerSpec], nn.Module]] = {
    "batch": LETTERS["N"].make,
    "sync": lambda g: nn.SyncBatchNorm(g.width, g.eps),
    "frozen": _frozen,
}
"""What N becomes; the names of the parameters are the same in each."""


def letters(norm: Norm = "batch", *, flat: bool = False) -> Mapping[str, Letter]:
    """The letter table for images, or for vectors if `flat`, with this kind of norm."""
    make = partial(_flat_norm, norm) if flat else NORMS[norm]
    return {**LETTERS, "N": replace(LETTERS["N"], make=make)}


def _flat_norm(norm: Norm, given: LayerSpec) -> nn.Module:
    if norm == "frozen":
        raise ValueError("norm 'frozen' is for maps: give a convolutional network, or norm='batch'")
    return (
        nn.SyncBatchNorm(given.width, given.eps) if norm == "sync" else nn.BatchNorm1d(given.width, given.eps)
    )
