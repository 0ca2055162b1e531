"""The letter table: which layer each letter becomes, for images (N, C, H, W) and vectors (N, C)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from residua.errors import ConfigError
from residua.spec.block import Conv, Pool

ONEDNN_CHANNELS = 16
"""Channels that oneDNN computes together with AVX-512; 8 with AVX2."""


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """Everything that a layer may depend on."""

    width: int
    """Channels of the input."""
    conv: Conv
    """The next unread shape, for letters that read one; else `width` channels, unchanged."""
    pool: Pool
    """Shape of the block's pools."""
    drop: float
    """Share of values that a dropout, or of images that a stochastic depth, sets to zero."""
    eps: float
    """Added to the variance in a norm, before the root."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of a letter table."""

    name: str
    """Name of its layers, without the number."""
    reads: bool
    """Whether it reads the next `Conv` of the block."""
    make: Callable[[LayerSpec], nn.Module]
    """Builds the layer."""


class ZeroPad(nn.Module):
    """(N, width, H, W) -> (N, out, H/stride, W/stride): subsample, pad channels with zeros, no parameters.

    He et al. 2015, 3.3, option A, does not define where the new channels are. Z has half of them before the
    old ones and half after, as akamaster/pytorch_resnet_cifar10; E has all after, as fb.resnet.torch.
    """

    def __init__(self, width: int, conv: Conv, *, before: bool) -> None:
        """Check the number of channels, and place the new ones.

        Args:
            width: Channels of the input.
            conv: Stride, and channels of the output.
            before: Whether half of the new channels come before the old ones; else all come after.

        Raises:
            ConfigError: `conv` has fewer than `width` channels.
        """
        super().__init__()
        if conv.out < width:
            raise ConfigError(f"zeros cannot shrink {width} channels to {conv.out}: use a C in the shortcut")
        self.stride = conv.stride
        self.before = (conv.out - width) // 2 if before else 0
        self.after = conv.out - width - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Every `stride`-th pixel of `x`, with stacks of zeros before and after; or vectors (N, width)."""
        every, zeros = slice(None, None, self.stride), (self.before, self.after)
        if isinstance(x, Tensor) and x.ndim == 2:
            return pad(x, zeros)
        if type(x) is Tensor and x.is_contiguous(memory_format=torch.channels_last):
            # else the gradient of the slice is contiguous, and converting it slows down the layers before
            return pad(x.permute(0, 2, 3, 1)[:, every, every], zeros).permute(0, 3, 1, 2)
        return pad(x[:, :, every, every], (0, 0, 0, 0, *zeros))


class SubsampledConv(nn.Conv2d):
    """A 1 x 1 convolution with a stride, of fewer than ONEDNN_CHANNELS channels: a defect of torch avoided.

    In channels_last, and in any format once compiled, oneDNN 3.10 to 3.13 (torch 2.11 to 2.15) writes beyond
    its buffer for the weight gradient of such a layer: wrong values, a crash or a hang (uxlfoundation/oneDNN
    issue 6035). Convolving every `stride`-th pixel with stride 1 gives the same sums and avoids that.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, H/stride, W/stride)."""
        rows, columns = self.stride
        return conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def _conv(spec: LayerSpec) -> nn.Module:
    c = spec.conv
    is_unsafe = c.kernel == 1 < c.stride and c.groups == 1 and not c.border and spec.width < ONEDNN_CHANNELS
    layer = SubsampledConv if is_unsafe else nn.Conv2d
    return layer(spec.width, c.out, c.kernel, c.stride, c.border, c.dilation, c.groups, c.bias)


def _max_pool(spec: LayerSpec) -> nn.Module:
    p = spec.pool
    return nn.MaxPool2d(p.kernel, p.stride, p.padding, ceil_mode=p.ceil)


def _average_pool(spec: LayerSpec) -> nn.Module:
    p = spec.pool
    return nn.AvgPool2d(p.kernel, p.stride, p.padding, ceil_mode=p.ceil)


def _stochastic_depth(spec: LayerSpec) -> nn.Module:
    from torchvision.ops import StochasticDepth  # takes half a second, and few networks need it

    layer: nn.Module = StochasticDepth(spec.drop, "row")
    return layer


def _frozen(spec: LayerSpec) -> nn.Module:
    from torchvision.ops import FrozenBatchNorm2d

    layer: nn.Module = FrozenBatchNorm2d(spec.width, spec.eps)
    return layer


LETTERS: Mapping[str, Letter] = {
    "C": Letter("conv", True, _conv),
    "Z": Letter("zero", True, lambda spec: ZeroPad(spec.width, spec.conv, before=True)),
    "E": Letter("zero", True, lambda spec: ZeroPad(spec.width, spec.conv, before=False)),
    "L": Letter("linear", True, lambda spec: nn.Linear(spec.width, spec.conv.out, bias=spec.conv.bias)),
    "N": Letter("norm", False, lambda spec: nn.BatchNorm2d(spec.width, spec.eps)),
    "A": Letter("act", False, lambda _: nn.ReLU()),  # never in place: the shortcut may still need x
    "P": Letter("pool", False, _max_pool),
    "V": Letter("mean", False, _average_pool),
    "D": Letter("drop", False, lambda spec: nn.Dropout(spec.drop)),
    "R": Letter("response", False, lambda _: nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)),
    "S": Letter("depth", False, _stochastic_depth),
}
"""For images. R is as in Caffe; AlexNet's paper has k = 2 and does not divide alpha by the 5 channels."""

Norm = Literal["batch", "sync", "frozen"]
"""Statistics of the batch of this process, of the batch over all processes, or frozen ones."""

NORMS: Mapping[Norm, Callable[[LayerSpec], nn.Module]] = {
    "batch": LETTERS["N"].make,
    "sync": lambda spec: nn.SyncBatchNorm(spec.width, spec.eps),
    "frozen": _frozen,
}
"""The layer that N becomes; all have parameters of the same names."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""Layers that N becomes, of vectors, images and clips, and that compute statistics of a batch."""


def check_norm(norm: object) -> None:
    """ConfigError when `norm` is no kind of norm."""
    if norm not in get_args(Norm):
        raise ConfigError(f"no norm {norm!r}: give {', '.join(get_args(Norm))}")


def letters(norm: Norm = "batch", *, flat: bool = False) -> Mapping[str, Letter]:
    """The letter table for images, or for vectors if `flat`, with one kind of norm.

    Args:
        norm: Kind of norm; a network for vectors with `frozen` ones raises ConfigError when it is built.
        flat: Whether layers read vectors (N, C).

    Raises:
        ConfigError: There is no such norm.
    """
    check_norm(norm)
    make = partial(_flat_norm, norm) if flat else NORMS[norm]
    return {**LETTERS, "N": replace(LETTERS["N"], make=make)}


def _flat_norm(norm: Norm, spec: LayerSpec) -> nn.Module:
    if norm == "frozen":
        raise ConfigError("norm 'frozen' is for maps: give a convolutional network, or norm='batch'")
    return nn.SyncBatchNorm(spec.width, spec.eps) if norm == "sync" else nn.BatchNorm1d(spec.width, spec.eps)
