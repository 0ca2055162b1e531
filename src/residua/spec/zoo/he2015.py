"""Networks of He et al. 2015: plain and residual nets for ImageNet (table 1) and CIFAR-10 (section 4.2)."""

from residua.spec import orders, widths
from residua.spec.arch import Arch
from residua.spec.change import SHORTCUTS
from residua.spec.zoo.stages import CIFAR, CIFAR_STEM, IMAGENET_STEM, Widths, stages, thirds

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Table 1: blocks of conv2_x to conv5_x; 200 is of He et al. 2016, appendix."""


SOURCE = "He et al. 2015, table 1"
OTHER_SOURCES = {
    "resnet200": "He et al. 2016, table 5, original",
    "resnext50_32x4d": "Xie et al. 2017, table 1, as in torchvision",
    "wide_resnet50_2": "Zagoruyko and Komodakis 2016, table 8, as in torchvision",
}
"""Networks of the same layout that another paper introduced -> where."""


def resnet(name: str, *, depth: int, convs: Widths, option: str = "B", family: str = "resnet") -> Arch:
    """Table 1: a residual net for 224 x 224 images.

    Args:
        name: Name of the network.
        depth: Layers: a key of `BLOCKS`.
        convs: (width, stride) -> convolutions of a block, e.g. `widths.bottleneck`.
        option: Shortcut A, B or C (4.1), a key of `SHORTCUTS`.
        family: Family of the network.

    Returns:
        The network, for 1000 classes.
    """
    blocks = stages(BLOCKS[depth], convs, orders.original, narrow=64, shortcut=SHORTCUTS[option])
    return Arch(name, family, OTHER_SOURCES.get(name, f"{SOURCE}, option {option}"), IMAGENET_STEM, blocks)


def plain(name: str, *, depth: int) -> Arch:
    """Figure 3, middle: the layers of the residual net, every shortcut removed."""
    blocks = stages(BLOCKS[depth], widths.basic, orders.plain, narrow=64, shortcut=("", False))
    return Arch(name, "plain", "He et al. 2015, fig. 3", IMAGENET_STEM, blocks)


def cifar_resnet(name: str, *, depth: int) -> Arch:
    """Section 4.2: 6n+2 layers of 16, 32 and 64 channels, option A."""
    counts = thirds(name, depth, 2)
    blocks = stages(counts, widths.basic, orders.original, narrow=16, shortcut=SHORTCUTS["A"])
    source = "He et al. 2015, 4.2"
    return Arch(name, "cifar_resnet", source, CIFAR_STEM, blocks, classes=10, preprocess=CIFAR)


def cifar_plain(name: str, *, depth: int) -> Arch:
    """Section 4.2: the same layers without shortcuts."""
    blocks = stages(thirds(name, depth, 2), widths.basic, orders.plain, narrow=16, shortcut=("", False))
    source = "He et al. 2015, 4.2"
    return Arch(name, "cifar_plain", source, CIFAR_STEM, blocks, classes=10, preprocess=CIFAR)
