"""Two small networks that learned the digits, with and without shortcuts, and digits they never saw."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.data.open import open_dataset
from residua.data.transforms import normalise
from residua.nn.network import Network, build
from residua.spec import change, zoo
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv, Pool
from residua.spec.orders import Order, Place, preactivation
from residua.spec.preprocess import Preprocess

DIGITS = Preprocess(8, 8, (0.3,), (0.38,), "grey")
BLOCKS = 4
"""In each of three stages."""


@dataclass(frozen=True, eq=False)
class Pupil:
    """A network that learned, and what it is asked about."""

    network: Network
    images: Tensor
    labels: Tensor


def three_stages(name: str, order: str = "") -> Arch:
    """The network called `name` with `BLOCKS` blocks a stage, for digits; in another order, if given."""
    arch = change.deepen(zoo.arch(name), (BLOCKS,) * 3)
    arch = change.with_order(arch, order) if order else arch
    return change.with_preprocess(change.with_channels(arch, 1), DIGITS)


def one_stage(order: Order, *, blocks: int, width: int) -> Arch:
    """A stem and one stage of `blocks` blocks, all of one width: nothing but identity shortcuts."""
    convs = (Conv(width), Conv(width))
    words = [order(2, Place(0, index, blocks)) for index in range(blocks)]
    stage = tuple(Block(word, convs, "Z" if "(" in word else "") for word in words)
    tail = "NA" if order is preactivation else ""
    stem = Block("CNA", (Conv(width),))
    return Arch(
        f"one_stage_{order.__name__}", "tests", "tests", stem, (stage,), tail, classes=10, preprocess=DIGITS
    )


def stacked() -> Arch:
    """Three stages in VGG's way: convolutions of one width, and a pool that halves the map."""
    stem = Block("CNA", (Conv(16),))
    stages = tuple((Block("CNA CNA CNA P", (Conv(w),) * 3, pool=Pool(2, 2, 0)),) for w in (16, 32, 64))
    return Arch("stacked", "tests", "tests", stem, stages, classes=10, preprocess=DIGITS)


def trained_pupil(arch: Arch, *, steps: int = 150) -> Pupil:
    """`arch` after `steps` updates on batches of 32 digits, which takes seconds."""
    torch.manual_seed(0)
    data = open_dataset("digits", val_fraction=0.2)
    assert data.train.pixels is not None
    assert data.test.pixels is not None
    pixels = torch.from_numpy(data.train.pixels).permute(0, 3, 1, 2)
    images, labels = normalise(pixels, DIGITS), torch.from_numpy(data.train.labels)
    network = build(arch)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps)
    for _ in range(steps):
        some = torch.randint(0, len(images), (32,))
        optimizer.zero_grad()
        cross_entropy(network(images[some]), labels[some]).backward()
        optimizer.step()
        schedule.step()
    unseen = normalise(torch.from_numpy(data.test.pixels).permute(0, 3, 1, 2), DIGITS)
    return Pupil(network.eval(), unseen, torch.from_numpy(data.test.labels))
