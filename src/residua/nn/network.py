"""From words to layers, the one residual forward pass, and the network around it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.checkpoint import checkpoint

from residua.nn.initialise import he_normal
from residua.nn.letters import LETTERS, Given, Letter
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv, Pool
from residua.spec.change import with_classes


def spell(
    word: str,
    width: int,
    convs: tuple[Conv, ...],
    *,
    pool: Pool | None = None,
    drop: float = 0.0,
    past: int = 0,
    letters: Mapping[str, Letter] = LETTERS,
) -> nn.Sequential:
    """The layers of `word` for `width` channels, named by letter and convolutions so far: `norm2`.

    `past` counts the convolutions of the block that came before. ValueError when two layers would share a
    name.
    """
    layers, unread = nn.Sequential(), list(convs)
    for letter in word.replace(" ", ""):
        row = letters[letter]
        conv = unread.pop(0) if row.reads else Conv(width, 1)
        past += row.reads
        name = f"{row.name}{past}"
        if name in dict(layers.named_children()):
            raise ValueError(f"{word!r} has {letter} twice without a convolution between: remove one")
        layers.add_module(name, row.make(Given(width, conv, pool or Pool(), drop)))
        width = conv.out
    return layers


class ResidualBlock(nn.Module):
    """(N, width, H, W) -> (N, out, H/stride, W/stride): after(residual(b) + shortcut(b)), b = before(x).

    A word without brackets has no residual and no shortcut: before(x) is all there is.
    """

    def __init__(self, block: Block, width: int, *, letters: Mapping[str, Letter] = LETTERS) -> None:
        """Layers for `block` behind a map of `width` channels."""
        super().__init__()
        (before, first), (inside, second), (after, third) = block.parts()
        fork = first[-1].out if first else width
        read = partial(spell, pool=block.pool, drop=block.drop, letters=letters)
        self.before = read(before, width, first)
        self.residual = self.shortcut = None
        if block.has_shortcut:
            word, convs = block.bridge(fork)
            self.residual = read(inside, fork, second, past=len(first))
            self.shortcut = read(word, fork, convs)
        self.after = read(after, block.out(width), third, past=len(first) + len(second))

    def forward(self, x: Tensor) -> Tensor:
        """The one residual forward pass of the library."""
        x = self.before(x)
        if self.residual is not None and self.shortcut is not None:
            x = self.residual(x) + self.shortcut(x)
        y: Tensor = self.after(x)
        return y


class Network(nn.Module):
    """Any `Arch` as a module: images (N, C, H, W) float in, logits (N, classes) out.

    `arch` is what it was spelled from; `preprocess` how pixels become its input; `class_names` what its
    outputs mean (empty until it is trained or loaded).
    """

    def __init__(self, arch: Arch, *, letters: Mapping[str, Letter] = LETTERS) -> None:
        """Fresh He-normal weights, drawn from torch's global generator."""
        super().__init__()
        self.arch, self.preprocess = arch, arch.preprocess
        self.class_names: tuple[str, ...] = ()
        self.checkpoints_blocks = False
        width = arch.stem.out(arch.channels)
        self.stem = spell(
            arch.stem.word, arch.channels, arch.stem.convs, pool=arch.stem.pool, letters=letters
        )
        self.stages = nn.Sequential()
        for stage in arch.stages:
            blocks = nn.Sequential()
            for block in stage:
                blocks.append(ResidualBlock(block, width, letters=letters))
                width = block.out(width)
            self.stages.append(blocks)
        self.tail = spell(arch.tail, width, (), letters=letters)
        outs = (*arch.head.widths, arch.classes)
        self.head = spell(
            arch.head.word,
            width * arch.head.grid**2,
            tuple(Conv(out, 1) for out in outs),
            drop=arch.head.drop,
            letters=letters,
        )
        self.num_features = arch.head.widths[-1] if arch.head.widths else width * arch.head.grid**2
        he_normal(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the last map (N, width, H/stride, W/stride), after the tail."""
        x = self.stem(x)
        for stage in self.stages:
            for block in stage.children():
                recompute = self.checkpoints_blocks and x.requires_grad
                x = _recomputed(block, x) if recompute else block(x)
        y: Tensor = self.tail(x)
        return y

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """The last map -> logits (N, classes), or what the last linear layer reads (N, num_features)."""
        x = adaptive_avg_pool2d(x, self.arch.head.grid).flatten(1)
        for layer in list(self.head)[:-1] if pre_logits else self.head:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float -> logits (N, classes) float."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.head[-1]

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh last layer for `num_classes` outputs; 0 leaves the features, (N, num_features)."""
        name = list(self.head._modules)[-1]
        fresh = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        like = next(self.parameters())
        setattr(self.head, name, fresh.to(like.device, like.dtype))
        if num_classes:
            self.arch = with_classes(self.arch, num_classes)
        self.class_names = ()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.checkpoints_blocks = enable


def _recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """`block(x)`, computed again in the backward pass, where norms must not count the batch a second time."""
    y: Tensor = checkpoint(
        block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _uncounted(block))
    )
    return y


@contextmanager
def _uncounted(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    held = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, counter in held:
        norm.momentum = 0.0
        norm.num_batches_tracked = counter.clone() if counter is not None else None
    try:
        yield
    finally:
        for norm, momentum, counter in held:
            norm.momentum, norm.num_batches_tracked = momentum, counter


def build(arch: Arch) -> Network:
    """The network that `arch` spells, with fresh weights; seed torch first for a known draw."""
    return Network(arch)
