"""An item of three tiny networks that a test can train on digits in seconds."""

from dataclasses import replace

import small
from residua.reproduce.published import Item, NamedNetwork, PaperClaim, PublishedRow
from residua.spec.arch import Arch
from residua.spec.change import with_preprocess
from residua.spec.zoo.stages import CIFAR


def tiny(blocks: int) -> Arch:
    arch = with_preprocess(small.arch(10), CIFAR)
    return replace(arch, stages=tuple(stage * blocks for stage in arch.stages))


ONE, TWO, THREE = (NamedNetwork(f"tiny{n}", lambda n=n: tiny(n)) for n in (1, 2, 3))  # type: ignore[misc]
ITEM = Item(
    "he2015/tiny",
    "tiny nets",
    "a test",
    (
        PublishedRow("one", ONE, 9.5, 0.5, "mean of 5"),
        PublishedRow("two", TWO, 8.0),
        PublishedRow("three", THREE, remark="curve only", budgets=("full",)),
        PublishedRow("size", ONE, 1e3, measure="params"),
    ),
    claims=(
        PaperClaim("two is better", (("one", "two"),), "train_error"),
        PaperClaim("three is better", (("one", "three"),)),
    ),
)
