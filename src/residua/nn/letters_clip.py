"""The letter table for clips (N, C, T, H, W): windows have a length and a pace in time."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, pad

from residua.errors import ConfigError
from residua.nn.letters import LETTERS, LayerSpec, Letter, Norm, check_norm
from residua.spec.block import Conv, Pool

Sizes = tuple[int, int, int]


class ClipZeroPad(nn.Module):
    """(N, width, T, H, W) -> (N, out, T/pace, H/stride, W/stride), no parameters: subsample, pad channels.

    Option A of He et al. 2015, as `residua.nn.letters.ZeroPad` does it for images.
    """

    def __init__(self, width: int, conv: Conv, *, before: bool) -> None:
        """Store the border, as `ZeroPad`; `Arch` has checked that `conv` has at least `width` channels."""
        super().__init__()
        self.stride, self.pace = conv.stride, conv.pace
        self.before = (conv.out - width) // 2 if before else 0
        self.after = conv.out - width - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Every `pace`-th frame of `x` and every `stride`-th pixel, with stacks of zeros around."""
        subsampled = x[:, :, :: self.pace, :: self.stride, :: self.stride]
        return pad(subsampled, (0, 0, 0, 0, 0, 0, self.before, self.after))


class ClipConv(nn.Conv3d):
    """A convolution of clips that avoids a defect of torch in bfloat16 on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, out, T/pace, H/stride, W/stride).

        Where a window of three frames reads two, the weight gradient of torch 2.15 reads uninitialised memory
        on CPUs with bfloat16 units, and is sometimes NaN. Padding the two frames explicitly avoids that.
        """
        if (
            isinstance(x, Tensor)  # a proxy of torch.fx has no shape yet
            and (torch.is_autocast_enabled("cpu") or x.dtype == torch.bfloat16)
            and x.device.type == "cpu"
            and (x.shape[2], self.kernel_size[0], self.stride[0]) == (2, 3, 1)
        ):
            border = (0, *self.padding[1:])
            return conv3d(
                pad(x, (0, 0, 0, 0, 1, 1)),
                self.weight,
                self.bias,
                self.stride,
                border,
                self.dilation,
                self.groups,
            )
        return super().forward(x)


def _conv(spec: LayerSpec) -> nn.Module:
    c = spec.conv
    return ClipConv(
        spec.width,
        c.out,
        (c.time, c.kernel, c.kernel),
        (c.pace, c.stride, c.stride),
        (c.time // 2, c.border, c.border),
        (1, c.dilation, c.dilation),
        groups=c.groups,
        bias=c.bias,
    )


def _max_pool(spec: LayerSpec) -> nn.Module:
    p = spec.pool
    window, step, border = _window(p)
    return nn.MaxPool3d(window, step, border, ceil_mode=p.ceil)


def _average_pool(spec: LayerSpec) -> nn.Module:
    p = spec.pool
    window, step, border = _window(p)
    return nn.AvgPool3d(window, step, border, ceil_mode=p.ceil)


def _window(p: Pool) -> tuple[Sizes, Sizes, Sizes]:
    """Size, step and border of the window, each as (T, H, W)."""
    return (
        (p.time, p.kernel, p.kernel),
        (p.pace, p.stride, p.stride),
        (p.margin, p.padding, p.padding),
    )


CLIP_LETTERS: Mapping[str, Letter] = {
    **LETTERS,  # L, A, D, R and S work with any number of axes
    "C": replace(LETTERS["C"], make=_conv),
    "Z": replace(LETTERS["Z"], make=lambda spec: ClipZeroPad(spec.width, spec.conv, before=True)),
    "E": replace(LETTERS["E"], make=lambda spec: ClipZeroPad(spec.width, spec.conv, before=False)),
    "N": replace(LETTERS["N"], make=lambda spec: nn.BatchNorm3d(spec.width, spec.eps)),
    "P": replace(LETTERS["P"], make=_max_pool),
    "V": replace(LETTERS["V"], make=_average_pool),
}
"""For clips. Layers, and so the keys of the weights, have the same names as for images."""


def clip_letters(norm: Norm = "batch") -> Mapping[str, Letter]:
    """The letter table for clips with one kind of norm.

    Raises:
        ConfigError: There is no such norm, or it is `frozen`, which exists for images only.
    """
    check_norm(norm)
    if norm == "frozen":
        raise ConfigError("norm 'frozen' is for images: give a network without frames, or norm='batch'")
    if norm == "sync":
        sync = replace(LETTERS["N"], make=lambda spec: nn.SyncBatchNorm(spec.width, spec.eps))
        return {**CLIP_LETTERS, "N": sync}
    return CLIP_LETTERS
