"""Blocks that skip nothing, taken apart into their layers: how VGG is compared with networks of blocks."""

from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from residua.nn.blocks import ResidualBlock
from residua.nn.network import Network
from residua.spec.block import Block, Fork

FIRST = "CLPV"
"""Letters that begin a layer; norms and activations belong to the one before them."""


def taken_apart(network: Network) -> None:
    """Make each layer of `network`, all of whose blocks are words without brackets, a block of its own.

    It holds the same modules and computes the same. Only for what `is_stack`.
    """
    found = []
    for number, stage in enumerate(network.arch.stages):
        held = list(network.stages[number].children())
        parts = [part for block, own in zip(stage, held, strict=True) for part in _parts(block, own)]
        network.stages[number] = nn.Sequential(*(module for _, module in parts))
        found.append(tuple(block for block, _ in parts))
    network.arch = replace(network.arch, stages=tuple(found))


def is_stack(network: Network) -> bool:
    """Whether nothing is skipped or forked anywhere in `network`, so that it can be taken apart."""
    blocks = [block for stage in network.arch.stages for block in stage]
    plain = all(isinstance(block, Block) and not block.has_shortcut for block in blocks)
    return plain and not network.arch.sides


def _parts(block: Block | Fork, held: nn.Module) -> Iterator[tuple[Block, nn.Module]]:
    """The layers of `block`, each as a block and the modules that `held` has for it."""
    assert isinstance(block, Block)
    assert isinstance(held, ResidualBlock)
    words = "".join(f" {letter}" if letter in FIRST else letter for letter in block.word.replace(" ", ""))
    convs, modules = iter(block.convs), iter(held.before.children())
    for word in words.split():
        own = tuple(next(convs) for letter in word if letter in "CL")
        drop = block.drop if "D" in word else 0.0
        yield replace(block, word=word, convs=own, drop=drop), nn.Sequential(*(next(modules) for _ in word))
