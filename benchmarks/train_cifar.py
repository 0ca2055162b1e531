"""Training speed of cifar_resnet20 at batch 128, beside a plain PyTorch loop, in one run and as a ratio.

The peer is what people write first: torchvision transforms on PIL images in a DataLoader with one worker per
core, float32, the same layers by hand, SGD. Ours is `residua.training` with the plan it measures for this
machine. The two take turns, so that a noisy machine is noisy for both; the medians are compared. Pixels are
random: speed does not depend on them.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from importlib import metadata

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad, relu
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from residua.data.batches import training
from residua.data.images import Images
from residua.papers import quick
from residua.spec import zoo
from residua.training import optim, plan, world
from residua.training.fit import initial
from residua.training.loop import train
from residua.training.losses import objective

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


def plain_resnet20() -> nn.Module:
    """The layers of cifar_resnet20 without residua."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    width = 16
    for out in (16, 32, 64):
        for place in range(3):
            layers.append(PlainBlock(width, out, 2 if out > 16 and not place else 1))
            width = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class PictureSet(Dataset[tuple[Tensor, int]]):
    """CIFAR as torchvision holds it: an array, a PIL image per item, a transform."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = v2.Compose(
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


def peer_steps(images: Images) -> Iterator[None]:
    """A plain training loop, one step per item."""
    assert images.pixels is not None
    pictures_of = PictureSet(images.pixels, images.labels)
    loader = DataLoader(pictures_of, BATCH, shuffle=True, num_workers=world.cores())
    network = plain_resnet20()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=1e-4)
    while True:
        for pictures, labels in loader:
            optimizer.zero_grad()
            cross_entropy(network(pictures), labels).backward()
            optimizer.step()
            yield


def our_steps(images: Images) -> tuple[Iterator[object], str]:
    """residua's loop with the plan it chooses here, and what that plan is."""
    recipe = quick.small(zoo.arch("cifar_resnet20"), "random")
    network = initial(recipe, images.classes)
    chosen = plan.choose(network, recipe.plan, batch=BATCH, steps=10_000)
    network = plan.place(network, chosen.plan)
    preprocess = recipe.arch.preprocess
    batches = training(
        images,
        preprocess,
        recipe.augment,
        seed=0,
        batch=BATCH,
        first=0,
        steps=10**6,
        workers=0,
        resident_bytes=1 << 30,
        device=torch.device(chosen.plan.device),
    )
    judge = objective(preprocess, chosen.plan, 0.0)
    optimizer = optim.make(network, recipe.optim)
    moments = train(network, batches, judge, optimizer=optimizer, rate_at=lambda _: 0.1, seed=0)
    return moments, f"{chosen.plan.precision} {chosen.plan.memory_format}"


def timed(steps: Iterator[object], seconds: float) -> float:
    """Images per second over at least `seconds`."""
    start, count = time.perf_counter(), 0
    while (lasted := time.perf_counter() - start) < seconds:
        next(steps)
        count += 1
    return count * BATCH / lasted


def compare(rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    """Both in turns; medians and their ratio."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
    images = Images("train", tuple("0123456789"), draw.integers(0, 10, IMAGES), pixels=pixels)
    peer, (ours, arithmetic) = peer_steps(images), our_steps(images)
    for steps in (peer, ours):
        timed(steps, 3.0)
    found: dict[str, list[float]] = {"ours": [], "peer": []}
    for number in range(rounds):
        found["peer"].append(timed(peer, seconds))
        found["ours"].append(timed(ours, seconds))
        say(f"round {number + 1}: ours {found['ours'][-1]:.0f}, peer {found['peer'][-1]:.0f} images/s")
    mine, theirs = statistics.median(found["ours"]), statistics.median(found["peer"])
    row = {
        "what": f"cifar_resnet20 training, batch {BATCH}, {arithmetic}",
        "ours": round(mine, 1),
        "peer": round(theirs, 1),
        "peer_name": "plain PyTorch loop, float32, torchvision transforms in a DataLoader",
        "unit": "images/s",
        "ratio": round(mine / theirs, 2),
        "rounds": found,
    }
    versions = {name: metadata.version(name) for name in ("residua", "torch", "torchvision")}
    capability = torch.backends.cpu.get_cpu_capability()
    machine = f"{world.cores()} cores, {capability}, {torch.get_num_threads()} threads"
    return {"rows": [row], "machine": machine, "versions": versions}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args()
    result = compare(args.rounds, args.seconds, (lambda _: None) if args.json else print)
    if args.json:
        print(json.dumps(result, indent=2))
        return
    rows = result["rows"]
    assert isinstance(rows, list)
    row = rows[0]
    print(f"{row['what']}: {row['ours']} against {row['peer']} {row['unit']}")
    print(f"ratio {row['ratio']} on {result['machine']}")


if __name__ == "__main__":
    main()
