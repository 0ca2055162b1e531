"""Arch -> Arch: pure changes of a network."""

import re
from collections.abc import Callable
from dataclasses import replace

from residua.spec.arch import Arch
from residua.spec.block import Block, Join
from residua.spec.orders import ORDERS, Place, preactivation
from residua.spec.preprocess import Colour, Preprocess
from residua.spec.record import nearest
from residua.spec.word import split_word

SHORTCUTS: dict[str, tuple[str, bool]] = {"A": ("Z", False), "B": ("CN", False), "C": ("CN", True)}
"""He et al. 2015, 4.1: option -> shortcut word, and whether it is spelled where shapes agree."""
GATE_BIAS = -6.0
"""First bias of a gate: the best that He et al. 2016, table 1, found for both kinds."""
STUDIES: dict[str, Callable[[Block], Block]] = {
    "gate": lambda b: replace(b, join=Join("shortcut", GATE_BIAS)),
    "exclusive_gate": lambda b: replace(b, join=Join("exclusive", GATE_BIAS)),
    "conv": lambda b: replace(b, shortcut="CN", always=True),
    "dropout": lambda b: replace(b, shortcut=f"{b.shortcut}D", always=True, drop=0.5),
}
"""He et al. 2016, table 1: what each study does to a block; constant scaling is spelled `scale0.5`."""


def with_classes(arch: Arch, classes: int) -> Arch:
    """`arch` with another number of outputs. ValueError below 1."""
    return replace(arch, classes=classes)


def with_preprocess(arch: Arch, preprocess: Preprocess) -> Arch:
    """`arch` for other images: their size, channels and statistics."""
    return replace(arch, preprocess=preprocess)


def with_channels(arch: Arch, channels: int) -> Arch:
    """`arch` for colour images (3 channels), grey ones (1), or any number of bands. ValueError below 1."""
    if channels < 1:
        raise ValueError(f"in_chans is {channels}: give 1 (grey), 3 (rgb) or any other number of bands")
    if channels == arch.channels:
        return arch
    old = arch.preprocess
    mean, std = sum(old.mean) / len(old.mean), sum(old.std) / len(old.std)
    known: dict[int, Colour] = {1: "grey", 3: "rgb"}
    colour = known.get(channels, "bands")
    means, deviations = (mean,) * channels, (std,) * channels
    return with_preprocess(arch, replace(old, colour=colour, mean=means, std=deviations, mean_image=""))


def with_size(arch: Arch, size: int) -> Arch:
    """`arch` for images of `size` x `size` pixels, resized before the crop in the proportion it had."""
    old = arch.preprocess
    return with_preprocess(arch, replace(old, size=size, resize=max(size, size * old.resize // old.size)))


def with_shortcut(arch: Arch, option: str) -> Arch:
    """`arch` with other shortcuts everywhere: options A, B, C, or a study of He et al. 2016, table 1.

    `scale0.5` multiplies the shortcut by 0.5, `scale0.5,0.5` the residual too. `gate` is the shortcut-only
    gate, whose bias may follow: `gate-3`. ValueError for another option, or where nothing is skipped.
    """
    if not arch.residual_blocks():
        raise ValueError(f"{arch.name} has no shortcuts to change: choose a residual network")
    change = _study(option)
    return _each_block(arch, lambda block: change(block) if block.has_shortcut else block)


def _study(option: str) -> Callable[[Block], Block]:
    number = r"(-?\d+(?:\.\d+)?)"
    if option in SHORTCUTS:
        word, always = SHORTCUTS[option]
        return lambda b: replace(b, shortcut=word, always=always, join=Join())
    if option in STUDIES:
        return STUDIES[option]
    if scales := re.fullmatch(rf"scale{number}(?:,{number})?", option):
        join = Join(shortcut=float(scales[1]), residual=float(scales[2] or 1))
        return lambda b: replace(b, join=join)
    if gated := re.fullmatch(rf"(gate|exclusive_gate){number}", option):
        bias = float(gated[2])
        return lambda b: replace(b, join=replace(STUDIES[gated[1]](b).join, bias=bias))
    known = (*SHORTCUTS, *STUDIES, "scale0.5", "scale0.5,0.5")
    raise ValueError(f"no shortcut option {option!r}: {nearest(option, known)}")


def with_drop_path(arch: Arch, rate: float) -> Arch:
    """`arch` whose blocks lose their residual at random while training, from never to `rate` of the images.

    The share grows evenly from the first block to the last (Huang et al. 2016), as in timm. ValueError for
    a rate outside 0 to 1, where nothing is skipped, or where a block has a dropout.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"drop_path_rate is {rate}: give a share from 0 to below 1")
    count, done = len(arch.residual_blocks()), 0
    if not count:
        raise ValueError(
            f"{arch.name} has no shortcuts, so no path can be dropped: choose a residual network"
        )

    def thin(block: Block) -> Block:
        nonlocal done
        if not block.has_shortcut:
            return block
        if block.drop:
            raise ValueError(f"{block.word!r} of {arch.name} drops already: leave drop_path_rate away")
        share, done = rate * done / max(1, count - 1), done + 1
        before, inside, after = split_word(block.word)
        return replace(block, word=f"{before}({inside}S){after}", drop=share) if share else block

    return _each_block(arch, thin)


OPENINGS = ("fair", "timm", "mxnet")
"""The published ways into a pre-activation net for ImageNet."""


def with_opening(arch: Arch, opening: str) -> Arch:
    """A pre-activation `arch` with another of the published openings; parameters are equal in the first two.

    `fair` (the default): stem `CNAP`, and the first block reads it bare. `timm`: stem `CP`, and the first
    block starts with norm and activation. `mxnet`: stem `NCNAP`, with a norm on the pixels, and the first
    block starts with both and projects at any width. ValueError for another opening or network.
    """
    if opening not in OPENINGS:
        raise ValueError(f"no opening {opening!r}: {nearest(opening, OPENINGS)}")
    first, *rest = arch.stages[0]
    if arch.family != "preresnet" or not isinstance(first, Block):
        raise ValueError(f"{arch.name} has one opening: choose one of preresnet18 to preresnet200")
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
    """`arch` with its layers in order a, b, c, d or e of He et al. 2016, fig. 4.

    A projection that follows a shared norm loses its own, as in the paper's code. ValueError for another
    letter, and where nothing is skipped.
    """
    if letter not in ORDERS:
        raise ValueError(f"no order {letter!r}: {nearest(letter, ORDERS)}")
    if len(arch.residual_blocks()) < len(arch.blocks()):
        raise ValueError(f"{arch.name} has blocks without shortcut: orders are of residual networks")
    order, tail = ORDERS[letter]
    bare = {"CN": "C"} if letter == "e" else {}
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
    """`arch` with `blocks[i]` blocks in stage i: the first block stays, the second one is repeated.

    ValueError when the number of stages differs, or a stage of one block is to grow.
    """
    if len(blocks) != len(arch.stages) or min(blocks) < 1:
        raise ValueError(
            f"{arch.name} has {len(arch.stages)} stages: give as many counts above 0, not {blocks}"
        )
    stages = []
    for stage, count in zip(arch.stages, blocks, strict=True):
        if count > 1 and len(stage) == 1:
            raise ValueError(
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
