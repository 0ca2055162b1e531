"""Arch with larger maps: strides of late stages become dilations, as for segmentation and detection."""

from dataclasses import replace

from residua.errors import ConfigError
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv, Fork
from residua.spec.record import check_field
from residua.spec.word import POOLS

OUTPUT_STRIDES = (8, 16, 32)
"""How many times smaller than the image the last map may be, as in timm."""


def with_output_stride(arch: Arch, stride: int) -> Arch:
    """`arch` whose last map is at most `stride` times smaller than the image.

    Strides that would shrink the map further become 1. The convolutions behind them read pixels that are as
    many times further apart (dilation, Yu and Koltun 2016), so that the same weights see the same pixels.

    Args:
        arch: A residual network for images.
        stride: One of `OUTPUT_STRIDES`. A network that shrinks less stays as it is.

    Raises:
        ConfigError: `stride` is another number, or a block that would shrink the map cannot be dilated.
    """
    allowed = f"{', '.join(map(str, OUTPUT_STRIDES[:-1]))} or {OUTPUT_STRIDES[-1]}"
    check_field("output_stride", stride, stride in OUTPUT_STRIDES, allowed)
    at, dilation = arch.stem.stride(), 1
    if arch.strides()[-1] <= stride:
        return arch
    if arch.has_time:
        raise ConfigError(f"{arch.name} reads clips: output_stride is of networks for images")
    stages = []
    for stage in arch.stages:
        blocks: list[Block | Fork] = []
        for block in stage:
            step = block.stride()
            if (step > 1 and at * step > stride) or dilation > 1:
                block = _dilated(arch, block, dilation)
                dilation *= step
            else:
                at *= step
            blocks.append(block)
        stages.append(tuple(blocks))
    if at > stride:
        raise ConfigError(f"output_stride is {stride}: the stem of {arch.name} shrinks the image {at} times")
    return replace(arch, stages=tuple(stages))


def like(arch: Arch, other: Arch) -> Arch:
    """`arch` with the output stride of `other`, if that one is dilated; else `arch` itself."""
    convs = (conv for block in other.residual_blocks() for conv in block.convs)
    if not any(conv.dilation > 1 for conv in convs):
        return arch
    return with_output_stride(arch, other.strides()[-1])


def _dilated(arch: Arch, block: Block | Fork, dilation: int) -> Block:
    """`block` with stride 1 on a map whose neighbouring pixels are `dilation` times too near."""
    if isinstance(block, Fork) or not block.has_shortcut or set(POOLS) & set(block.word):
        raise ConfigError(
            f"{arch.name} has blocks without shortcut, branches or pools, which cannot be dilated: "
            "leave output_stride out, or choose a residual network"
        )
    convs: list[Conv] = []
    for conv in block.convs:
        if conv.kernel > 1 and conv.padding is not None:
            raise ConfigError(f"{conv} of {arch.name} has a padding of its own: leave output_stride out")
        apart = dilation if conv.kernel > 1 else 1
        convs.append(replace(conv, stride=1, dilation=conv.dilation * apart))
        dilation *= conv.stride
    return replace(block, convs=tuple(convs))
