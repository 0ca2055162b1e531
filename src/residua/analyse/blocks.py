"""The blocks of a network as studies need them: in order, step by step, or split into single layers."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor, nn

from residua.nn.blocks import ResidualBlock
from residua.nn.clips import fold_segments
from residua.nn.memory import UnitSequence
from residua.nn.network import Network
from residua.spec.block import Block, Fork

FIRST_LETTERS = "CLPV"
"""Letters that begin a layer; norms and activations belong to the one before them."""


def stem_output(network: Network, images: Tensor) -> Tensor:
    """What the first block gets for images or clips: maps, or vectors in a flat network."""
    rows = fold_segments(images, network.arch)
    y: Tensor = network.stem(rows.flatten(1) if network.arch.is_flat else rows)
    return y


def is_plain_stack(network: Network) -> bool:
    """Whether no block has a shortcut or branches and there are no auxiliary heads, as in VGG."""
    blocks = network.arch.blocks()
    is_plain = all(isinstance(block, Block) and not block.has_shortcut for block in blocks)
    return is_plain and not network.arch.sides


def split_into_layers(network: Network) -> None:
    """Make each layer of a plain stack a block of its own, in place.

    Args:
        network: One that `is_plain_stack`; it keeps its modules and computes the same.
    """
    stages = []
    for number, stage in enumerate(network.arch.stages):
        modules = list(network.stages[number].children())
        parts = [
            part for block, module in zip(stage, modules, strict=True) for part in _layers(block, module)
        ]
        network.stages[number] = UnitSequence(*(module for _, module in parts))
        stages.append(tuple(block for block, _ in parts))
    network.arch = replace(network.arch, stages=tuple(stages))


def _layers(block: Block | Fork, module: nn.Module) -> Iterator[tuple[Block, nn.Module]]:
    """The layers of `block`, each as a block, with its modules out of `module`."""
    assert isinstance(block, Block)
    assert isinstance(module, ResidualBlock)
    letters = block.word.replace(" ", "")
    words = "".join(f" {letter}" if letter in FIRST_LETTERS else letter for letter in letters)
    convs, modules = iter(block.convs), iter(module.before.children())
    for word in words.split():
        own = tuple(next(convs) for letter in word if letter in "CL")
        drop = block.drop if "D" in word else 0.0
        yield replace(block, word=word, convs=own, drop=drop), nn.Sequential(*(next(modules) for _ in word))
