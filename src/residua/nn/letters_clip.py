"""The same letters for clips (N, C, T, H, W): windows get a length and a pace in time."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, pad

from residua.nn.letters import LETTERS, LayerSpec, Letter, Norm
from residua.spec.block import Conv, Pool

Sizes = tuple[int, int, int]


class ClipZeroPad(nn.Module):
    """(N, width, T, H, W) -> (N, out, T/pace, H/stride, W/stride), no parameters: subsample, zeros around.

    Option A of He et al. 2015, as `residua.nn.letters.ZeroPad` does it for images.
    """

    def __init__(self, width: int, conv: Conv) -> None:
        """`Arch` has checked that no channel has to go."""
        super().__init__()
        self.stride, self.pace = conv.stride, conv.pace
        self.before = (conv.out - width) // 2
        self.after = conv.out - width - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Every `pace`-th frame of `x` and every `stride`-th pixel, between two stacks of zeros."""
        kept = x[:, :, :: self.pace, :: self.stride, :: self.stride]
        return pad(kept, (0, 0, 0, 0, 0, 0, self.before, self.after))


class ClipConv(nn.Conv3d):
    """A convolution of clips whose gradient is right on every processor."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, out, T/pace, H/stride, W/stride).

        torch 2.15 on a CPU with bfloat16 units reads memory that nobody wrote, and now and then finds no
        numbers there, for the weight's gradient where two frames meet a window of three. With the zeros
        before and after them written out it does not.
        """
        halved = torch.is_autocast_enabled("cpu") or x.dtype == torch.bfloat16
        if (
            halved
            and x.device.type == "cpu"
            and (x.shape[2], self.kernel_size[0], self.stride[0]) == (2, 3, 1)
        ):
            border = (0, *self.padding[1:])
            return conv3d(
                pad(x, (0, 0, 0, 0, 1, 1)), self.weight, self.bias, self.stride, border, 1, self.groups
            )
        return super().forward(x)


def _conv(given: LayerSpec) -> nn.Module:
    c = given.conv
    return ClipConv(
        given.width,
        c.out,
        (c.time, c.kernel, c.kernel),
        (c.pace, c.stride, c.stride),
        (c.time // 2, c.border, c.border),
        groups=c.groups,
        bias=c.bias,
    )


def _max_pool(given: LayerSpec) -> nn.Module:
    p = given.pool
    window, step, border = _window(p)
    return nn.MaxPool3d(window, step, border, ceil_mode=p.ceil)


def _average_pool(given: LayerSpec) -> nn.Module:
    p = given.pool
    window, step, border = _window(p)
    return nn.AvgPool3d(window, step, border, ceil_mode=p.ceil)


def _window(p: Pool) -> tuple[Sizes, Sizes, Sizes]:
    """Its size, its step and the border it may reach into; T, H and W of each."""
    return (
        (p.time, p.kernel, p.kernel),
        (p.pace, p.stride, p.stride),
        (p.margin, p.padding, p.padding),
    )


CLIP_LETTERS: Mapping[str, Letter] = {
    **LETTERS,  # L, A, D, R and S do not ask how many axes a map has
    "C": replace(LETTERS["C"], make=_conv),
    "Z": replace(LETTERS["Z"], make=lambda g: ClipZeroPad(g.width, g.conv)),
    "N": replace(LETTERS["N"], make=lambda g: nn.BatchNorm3d(g.width, g.eps)),
    "P": replace(LETTERS["P"], make=_max_pool),
    "V": replace(LETTERS["V"], make=_average_pool),
}
"""For clips. The names of the layers are those of images, and so are the keys of the weights."""


def clip_letters(norm: Norm = "batch") -> Mapping[str, Letter]:
    """The letter table for clips with this kind of norm. ValueError for `frozen`, which is of images."""
    if norm == "frozen":
        raise ValueError("norm 'frozen' is for images: give a network without frames, or norm='batch'")
    if norm == "sync":
        sync = replace(LETTERS["N"], make=lambda g: nn.SyncBatchNorm(g.width, g.eps))
        return {**CLIP_LETTERS, "N": sync}
    return CLIP_LETTERS
