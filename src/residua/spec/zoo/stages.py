"""What every network of the papers shares: stages that halve the map and double the width."""

from collections.abc import Callable

from residua.spec.block import Block, Conv
from residua.spec.orders import Order, Place
from residua.spec.preprocess import Preprocess

Widths = Callable[[int, int], tuple[Conv, ...]]

CIFAR = Preprocess(32, 32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
"""Mean and deviation of the 50,000 CIFAR-10 training images, per channel."""
IMAGENET_STEM = Block("CNAP", (Conv(64, 7, 2),))
"""He et al. 2015, table 1: conv1 and the pool that opens conv2_x."""
CIFAR_STEM = Block("CNA", (Conv(16),))
"""He et al. 2015, 4.2."""


def stages(
    counts: tuple[int, ...],
    convs: Widths,
    order: Order,
    *,
    narrow: int,
    shortcut: tuple[str, bool],
    first_stride: int = 1,
) -> tuple[tuple[Block, ...], ...]:
    """`counts[i]` blocks in stage i, `narrow` channels wide at first, with a stride where a stage starts.

    `shortcut` is the word around the brackets, and whether it is spelled in every block.
    """
    found = []
    for stage, count in enumerate(counts):
        width, made = narrow << stage, dict[str, Block]()
        start, rest = convs(width, 2 if stage else first_stride), convs(width, 1)
        first = Block(order(len(start), Place(stage, 0, count)), start, *shortcut)
        words = [order(len(rest), Place(stage, index, count)) for index in range(1, count)]
        for word in words:
            if word not in made:  # equal blocks are one value: a thousand layers are checked once
                made[word] = Block(word, rest, *shortcut)
        found.append((first, *(made[word] for word in words)))
    return tuple(found)


def thirds(name: str, depth: int, layers: int) -> tuple[int, ...]:
    """Blocks in each of three stages, `depth` being 3 * `layers` * n + 2; ValueError offers such depths."""
    each, rest = divmod(depth - 2, 3 * layers)
    if each < 1 or rest:
        low = max(1, each) * 3 * layers + 2
        raise ValueError(f"{name}: depth {depth} is not {3 * layers}n+2: try {low} or {low + 3 * layers}")
    return (each,) * 3
