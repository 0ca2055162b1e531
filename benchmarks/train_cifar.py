"""Training speed of cifar_resnet20, or of other `--models`, beside a plain PyTorch loop and timm's parts.

The plain peer is what people write first: torchvision transforms on PIL images in a DataLoader with one
worker per core, float32, the same layers by hand, SGD. The other two are timm's loader, transform and
optimiser put together as its train.py does, with its default flags and with its fast ones. Ours is
`residua.training` with the plan it measures for this machine. Pixels are random: speed does not depend on
them.
"""

import argparse

import loops
import numpy as np
import torch
import turns
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import pad, relu
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from residua.data.images import Images
from residua.recipes import quick
from residua.spec import zoo
from residua.training.processes import world

BATCH = 128
IMAGES = 20_000


class PlainBlock(nn.Module):
    """The residual block as tutorials write it."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.more = stride, out - width

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return relu(out + x)


def plain_resnet(depth: int) -> nn.Module:
    """The layers of cifar_resnet20, or of another `depth`, without residua."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    width = 16
    for out in (16, 32, 64):
        for place in range((depth - 2) // 6):
            layers.append(PlainBlock(width, out, 2 if out > 16 and not place else 1))
            width = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class PictureSet(Dataset[tuple[Tensor, int]]):
    """CIFAR as torchvision holds it: an array, a PIL image per item, a transform."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = v2.Compose(  # timm's loader puts its own here
            [
                v2.RandomCrop(32, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def rows(args: argparse.Namespace) -> turns.Rows:
    """Three rows for each network."""
    session, draw = turns.Session.of(args), np.random.default_rng(0)
    pixels = draw.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
    images = Images("train", tuple("0123456789"), draw.integers(0, 10, IMAGES), pixels=pixels)
    for name in args.models:
        mine = loops.ours(quick.small(zoo.arch(name), "random"), images, args.batch, eager=args.eager)
        depth = int(name.removeprefix("cifar_resnet"))
        pictures = [PictureSet(pixels, images.labels) for _ in range(3)]
        loader = DataLoader(
            pictures[0], args.batch, shuffle=True, num_workers=world.available_cores(), drop_last=True
        )
        peers = [loops.plain(plain_resnet(depth), loader)]
        for fast in (False, True):
            own = pictures[1 + fast]
            peers.append(loops.timm(plain_resnet(depth), own, size=32, batch=args.batch, fast=fast))
        yield from loops.compare(f"{name} training", mine, peers, session, batch=args.batch)


def main() -> None:
    """Print the comparison."""
    args = loops.parser(__doc__, batch=BATCH, models=("cifar_resnet20",)).parse_args()
    turns.show(rows(args), "torchvision", "timm", as_json=args.json)


if __name__ == "__main__":
    main()
