"""Networks to compare residual networks with, which are from none of the three papers."""

from residua.spec.arch import Arch, Head, Side
from residua.spec.block import Block, Conv, Fork, Pool
from residua.spec.preprocess import IMAGENET, Preprocess
from residua.spec.zoo.stages import CIFAR

HALVE = Pool(2, 2, 0)
CAFFE_POOL = Pool(3, 2, 0, ceil=True)
"""Pool of AlexNet and GoogLeNet."""
HIDDEN = (4096, 4096)
"""Hidden units of AlexNet and VGG."""


def smallconvnet(name: str) -> Arch:
    """A beginner's network: stacked 3x3 convolutions, max-pool, dropout, fully connected layers.

    Ours, for 32 x 32 images: no norm and no shortcut, two convolutions of 32, 64 and 128 channels before
    each of three pools, then 256 hidden units.
    """
    stem, *rest = [_stack((width, width), norm=False) for width in (32, 64, 128)]
    head = Head("D LA D L", (256,), grid=4)
    return Arch(
        name, "convnet", "stacked convnet (ours)", stem, tuple((b,) for b in rest), "", head, 10, CIFAR
    )


def resmlp(name: str) -> Arch:
    """Residual fully connected layers for flat inputs; ours: eight blocks of two layers of 256 units.

    Drawn for the 8 x 8 digits; another size or number of channels makes another first layer.
    """
    width = Conv(256, 1)
    stages = ((Block("(LNA LN)A", (width, width), "LN"),) * 8,)
    source = "the block of He et al. 2015, fig. 2, with linear layers (ours)"
    return Arch(name, "resmlp", source, Block("LNA", (width,)), stages, classes=10, preprocess=DIGITS)


DIGITS = Preprocess(8, 8, (0.3053,), (0.3760,), "grey")
"""Mean and deviation of the 1,797 digits of scikit-learn."""


def alexnet(name: str) -> Arch:
    """torchvision's: one tower of 64, 192, 384, 256 and 256 channels, no response norm, 224 pixels."""
    pool = Pool(3, 2, 0)
    stem = Block("CAP", (Conv(64, 11, 4, bias=True, padding=2),), pool=pool)
    middle = Block("CAP", (Conv(192, 5, bias=True),), pool=pool)
    last = Block("CA CA CAP", tuple(Conv(width, bias=True) for width in (384, 256, 256)), pool=pool)
    head = Head("D LA D LA L", HIDDEN, grid=6)
    return Arch(
        name, "alexnet", "Krizhevsky et al. 2012, as torchvision", stem, ((middle,), (last,)), "", head
    )


def alexnet_2012(name: str) -> Arch:
    """As published: two groups where the towers are separate, response norm, 227 pixels (224 in print)."""
    stem = Block("CARP", (Conv(96, 11, 4, bias=True, padding=0),), pool=CAFFE_POOL)
    middle = Block("CARP", (Conv(256, 5, groups=2, bias=True),), pool=CAFFE_POOL)
    shapes = (Conv(384, bias=True), Conv(384, groups=2, bias=True), Conv(256, groups=2, bias=True))
    last = Block("CA CA CAP", shapes, pool=CAFFE_POOL)
    head = Head("LAD LAD L", HIDDEN, grid=6)
    preprocess = Preprocess(227, 256, IMAGENET.mean, IMAGENET.std)
    source = "Krizhevsky et al. 2012, sizes as in Caffe's model"
    return Arch(name, "alexnet", source, stem, ((middle,), (last,)), "", head, preprocess=preprocess)


VGG = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions before each pool (Simonyan and Zisserman 2015, table 1, D and E)."""


def vgg(name: str, *, depth: int, norm: bool = False) -> Arch:
    """Stacked 3x3 convolutions of 64 to 512 channels and three linear layers; torchvision's with `norm`.

    Args:
        name: Name of the network.
        depth: Layers: 16 or 19, a key of `VGG`.
        norm: Whether a batch norm follows each convolution.

    Returns:
        The network, for 1000 classes and images of 224 x 224 pixels.
    """
    widths = (64, 128, 256, 512, 512)
    stem, *rest = [_stack((w,) * n, norm=norm) for w, n in zip(widths, VGG[depth], strict=True)]
    source = "Simonyan and Zisserman 2015, table 1" + (", norms as torchvision" if norm else "")
    return Arch(name, "vgg", source, stem, tuple((b,) for b in rest), "", Head("LAD LAD L", HIDDEN, grid=7))


def _stack(widths: tuple[int, ...], *, norm: bool) -> Block:
    """Convolutions of `widths` channels and a pool that halves the map."""
    word = " ".join(["CNA" if norm else "CA"] * len(widths)) + " P"
    return Block(word, tuple(Conv(width, bias=True) for width in widths), pool=HALVE)


INCEPTIONS = (
    ((64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)),
    (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ),
    ((256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)),
)
"""3a to 5b: widths of the 1x1, of the 3x3 and 5x5 with their reductions, and after the pool (table 1)."""


def googlenet(name: str) -> Arch:
    """torchvision's: a norm after every convolution, and 3x3 where the paper has 5x5; no auxiliary heads.

    torchvision's published weights expect pixels with mean and deviation 0.5 (its `transform_input`).
    """
    stem = Block("CNAP CNA CNA P", (Conv(64, 7, 2), Conv(64, 1), Conv(192)), pool=CAFFE_POOL)
    source = "Szegedy et al. 2015, as torchvision"
    stages = _inceptions("CNA", bias=False, large=3, pools=(CAFFE_POOL, Pool(2, 2, 0, ceil=True)))
    return Arch(name, "googlenet", source, stem, stages, "", Head("DL", drop=0.2), norm_eps=1e-3)


def googlenet_2014(name: str) -> Arch:
    """As published: no norms but two response norms, 5x5 branches, auxiliary heads behind 4a and 4d."""
    shapes = (Conv(64, 7, 2, bias=True), Conv(64, 1, bias=True), Conv(192, bias=True))
    stem = Block("CAPR CA CAR P", shapes, pool=CAFFE_POOL)
    stages = _inceptions("CA", bias=True, large=5, pools=(CAFFE_POOL, CAFFE_POOL))
    small = Block("VCA", (Conv(128, 1, bias=True),), pool=Pool(5, 3, 0, ceil=True))
    sides = tuple(Side(1, block, small, Head("LADL", (1024,), grid=4, drop=0.7)) for block in (1, 4))
    source = "Szegedy et al. 2015, table 1"
    return Arch(name, "googlenet", source, stem, stages, "", Head("DL", drop=0.4), sides=sides)


def _inceptions(
    unit: str, *, bias: bool, large: int, pools: tuple[Pool, Pool]
) -> tuple[tuple[Block | Fork, ...], ...]:
    """Stages 3 to 5, a pool before the second and the third; `large` is the kernel of the widest branch."""

    def fork(one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> Fork:
        return Fork(
            (
                Block(unit, (Conv(one, 1, bias=bias),)),
                Block(f"{unit} {unit}", (Conv(three[0], 1, bias=bias), Conv(three[1], bias=bias))),
                Block(f"{unit} {unit}", (Conv(five[0], 1, bias=bias), Conv(five[1], large, bias=bias))),
                Block(f"P {unit}", (Conv(pooled, 1, bias=bias),), pool=Pool(3, 1, 1, ceil=True)),
            )
        )

    first, fourth, fifth = [tuple(fork(*widths) for widths in stage) for stage in INCEPTIONS]
    return first, (Block("P", pool=pools[0]), *fourth), (Block("P", pool=pools[1]), *fifth)
