"""Networks that residual nets are held against and that belong to none of the three papers."""

from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv, Pool
from residua.spec.zoo.stages import CIFAR


def smallconvnet(name: str) -> Arch:
    """The network people build first: stacked 3x3 convolutions, max-pool, dropout, fully connected layers.

    Ours, for 32 x 32 images: no norm and no shortcut, two convolutions of 32, 64 and 128 channels before
    each of three pools, then 256 hidden units.
    """
    halve = Pool(2, 2, 0)
    pairs = [(Conv(width, bias=True), Conv(width, bias=True)) for width in (32, 64, 128)]
    stem, *rest = [Block("CA CA P", pair, pool=halve) for pair in pairs]
    head = Head("D LA D L", (256,), grid=4)
    return Arch(
        name, "convnet", "stacked convnet (ours)", stem, tuple((b,) for b in rest), "", head, 10, CIFAR
    )
