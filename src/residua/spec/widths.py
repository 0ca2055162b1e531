"""The convolutions inside a block: (width, stride) -> a tuple of Conv."""

from residua.spec.block import Conv


def basic(width: int, stride: int) -> tuple[Conv, ...]:
    """Two 3x3 convolutions of `width` channels, the first with the stride (He et al. 2015, fig. 5 left)."""
    return Conv(width, 3, stride), Conv(width)


def bottleneck(width: int, stride: int) -> tuple[Conv, ...]:
    """1x1, 3x3, 1x1, four times wider at the end, stride on the 3x3 (He et al. 2015, fig. 5 right; v1.5)."""
    return Conv(width, 1), Conv(width, 3, stride), Conv(4 * width, 1)


def bottleneck_v1(width: int, stride: int) -> tuple[Conv, ...]:
    """The same with the stride on the first 1x1, as in the authors' own model files (res3a_branch2a)."""
    return Conv(width, 1, stride), Conv(width), Conv(4 * width, 1)


def resnext(width: int, stride: int) -> tuple[Conv, ...]:
    """A bottleneck whose 3x3 is twice as wide, in 32 groups (ResNeXt 32x4d, as in torchvision)."""
    return Conv(2 * width, 1), Conv(2 * width, 3, stride, groups=32), Conv(4 * width, 1)


def wide(width: int, stride: int) -> tuple[Conv, ...]:
    """A bottleneck whose 3x3 is twice as wide (Wide ResNet-50-2, as in torchvision)."""
    return Conv(2 * width, 1), Conv(2 * width, 3, stride), Conv(4 * width, 1)


def resgroup(width: int, stride: int) -> tuple[Conv, ...]:
    """The 3x3 has four times `width` channels, 32 to a group; half come out (Duta et al. 2020, 2.3)."""
    return Conv(4 * width, 1), Conv(4 * width, 3, stride, groups=width // 8), Conv(2 * width, 1)


def resgroupfix(width: int, stride: int) -> tuple[Conv, ...]:
    """The same in 64 groups at every width (Duta et al. 2020, 2.3)."""
    return Conv(4 * width, 1), Conv(4 * width, 3, stride, groups=64), Conv(2 * width, 1)
