"""The 2-D letter table: what each letter of a word becomes for images (N, C, H, W)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import pad

from residua.spec.block import Conv, Pool


@dataclass(frozen=True, slots=True)
class Given:
    """All that a letter may read when it becomes a layer."""

    width: int
    """Channels that come in."""
    conv: Conv
    """The next unread shape, for letters that read one; else `width` channels, unchanged."""
    pool: Pool
    """Shape of the block's pools."""
    drop: float
    """Share of values a dropout sets to zero."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of a letter table."""

    name: str
    """What its layers are called, before the number."""
    reads: bool
    """Whether it takes the next unread `Conv`."""
    make: Callable[[Given], nn.Module]
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
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def _conv(given: Given) -> nn.Module:
    c = given.conv
    return nn.Conv2d(given.width, c.out, c.kernel, c.stride, c.kernel // 2, groups=c.groups, bias=c.bias)


LETTERS: Mapping[str, Letter] = {
    "C": Letter("conv", True, _conv),
    "Z": Letter("zero", True, lambda g: ZeroPad(g.width, g.conv)),
    "L": Letter("linear", True, lambda g: nn.Linear(g.width, g.conv.out)),
    "N": Letter("norm", False, lambda g: nn.BatchNorm2d(g.width)),
    "A": Letter("act", False, lambda _: nn.ReLU()),  # never in place: the shortcut may still need x
    "P": Letter("pool", False, lambda g: nn.MaxPool2d(g.pool.kernel, g.pool.stride, g.pool.padding)),
    "V": Letter("mean", False, lambda g: nn.AvgPool2d(g.pool.kernel, g.pool.stride, g.pool.padding)),
    "D": Letter("drop", False, lambda g: nn.Dropout(g.drop)),
}
