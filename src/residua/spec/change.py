"""Arch -> Arch: changes of a network, each a pure function."""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import cast, get_args

from residua.errors import ConfigError
from residua.spec.arch import Arch, GlobalPool
from residua.spec.block import Block, Join
from residua.spec.orders import ORDERS, Place, preactivation
from residua.spec.preprocess import MAX_CHANNELS, MAX_SIDE, Colour, Preprocess, resize_in_proportion
from residua.spec.record import check_field, check_range, nearest
from residua.spec.word import split_word

SHORTCUTS: dict[str, tuple[str, bool]] = {
    "A": ("Z", False),
    "A_after": ("E", False),
    "B": ("CN", False),
    "C": ("CN", True),
}
"""He et al. 2015, 4.1: option -> shortcut word, and whether it is spelled where shapes agree. The paper does
not say where the zeros of option A are: `A` has half before the old channels, `A_after` all behind them."""
GATE_BIAS = -6.0
"""Initial bias of a gate: the best one of He et al. 2016, table 1, for both kinds."""
SHORTCUT_VARIANTS: dict[str, Callable[[Block], Block]] = {
    "gate": lambda b: replace(b, join=Join("shortcut", GATE_BIAS)),
    "exclusive_gate": lambda b: replace(b, join=Join("exclusive", GATE_BIAS)),
    "conv": lambda b: replace(b, shortcut="CN", always=True),
    "dropout": lambda b: replace(b, shortcut=f"{b.shortcut}D", always=True, drop=0.5),
}
"""He et al. 2016, table 1: how each variant changes a block; constant scaling is written `scale0.5`."""


def with_classes(arch: Arch, classes: int) -> Arch:
    """`arch` with `classes` outputs, at least 1."""
    return replace(arch, classes=classes)


def with_drop_rate(arch: Arch, rate: float) -> Arch:
    """`arch` with another dropout before its last linear layer.

    Args:
        arch: The network; if its head has dropouts, all of them change.
        rate: Share of values that training sets to zero, from 0 (no dropout) to below 1.

    Raises:
        ConfigError: `rate` is out of range.
    """
    check_field("drop_rate", rate, 0 <= rate < 1, "a share from 0 to below 1")
    head, word = arch.head, arch.head.word.replace(" ", "")
    if not rate:
        return replace(arch, head=replace(head, word=word.replace("D", ""))) if "D" in word else arch
    word = head.word if "D" in word else f"{word[:-1]}DL"
    return replace(arch, head=replace(head, word=word, drop=rate))


def with_global_pool(arch: Arch, pool: str) -> Arch:
    """`arch` whose head takes the average, the maximum or the mean of both over each cell of the last map.

    Args:
        arch: A network with maps.
        pool: `avg`, `max` or `avgmax`.

    Raises:
        ConfigError: There is no such pool, or `arch` has no maps.
    """
    if pool not in get_args(GlobalPool):
        raise ConfigError(f"no global_pool {pool!r}: {nearest(pool, get_args(GlobalPool))}")
    if arch.is_flat and pool != arch.head.pool:
        raise ConfigError(f"{arch.name} has no map to pool: leave global_pool out")
    return replace(arch, head=replace(arch.head, pool=cast("GlobalPool", pool)))


def with_preprocess(arch: Arch, preprocess: Preprocess) -> Arch:
    """`arch` for other images: their size, channels and statistics."""
    return replace(arch, preprocess=preprocess)


def with_channels(arch: Arch, channels: int) -> Arch:
    """`arch` for images with another number of channels; mean and deviation become those of all channels.

    Args:
        arch: The network.
        channels: 3 for colour, 1 for grey, any other number for bands.

    Raises:
        ConfigError: `channels` is below 1, or above `MAX_CHANNELS`.
    """
    allowed = f"1 (grey), 3 (rgb) or any other number of bands, at most {MAX_CHANNELS}"
    check_field("in_chans", channels, 1 <= channels <= MAX_CHANNELS, allowed)
    if channels == arch.channels:
        return arch
    old = arch.preprocess
    mean, std = sum(old.mean) / len(old.mean), sum(old.std) / len(old.std)
    known: dict[int, Colour] = {1: "grey", 3: "rgb"}
    colour = known.get(channels, "bands")
    means, deviations = (mean,) * channels, (std,) * channels
    return with_preprocess(arch, replace(old, colour=colour, mean=means, std=deviations, mean_image=""))


def with_size(arch: Arch, size: int) -> Arch:
    """`arch` for images of `size` x `size` pixels; the size before the crop changes in proportion.

    Raises:
        ConfigError: `size` is below 1, or above what the size before the crop allows.
    """
    old = arch.preprocess
    check_range("img_size", size, 1, MAX_SIDE * old.size // old.resize)
    return with_preprocess(arch, replace(old, size=size, resize=resize_in_proportion(old, size)))


def with_shortcut(arch: Arch, option: str) -> Arch:
    """`arch` with other shortcuts in every block.

    Args:
        arch: A residual network.
        option: `A`, `A_after`, `B` or `C` (He et al. 2015, 4.1), or a variant of He et al. 2016, table 1:
            `gate`, `exclusive_gate`, `conv`, `dropout`; `gate-3` sets the bias of the gate, `scale0.5`
            multiplies the shortcut by 0.5, `scale0.5,0.5` also the residual.

    Raises:
        ConfigError: There is no such option, or `arch` has no shortcuts.
    """
    if not arch.residual_blocks():
        raise ConfigError(f"{arch.name} has no shortcuts to change: choose a residual network")
    change = _shortcut_change(option)
    return _each_block(arch, lambda block: change(block) if block.has_shortcut else block)


def shortcut_name(option: str) -> str:
    """The shortest spelling of a shortcut option: `gate` for `gate-6.0`, `scale0.5` for `scale.50,1`."""
    if option in SHORTCUTS or option in SHORTCUT_VARIANTS:
        return option
    kind, first, second = _numbers(option)
    if kind == "scale":
        return f"scale{_digits(first)}" + (f",{_digits(second)}" if second != 1 else "")
    return kind if first == GATE_BIAS else f"{kind}{_digits(first)}"


def _digits(number: float) -> str:
    """`number` without an exponent and without a needless `.0`."""
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def _shortcut_change(option: str) -> Callable[[Block], Block]:
    if option in SHORTCUTS:
        word, always = SHORTCUTS[option]
        return lambda b: replace(b, shortcut=word, always=always, join=Join())
    if option in SHORTCUT_VARIANTS:
        return SHORTCUT_VARIANTS[option]
    kind, first, second = _numbers(option)
    if kind == "scale":
        return lambda b: replace(b, join=Join(shortcut=first, residual=second))
    return lambda b: replace(b, join=replace(SHORTCUT_VARIANTS[kind](b).join, bias=first))


def _numbers(option: str) -> tuple[str, float, float]:
    """`scale`, `gate` or `exclusive_gate`, and the numbers behind it; the second is 1 where there is none."""
    number = r"(-?(?:\d+(?:\.\d+)?|\.\d+))"
    match = re.fullmatch(rf"(scale|gate|exclusive_gate){number}(?:,{number})?", option)
    if not match or (match[3] and match[1] != "scale"):
        known = (*SHORTCUTS, *SHORTCUT_VARIANTS, "scale0.5", "scale0.5,0.5")
        raise ConfigError(f"no shortcut option {option!r}: {nearest(option, known)}")
    return match[1], float(match[2]), float(match[3] or 1)


def with_drop_path(arch: Arch, rate: float) -> Arch:
    """`arch` with stochastic depth (Huang et al. 2016): training drops residual branches at random.

    Args:
        arch: A residual network.
        rate: Share of images for which the last block drops its branch, from 0 to below 1. It grows evenly
            from 0 at the first block, as in timm.

    Raises:
        ConfigError: `rate` is out of range, or `arch` has no shortcuts or a dropout already.
    """
    if not 0 <= rate < 1:
        raise ConfigError(f"drop_path_rate is {rate}: give a share from 0 to below 1")
    count, number = len(arch.residual_blocks()), 0
    if not count:
        raise ConfigError(
            f"{arch.name} has no shortcuts, so no path can be dropped: choose a residual network"
        )

    def add_drop(block: Block) -> Block:
        nonlocal number
        if not block.has_shortcut:
            return block
        if block.drop:
            raise ConfigError(f"{block.word!r} of {arch.name} has a dropout: leave out drop_path_rate")
        share, number = rate * number / max(1, count - 1), number + 1
        before, inside, after = split_word(block.word)
        return replace(block, word=f"{before}({inside}S){after}", drop=share) if share else block

    return _each_block(arch, add_drop)


STRIDES = ("1x1", "3x3")
"""Convolutions of a bottleneck that may have its stride: the first, or the second."""
BOTTLENECK = (1, 3, 1)
"""Sides of the kernels of a bottleneck."""


def with_stride_on(arch: Arch, kernel: str) -> Arch:
    """`arch` whose bottlenecks have their stride on another convolution.

    Published ResNets differ in this: the authors' model files of 2015 and their code of 2016 have it on the
    first 1x1, torchvision and fb.resnet.torch on the 3x3. Parameters stay, multiply-adds change.

    Args:
        arch: A network with bottlenecks.
        kernel: `1x1` or `3x3`.

    Raises:
        ConfigError: There is no such convolution, or no block is a bottleneck.
    """
    if kernel not in STRIDES:
        raise ConfigError(f"no stride_on {kernel!r}: {nearest(kernel, STRIDES)}")
    if not any(_is_bottleneck(block) for block in arch.blocks()):
        raise ConfigError(f"{arch.name} has no bottleneck, so its stride stays: leave stride_on out")

    def move(block: Block) -> Block:
        if not _is_bottleneck(block):
            return block
        first, second, last = block.convs
        strides = (first.stride * second.stride, 1)
        on_first, on_second = strides if kernel == "1x1" else strides[::-1]
        return replace(
            block, convs=(replace(first, stride=on_first), replace(second, stride=on_second), last)
        )

    return _each_block(arch, move)


def _is_bottleneck(block: object) -> bool:
    return isinstance(block, Block) and tuple(conv.kernel for conv in block.convs) == BOTTLENECK


OPENINGS = ("fair", "timm", "mxnet")
"""Published versions of the first layers of a pre-activation network for ImageNet."""


def with_opening(arch: Arch, opening: str) -> Arch:
    """A pre-activation network with other first layers. `fair` and `timm` have equally many parameters.

    Args:
        arch: One of preresnet18 to preresnet200.
        opening: `fair` (the default): stem `CNAP`, and no norm before the first convolution of the first
            block. `timm`: stem `CP`, and the first block starts with norm and activation. `mxnet`: stem
            `NCNAP`, with a norm on the pixels; the first block starts with both and always projects.

    Raises:
        ConfigError: There is no such opening, or `arch` is another network or has another order.
    """
    if opening not in OPENINGS:
        raise ConfigError(f"no opening {opening!r}: {nearest(opening, OPENINGS)}")
    first, *rest = arch.stages[0]
    if arch.family != "preresnet" or arch.tail != "NA" or not isinstance(first, Block):
        raise ConfigError(f"{arch.name} has one opening: choose one of preresnet18 to 200, in order e")
    projects = bool(first.bridge(arch.stem.out(arch.width))[0])
    places = Place(0, 0, 2), Place(1, 0, 2), Place(0, 1, 2)
    bare, shared, own = (preactivation(len(first.convs), place) for place in places)
    stem, word = {
        "fair": ("CNAP", bare),
        "timm": ("CP", shared if projects else own),
        "mxnet": ("NCNAP", shared),
    }[opening]
    first = replace(first, word=word, always=opening == "mxnet")
    return replace(arch, stem=replace(arch.stem, word=stem), stages=((first, *rest), *arch.stages[1:]))


def with_order(arch: Arch, letter: str) -> Arch:
    """A residual network with another order of layers (He et al. 2016, fig. 4).

    A projection behind a shared norm has no norm of its own, as in the paper's code.

    Args:
        arch: A network whose blocks all have a shortcut.
        letter: A key of `ORDERS`: `a` (original) to `e` (full pre-activation).

    Raises:
        ConfigError: There is no such order, or a block has no shortcut.
    """
    if letter not in ORDERS:
        raise ConfigError(f"no order {letter!r}: {nearest(letter, ORDERS)}")
    if len(arch.residual_blocks()) < len(arch.blocks()):
        raise ConfigError(f"{arch.name} has blocks without shortcut: orders are of residual networks")
    order, tail = ORDERS[letter]
    before_brackets = order(2, Place(1, 0, 2)).partition("(")[0]  # of a block that changes the width
    bare = {"CN": "C"} if "N" in before_brackets else {}
    stages = []
    for stage, blocks in enumerate(arch.stages):
        places = [Place(stage, index, len(blocks)) for index in range(len(blocks))]
        stages.append(
            tuple(
                replace(b, word=order(len(b.convs), place), shortcut=bare.get(b.shortcut, b.shortcut))
                for b, place in zip(blocks, places, strict=True)
                if isinstance(b, Block)
            )
        )
    return replace(arch, stages=tuple(stages), tail=tail)


def deepen(arch: Arch, blocks: tuple[int, ...]) -> Arch:
    """`arch` with other numbers of blocks: the first block of a stage stays, the second is repeated.

    Args:
        arch: The network.
        blocks: Number of blocks of each stage.

    Raises:
        ConfigError: The number of stages differs, or a stage with one block should have more.
    """
    if len(blocks) != len(arch.stages) or min(blocks) < 1:
        raise ConfigError(
            f"{arch.name} has {len(arch.stages)} stages: give as many counts above 0, not {blocks}"
        )
    stages = []
    for stage, count in zip(arch.stages, blocks, strict=True):
        if count > 1 and len(stage) == 1:
            raise ConfigError(
                f"a stage of {arch.name} has one block, so there is none to repeat: keep its count at 1"
            )
        stages.append((stage[0], *[stage[1]] * (count - 1)) if count > 1 else (stage[0],))
    return replace(arch, stages=tuple(stages))


def _each_block(arch: Arch, change: Callable[[Block], Block]) -> Arch:
    """`arch` with every block changed; forks, which have no shortcut, stay."""
    return replace(
        arch,
        stages=tuple(
            tuple(change(block) if isinstance(block, Block) else block for block in stage)
            for stage in arch.stages
        ),
    )
