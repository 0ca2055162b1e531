"""Networks of Duta et al. 2020: ResStage, the max-pool projection (iResNet), and the grouped blocks."""

from functools import partial

from residua.spec import orders, widths
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv
from residua.spec.change import SHORTCUTS
from residua.spec.orders import Order
from residua.spec.zoo.he2015 import BLOCKS
from residua.spec.zoo.stages import CIFAR, CIFAR_STEM, IMAGENET_STEM, Widths, stages, thirds

DEEP = {**BLOCKS, 302: (4, 34, 58, 4), 404: (4, 46, 80, 4), 1001: (4, 155, 170, 4)}
"""Blocks of each stage, from the authors' code."""
STEM = Block("CNA", (Conv(64, 7, 2),))
"""2.2: no pool, for the first stage strides."""
PROJECTION = ("PCN", False)
"""2.2: a max-pool picks what a strided 1x1 convolution would skip."""
SPLIT_3002 = (334, 333, 333)
"""Ours: 3002 layers are 1000 bottlenecks, which three stages cannot share; the paper's split is not known."""


def resstage(name: str, *, depth: int, convs: Widths, order: Order = orders.resstage) -> Arch:
    """2.1: the layers of ResNet, with norms and activations placed by position in the stage.

    Args:
        name: Name of the network.
        depth: Layers: a key of `DEEP`.
        convs: (width, stride) -> convolutions of a block, e.g. `widths.bottleneck`.
        order: (number of convolutions, place in the stage) -> word.

    Returns:
        The network, for 1000 classes and images of 224 x 224 pixels.
    """
    blocks = stages(DEEP[depth], convs, order, narrow=64, shortcut=SHORTCUTS["B"])
    return Arch(name, "resstage", "Duta et al. 2020, 2.1", IMAGENET_STEM, blocks)


def iresnet(
    name: str, *, depth: int, convs: Widths, order: Order = orders.resstage, family: str = "iresnet"
) -> Arch:
    """2.2: ResStage with the max-pool projection; the stem's pool moves into the first stage.

    Args:
        name: Name of the network.
        depth: Layers: a key of `DEEP`.
        convs: (width, stride) -> convolutions of a block, e.g. `widths.bottleneck`.
        order: (number of convolutions, place in the stage) -> word.
        family: Family of the network.

    Returns:
        The network, for 1000 classes and images of 224 x 224 pixels.
    """
    blocks = stages(DEEP[depth], convs, order, narrow=64, shortcut=PROJECTION, first_stride=2)
    return Arch(name, family, "Duta et al. 2020, 2.2", STEM, blocks)


resstage_released = partial(resstage, order=orders.resstage_released)
iresnet_released = partial(iresnet, order=orders.resstage_released)
iresgroup = partial(iresnet, family="iresgroup")
iresgroup_released = partial(iresnet_released, family="iresgroup")
"""`_released` is what the authors' code runs: its in-place ReLU changes the shortcut, too."""


def resgroup(name: str, *, depth: int, convs: Widths) -> Arch:
    """2.3: the original order with wide grouped 3x3 convolutions.

    Args:
        name: Name of the network.
        depth: Layers: a key of `DEEP`.
        convs: (width, stride) -> convolutions of a block, e.g. `widths.resgroup`.

    Returns:
        The network, for 1000 classes and images of 224 x 224 pixels.
    """
    blocks = stages(DEEP[depth], convs, orders.original, narrow=64, shortcut=SHORTCUTS["B"])
    return Arch(name, "resgroup", "Duta et al. 2020, 2.3", IMAGENET_STEM, blocks)


def cifar_iresnet(name: str, *, depth: int) -> Arch:
    """ResStage and the max-pool projection on the CIFAR stages of He et al. 2016; the layout is ours.

    The authors' code holds no CIFAR network.
    """
    counts = SPLIT_3002 if depth == sum(SPLIT_3002) * 3 + 2 else thirds(name, depth, 3)
    blocks = stages(counts, widths.bottleneck, orders.resstage, narrow=16, shortcut=PROJECTION)
    source = "Duta et al. 2020, abstract; layout ours"
    return Arch(name, "cifar_iresnet", source, CIFAR_STEM, blocks, classes=10, preprocess=CIFAR)
