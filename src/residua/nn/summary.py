"""A network in three lines for people: what it is called, reads and gives, and what it is built of."""

from collections.abc import Sequence

from torch import nn

from residua.spec.amount import plural, quantity
from residua.spec.arch import Arch
from residua.spec.printable import printable

MAX_NAMES = 5
"""Classes that are named before the rest are counted."""
MAX_WORDS = 2
"""Kinds of blocks that are named."""


def summary(network: nn.Module, arch: Arch, class_names: Sequence[str], outputs: int) -> str:
    """The three lines.

    Args:
        network: The module, whose parameters are counted.
        arch: What it was built from.
        class_names: Names of its outputs; empty where they are unknown.
        outputs: Numbers that it returns for an image: 0 without a last layer.
    """
    params = sum(weight.numel() for weight in network.parameters())
    size, words = arch.preprocess.size, list(dict.fromkeys(block.word for block in arch.blocks()))
    colour = quantity(arch.channels, "band") if arch.preprocess.colour == "bands" else arch.preprocess.colour
    frames = f"{quantity(arch.clip.frames, 'frame')} of " if arch.clip else ""
    goal = describe_classes(class_names, outputs) if outputs else "features, without a last layer"
    counts = ", ".join(str(len(stage)) for stage in arch.stages)
    kinds = ", ".join(words[:MAX_WORDS]) + (" ..." if len(words) > MAX_WORDS else "")
    inputs = f"{frames}{size} x {size} {colour}"
    return "\n".join(
        (
            f"Network {arch.name}: {_millions(params)} parameters, {inputs} -> {goal}",
            f"  stages of {counts} blocks {kinds}; widths {', '.join(map(str, arch.widths()))}",
            "  print(network.tree()) shows every module",
        )
    )


def describe_classes(names: Sequence[str], count: int) -> str:
    """`3 classes (ant, bee, cat)`, `1,000 classes (tench, goldfish, ... and 995 more)`, `10 classes`."""
    more = f", and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    listed = f" ({', '.join(map(printable, names[:MAX_NAMES]))}{more})" if names else ""
    return f"{count} {plural(count, 'class')}{listed}"


def _millions(params: int) -> str:
    """`11.69 M`, `4,730`."""
    return f"{params / 1e6:.2f} M" if params >= 10**5 else f"{params:,}"
