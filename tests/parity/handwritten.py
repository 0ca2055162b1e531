"""Networks written by hand, one layer at a time, to compare the networks from words with."""

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F


class Pad(nn.Module):
    """Option A: every second pixel, `extra` channels of zeros before and after."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))


class CifarBlock(nn.Module):
    """The basic block of github.com/akamaster/pytorch_resnet_cifar10, option A."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = Pad(out // 4) if stride != 1 or width != out else nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class CifarPlainBlock(CifarBlock):
    """The same without its shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class CifarNet(nn.Module):
    """The network of that repository: three stages of `count` blocks."""

    def __init__(self, block: type[CifarBlock], count: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        same = count - 1
        self.layer1 = nn.Sequential(*[block(16, 16, 1) for _ in range(count)])
        self.layer2 = nn.Sequential(block(16, 32, 2), *[block(32, 32, 1) for _ in range(same)])
        self.layer3 = nn.Sequential(block(32, 64, 2), *[block(64, 64, 1) for _ in range(same)])
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.adaptive_avg_pool2d(out, 1)  # the repository's avg_pool2d adds in another order: 1e-7 apart
        return self.linear(out.view(out.size(0), -1))


class PlainBlock(nn.Module):
    """A torchvision basic block that adds nothing."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


def plain18() -> nn.Module:
    """torchvision's ResNet-18 with every shortcut removed."""
    net = torchvision.models.resnet18()
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        for i, block in enumerate(stage):
            stage[i] = PlainBlock(block)
    return net


def resnet18_a() -> nn.Module:
    """torchvision's ResNet-18 with zeros in place of its projections."""
    net = torchvision.models.resnet18()
    for stage in (net.layer2, net.layer3, net.layer4):
        stage[0].downsample = Pad(stage[0].conv1.in_channels // 2)
    return net


def resnet18_c() -> nn.Module:
    """torchvision's ResNet-18 with a projection in every block."""
    net = torchvision.models.resnet18()
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        for block in stage:
            if block.downsample is None:
                width = block.conv1.in_channels
                block.downsample = nn.Sequential(
                    nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
                )
    return net


def resnet50_v1() -> nn.Module:
    """torchvision's ResNet-50 with the stride on the first 1x1 of a block."""
    net = torchvision.models.resnet50()
    for stage in (net.layer2, net.layer3, net.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    return net


def smallconvnet() -> nn.Module:
    """The stacked network, layer by layer."""
    layers: list[nn.Module] = []
    for width, out in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(width, out, 3, 1, 1), nn.ReLU(), nn.Conv2d(out, out, 3, 1, 1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Dropout(), nn.Linear(2048, 256), nn.ReLU(), nn.Dropout(), nn.Linear(256, 10)]
    return nn.Sequential(*layers, *head)
