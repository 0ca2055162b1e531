"""Words to layers: `spell` reads a word, `ResidualBlock` holds the one residual forward pass, then heads."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)

from residua.errors import ConfigError
from residua.nn.joins import GatedJoin, ScaledJoin
from residua.nn.letters import LETTERS, LayerSpec, Letter
from residua.nn.sequence import LayerSequence, residual_sum
from residua.spec.arch import Head, Side
from residua.spec.block import Block, Conv, Fork, Pool


def spell(
    word: str,
    width: int,
    convs: tuple[Conv, ...],
    *,
    pool: Pool | None = None,
    drop: float = 0.0,
    past: int = 0,
    letters: Mapping[str, Letter] = LETTERS,
    eps: float = 1e-5,
) -> LayerSequence:
    """The layers of `word`, named by letter and number of convolutions so far, e.g. `norm2`.

    Args:
        word: Letters without brackets, in the order of the layers.
        width: Channels of the input.
        convs: One shape for each letter that reads one.
        pool: Shape of every pool.
        drop: Share of values that a D, or of images that an S, sets to zero.
        past: Convolutions of the block before this word, which the names count too.
        letters: What each letter becomes.
        eps: Added to the variance in every norm.

    Raises:
        ConfigError: Two layers would have the same name.
    """
    layers, unread = LayerSequence(), list(convs)
    for letter in word.replace(" ", ""):
        row = letters[letter]
        conv = unread.pop(0) if row.reads else Conv(width, 1)
        past += row.reads
        name = f"{row.name}{past}"
        if name in dict(layers.named_children()):
            raise ConfigError(f"{word!r} has {letter} twice without a convolution between: remove one")
        layers.add_module(name, row.make(LayerSpec(width, conv, pool or Pool(), drop, eps)))
        width = conv.out
    return layers


class ResidualBlock(nn.Module):
    """(N, width, H, W) -> (N, out, H/stride, W/stride): after(residual(b) + shortcut(b)), b = before(x).

    With the letters of clips, (N, width, T, H, W) -> (N, out, T/pace, H/stride, W/stride).
    A word without brackets has no residual and no shortcut: before(x) is all there is.
    """

    def __init__(
        self, block: Block, width: int, *, letters: Mapping[str, Letter] = LETTERS, eps: float = 1e-5
    ) -> None:
        """Build the layers.

        Args:
            block: Word and shapes.
            width: Channels of the input.
            letters: What each letter becomes.
            eps: Added to the variance in every norm.
        """
        super().__init__()
        (before, first), (inside, second), (after, third) = block.parts()
        fork = first[-1].out if first else width
        read = partial(spell, pool=block.pool, drop=block.drop, letters=letters, eps=eps)
        self.before = read(before, width, first)
        self.residual = self.shortcut = None
        self.join: GatedJoin | ScaledJoin | None = None
        if block.has_shortcut:
            word, convs = block.bridge(fork)
            self.residual = read(inside, fork, second, past=len(first))
            self.shortcut = read(word, fork, convs)
            if gate := block.gate(fork):
                gate_spec = LayerSpec(fork, gate, block.pool, block.drop, eps)
                self.join = GatedJoin(block.join, letters["C"].make(gate_spec))
            elif block.join.is_scaled:
                self.join = ScaledJoin(block.join)
        self.after = read(after, block.out(width), third, past=len(first) + len(second))

    def forward(self, x: Tensor) -> Tensor:
        """The one residual forward pass of the library."""
        x = self.before(x)
        if self.residual is None or self.shortcut is None:
            y: Tensor = self.after(x)
            return y
        residual, shortcut = self.residual(x), self.shortcut(x)
        return self.merge(x, residual, shortcut, may_overwrite=self.residual.has_new_output(residual))

    def merge(
        self, fork: Tensor, residual: Tensor, shortcut: Tensor, *, may_overwrite: bool = False
    ) -> Tensor:
        """The output of a block with a shortcut, from its two paths: after(residual + shortcut).

        Args:
            fork: What both paths read: before(x). A gate reads it.
            residual: Output of the residual branch.
            shortcut: Output of the shortcut, of the same shape.
            may_overwrite: Whether the memory of `residual` may be reused.
        """
        if self.join is None:
            x = residual_sum(residual, shortcut, may_overwrite=may_overwrite)
        else:
            x = self.join(fork, residual, shortcut)
        y: Tensor = self.after(x, may_overwrite=True)
        return y


class ForkBlock(nn.Module):
    """(N, width, H, W) -> (N, out, H/stride, W/stride): the maps of all branches, stacked by channel."""

    def __init__(
        self, fork: Fork, width: int, *, letters: Mapping[str, Letter] = LETTERS, eps: float = 1e-5
    ) -> None:
        """Build the layers of every branch behind a map of `width` channels."""
        super().__init__()
        self.branches = nn.ModuleList(
            spell(way.word, width, way.convs, pool=way.pool, drop=way.drop, letters=letters, eps=eps)
            for way in fork.branches
        )

    def forward(self, x: Tensor) -> Tensor:
        """Every branch reads `x`."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def make_block(block: Block | Fork, width: int, letters: Mapping[str, Letter], eps: float) -> nn.Module:
    """The module for `block` behind a map of `width` channels; `letters` and `eps` as in `spell`.

    Args:
        block: Word and shapes, or the branches of a fork.
        width: Channels of the input.
        letters: What each letter becomes.
        eps: Added to the variance in every norm.

    Returns:
        A `ForkBlock` for a fork, else a `ResidualBlock`.

    Raises:
        ConfigError: Two layers would have the same name, or a letter cannot build its layer.
    """
    if isinstance(block, Fork):
        return ForkBlock(block, width, letters=letters, eps=eps)
    return ResidualBlock(block, width, letters=letters, eps=eps)


class Classes(nn.Sequential):
    """A map (N, width, H, W) or (N, width, T, H, W), or vectors, -> logits (N, classes): a `Head`'s words."""

    def __init__(
        self,
        head: Head,
        width: int,
        classes: int,
        *,
        flat: bool = False,
        has_time: bool = False,
        letters: Mapping[str, Letter] = LETTERS,
    ) -> None:
        """Build the layers.

        Args:
            head: Word and widths.
            width: Channels of the input.
            classes: Outputs of the last layer.
            flat: Whether the input is vectors (N, width).
            has_time: Whether the input is maps (N, width, T, H, W).
            letters: What each letter becomes.
        """
        outs = (*head.widths, classes)
        convs = tuple(Conv(out, 1, bias=True) for out in outs)
        super().__init__()
        layers = spell(head.word, width * head.grid**2, convs, drop=head.drop, letters=letters)
        for name, layer in layers.named_children():
            self.add_module(name, layer)
        self.grid, self.flat, self.has_time, self.pool = head.grid, flat, has_time, str(head.pool)
        self.reads = outs[-2] if head.widths else width * head.grid**2

    def forward(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Reduce the map to the grid and over time, flatten it, run the layers.

        Args:
            x: Map or vectors; returned as they are once the layers are removed.
            pre_logits: Leave out the last layer: (N, head_hidden_size).
        """
        if not self.pool:
            return x
        if not self.flat:
            x = self._reduced(x).flatten(1)
        for layer in [*self][:-1] if pre_logits else self:
            x = layer(x)
        return x

    def _reduced(self, x: Tensor) -> Tensor:
        """The average, the maximum or the mean of both over each cell of the grid."""
        if self.pool == "avg":
            return self._average(x)
        return self._maximum(x) if self.pool == "max" else (self._average(x) + self._maximum(x)) / 2

    def _average(self, x: Tensor) -> Tensor:
        grid = self.grid
        if self.has_time:
            return adaptive_avg_pool3d(x, (1, grid, grid))
        if grid == 1:  # the bits of adaptive pooling, whose output has strides that exporters write down
            return x.mean((2, 3), keepdim=True)
        return adaptive_avg_pool2d(x, grid)

    def _maximum(self, x: Tensor) -> Tensor:
        grid = self.grid
        return adaptive_max_pool3d(x, (1, grid, grid)) if self.has_time else adaptive_max_pool2d(x, grid)

    def replace_last(self, classes: int, like: Tensor) -> None:
        """Make a new last layer for `classes` outputs on the device of `like`, or `nn.Identity` for 0."""
        *_, name = self._modules
        fresh = nn.Linear(self.reads, classes) if classes else nn.Identity()
        setattr(self, name, fresh.to(like.device, like.dtype).train(self.training))

    def remove_layers(self) -> None:
        """Remove all layers but the last: maps pass as they are."""
        *names, _ = self._modules
        for name in names:
            delattr(self, name)
        self.pool = ""


class SideClasses(nn.Module):
    """An auxiliary classifier: a map on the way (N, width, H, W) -> logits (N, classes)."""

    def __init__(
        self,
        side: Side,
        width: int,
        classes: int,
        *,
        has_time: bool = False,
        letters: Mapping[str, Letter] = LETTERS,
    ) -> None:
        """Build the layers behind a map of `width` channels, (N, width, T, H, W) if it `has_time`."""
        super().__init__()
        self.stem = spell(side.stem.word, width, side.stem.convs, pool=side.stem.pool, letters=letters)
        out = side.stem.out(width)
        self.head = Classes(side.head, out, classes, has_time=has_time, letters=letters)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the map `x`."""
        y: Tensor = self.head(self.stem(x))
        return y
