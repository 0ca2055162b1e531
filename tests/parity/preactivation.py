"""Pre-activation networks of others, and the words that compute what they do."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from residua.spec.arch import Arch
from residua.spec.block import Block


class BearpawBlock(nn.Module):
    """The block of github.com/bearpaw/pytorch-classification, `preresnet`: its shortcut reads the raw map."""

    def __init__(self, width: int, inner: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        out = 4 * inner if bottleneck else inner
        shapes = [(width, inner, 1, 1), (inner, inner, 3, stride), (inner, out, 1, 1)]
        if not bottleneck:
            shapes = [(width, inner, 3, stride), (inner, inner, 3, 1)]
        self.convs = len(shapes)
        for number, (there, here, kernel, step) in enumerate(shapes, 1):
            setattr(self, f"bn{number}", nn.BatchNorm2d(there))
            setattr(self, f"conv{number}", nn.Conv2d(there, here, kernel, step, kernel // 2, bias=False))
        self.downsample = None
        if stride != 1 or width != out:
            self.downsample = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for number in range(1, self.convs + 1):
            y = getattr(self, f"conv{number}")(torch.relu(getattr(self, f"bn{number}")(y)))
        return y + (x if self.downsample is None else self.downsample(x))


class Bearpaw(nn.Module):
    """Its network: three stages of `count` blocks."""

    def __init__(self, count: int, *, bottleneck: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        width = 16
        for stage, inner in enumerate((16, 32, 64)):
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(BearpawBlock(width, inner, stride, bottleneck=bottleneck))
                width = 4 * inner if bottleneck else inner
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = torch.relu(self.bn(x))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def bearpaw(network: Arch) -> Arch:
    """`network` with every norm and activation inside the brackets, and bare projections around them."""
    stages = tuple(
        tuple(
            replace(block, word=f"({' '.join(['NAC'] * len(block.convs))})", shortcut="C") for block in stage
        )
        for stage in network.stages
    )
    return replace(network, stem=replace(network.stem, word="C"), stages=stages)


def bottlenecks_stride_on_3x3(network: Arch) -> Arch:
    """`network` with the stride of its bottlenecks moved to the 3x3, where bearpaw has it."""

    def moved(block: Block) -> Block:
        first, second, *rest = block.convs
        return replace(block, convs=(replace(first, stride=1), replace(second, stride=first.stride), *rest))

    return replace(network, stages=tuple(tuple(map(moved, stage)) for stage in network.stages))
