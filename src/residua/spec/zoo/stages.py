"""Stages of blocks, each of which halves the map and doubles the width, as in all networks of the papers."""

from collections.abc import Callable

from residua.errors import ConfigError
from residua.spec.block import Block, Conv
from residua.spec.orders import Order, Place
from residua.spec.preprocess import Preprocess

Widths = Callable[[int, int], tuple[Conv, ...]]

CIFAR = Preprocess(32, 32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
"""Mean and deviation of the 50,000 CIFAR-10 training images, per channel."""
IMAGENET_STEM = Block("CNAP", (Conv(64, 7, 2),))
"""He et al. 2015, table 1: conv1 and the pool that opens conv2_x."""
CIFAR_STEM = Block("CNA", (Conv(16),))
"""He et al. 2015, 4.2: one 3x3 convolution of 16 channels."""


def stages(
    counts: tuple[int, ...],
    convs: Widths,
    order: Order,
    *,
    narrow: int,
    shortcut: tuple[str, bool],
    first_stride: int = 1,
) -> tuple[tuple[Block, ...], ...]:
    """Stages of a network.

    Args:
        counts: Number of blocks of each stage.
        convs: (width, stride) -> convolutions of a block.
        order: (number of convolutions, place in the stage) -> word.
        narrow: Width of the first stage; each later one is twice as wide.
        shortcut: Word of the shortcut, and whether every block has it.
        first_stride: Stride of the first block of the first stage; it is 2 in later ones.
    """
    built = []
    for stage, count in enumerate(counts):
        width, blocks = narrow << stage, dict[str, Block]()
        start, rest = convs(width, 2 if stage else first_stride), convs(width, 1)
        first = Block(order(len(start), Place(stage, 0, count)), start, *shortcut)
        words = [order(len(rest), Place(stage, index, count)) for index in range(1, count)]
        for word in words:
            if word not in blocks:  # equal blocks are one value: a thousand layers are checked once
                blocks[word] = Block(word, rest, *shortcut)
        built.append((first, *(blocks[word] for word in words)))
    return tuple(built)


def thirds(name: str, depth: int, layers: int) -> tuple[int, ...]:
    """Blocks in each of three stages of a CIFAR network, whose depth is 3 * layers * n + 2.

    Args:
        name: Name of the network, for the message.
        depth: Layers of the network.
        layers: Layers of a block.

    Raises:
        ConfigError: No number of blocks gives that depth; the message suggests one.
    """
    each, rest = divmod(depth - 2, 3 * layers)
    if each < 1 or rest:
        low = max(1, each) * 3 * layers + 2
        raise ConfigError(f"{name}: depth {depth} is not {3 * layers}n+2: try {low} or {low + 3 * layers}")
    return (each,) * 3
