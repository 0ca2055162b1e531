"""Networks of He et al. 2015: plain and residual nets for ImageNet (table 1) and CIFAR-10 (section 4.2)."""

from collections.abc import Callable

from residua.spec import orders, widths
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv
from residua.spec.change import SHORTCUTS
from residua.spec.preprocess import Preprocess

Widths = Callable[[int, int], tuple[Conv, ...]]
Order = Callable[[int], str]

CIFAR = Preprocess(32, 32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
"""Mean and deviation of the 50,000 CIFAR-10 training images, per channel."""

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Table 1: blocks of conv2_x to conv5_x."""


def _stages(
    counts: tuple[int, ...], narrow: int, convs: Widths, order: Order, shortcut: tuple[str, bool]
) -> tuple[tuple[Block, ...], ...]:
    """Stages that halve the map and double the width, from `narrow` channels on (3.3)."""
    stages = []
    for index, count in enumerate(counts):
        shapes = [convs(narrow << index, 2 if index and not place else 1) for place in range(count)]
        stages.append(tuple(Block(order(len(shape)), shape, *shortcut) for shape in shapes))
    return tuple(stages)


def resnet(name: str, *, depth: int, convs: Widths, option: str = "B") -> Arch:
    """Table 1: a residual net for 224 x 224 images."""
    stages = _stages(BLOCKS[depth], 64, convs, orders.original, SHORTCUTS[option])
    stem = Block("CNAP", (Conv(64, 7, 2),))
    return Arch(name, "resnet", f"He et al. 2015, table 1, option {option}", stem, stages)


def plain(name: str, *, depth: int) -> Arch:
    """Figure 3, middle: the layers of the residual net, every shortcut removed."""
    stages = _stages(BLOCKS[depth], 64, widths.basic, orders.plain, ("", False))
    return Arch(name, "plain", "He et al. 2015, fig. 3", Block("CNAP", (Conv(64, 7, 2),)), stages)


def _cifar(name: str, depth: int, family: str, order: Order, shortcut: tuple[str, bool]) -> Arch:
    if depth < 8 or (depth - 2) % 6:
        low = max(8, depth - (depth - 2) % 6)
        raise ValueError(f"depth {depth} is not 6n+2: try {low} or {low + 6}")
    stages = _stages(((depth - 2) // 6,) * 3, 16, widths.basic, order, shortcut)
    stem = Block("CNA", (Conv(16),))
    return Arch(name, family, "He et al. 2015, 4.2", stem, stages, classes=10, preprocess=CIFAR)


def cifar_resnet(name: str, *, depth: int) -> Arch:
    """Section 4.2: 6n+2 layers of 16, 32 and 64 channels, option A. ValueError if depth is not 6n+2."""
    return _cifar(name, depth, "cifar_resnet", orders.original, SHORTCUTS["A"])


def cifar_plain(name: str, *, depth: int) -> Arch:
    """Section 4.2: the same layers without shortcuts. ValueError if depth is not 6n+2."""
    return _cifar(name, depth, "cifar_plain", orders.plain, ("", False))
