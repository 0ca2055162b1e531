"""Networks of He et al. 2016: full pre-activation, for ImageNet and CIFAR, and the deep CIFAR baselines."""

from residua.spec import orders, widths
from residua.spec.arch import Arch
from residua.spec.change import SHORTCUTS
from residua.spec.zoo.he2015 import BLOCKS
from residua.spec.zoo.stages import CIFAR, CIFAR_STEM, IMAGENET_STEM, Widths, stages, thirds

PROJECTION = ("C", False)
"""A bare 1x1 convolution, fed by the pre-activated signal (appendix)."""


def preresnet(name: str, *, depth: int, convs: Widths) -> Arch:
    """Pre-activation for 224 x 224 images as in FAIR's code: a whole stem, stride on the 3x3, `NA` last.

    FAIR's first block reads the stem's own activation; timm's resnetv2 drops the stem's norm and starts its
    first block with one instead: as many parameters, another function.

    Args:
        name: Name of the network.
        depth: Layers: a key of `he2015.BLOCKS`.
        convs: (width, stride) -> convolutions of a block, e.g. `widths.bottleneck`.

    Returns:
        The network, for 1000 classes.
    """
    blocks = stages(BLOCKS[depth], convs, orders.preactivation, narrow=64, shortcut=PROJECTION)
    return Arch(name, "preresnet", "He et al. 2016, fig. 4e and appendix", IMAGENET_STEM, blocks, "NA")


def cifar_preresnet(name: str, *, depth: int) -> Arch:
    """Pre-activation for CIFAR: 110 of basic blocks with option A, deeper ones of bottlenecks (appendix).

    Bottlenecks have their stride on the first 1x1, as in the authors' code.
    """
    basic = depth <= 110
    counts = thirds(name, depth, 2 if basic else 3)
    convs, shortcut = (widths.basic, SHORTCUTS["A"]) if basic else (widths.bottleneck_v1, PROJECTION)
    blocks = stages(counts, convs, orders.preactivation, narrow=16, shortcut=shortcut)
    source = "He et al. 2016, table 3 and appendix"
    return Arch(name, "cifar_preresnet", source, CIFAR_STEM, blocks, "NA", classes=10, preprocess=CIFAR)


def cifar_bottleneck(name: str, *, depth: int) -> Arch:
    """The original order in CIFAR bottlenecks, 9n+2 layers, option B (table 3, baseline)."""
    counts = thirds(name, depth, 3)
    blocks = stages(counts, widths.bottleneck, orders.original, narrow=16, shortcut=SHORTCUTS["B"])
    source = "He et al. 2016, table 3, baseline"
    return Arch(name, "cifar_resnet", source, CIFAR_STEM, blocks, classes=10, preprocess=CIFAR)
