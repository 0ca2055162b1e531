"""Arch -> Arch: pure changes of a network."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from residua.spec.arch import Arch
from residua.spec.block import Block
from residua.spec.orders import ORDERS, Place
from residua.spec.preprocess import Preprocess
from residua.spec.record import nearest

SHORTCUTS: dict[str, tuple[str, bool]] = {"A": ("Z", False), "B": ("CN", False), "C": ("CN", True)}
"""He et al. 2015, 4.1: option -> shortcut word, and whether it is spelled where shapes agree."""


def with_classes(arch: Arch, classes: int) -> Arch:
    """`arch` with another number of outputs. ValueError below 1."""
    return replace(arch, classes=classes)


def with_preprocess(arch: Arch, preprocess: Preprocess) -> Arch:
    """`arch` for other images: their size, channels and statistics."""
    return replace(arch, preprocess=preprocess)


def with_channels(arch: Arch, channels: int) -> Arch:
    """`arch` for colour images (3 channels) or grey ones (1). ValueError for any other number."""
    if channels not in (1, 3):
        raise ValueError(f"in_chans is {channels}: give 1 (grey) or 3 (rgb)")
    if channels == arch.channels:
        return arch
    old = arch.preprocess
    mean, std = sum(old.mean) / len(old.mean), sum(old.std) / len(old.std)
    colour: Literal["rgb", "grey"] = "grey" if channels == 1 else "rgb"
    return with_preprocess(arch, replace(old, colour=colour, mean=(mean,) * channels, std=(std,) * channels))


def with_shortcut(arch: Arch, option: str) -> Arch:
    """`arch` with shortcut option A, B or C everywhere.

    ValueError for another option, or where nothing is skipped.
    """
    if option not in SHORTCUTS:
        raise ValueError(f"no shortcut option {option!r}: {nearest(option, SHORTCUTS)}")
    if not any(block.has_shortcut for block in arch.blocks()):
        raise ValueError(f"{arch.name} has no shortcuts to change: choose a residual network")
    word, always = SHORTCUTS[option]
    return _each_block(arch, lambda b: replace(b, shortcut=word, always=always) if b.has_shortcut else b)


def with_order(arch: Arch, letter: str) -> Arch:
    """`arch` with its layers in order a, b, c, d or e of He et al. 2016, fig. 4.

    A projection that follows a shared norm loses its own, as in the paper's code. ValueError for another
    letter, and where nothing is skipped.
    """
    if letter not in ORDERS:
        raise ValueError(f"no order {letter!r}: {nearest(letter, ORDERS)}")
    if not all(block.has_shortcut for block in arch.blocks()):
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
    return replace(arch, stages=tuple(tuple(change(block) for block in stage) for stage in arch.stages))
