"""Training speed of resnet50 at 224 pixels from JPEG files, beside a plain PyTorch loop and timm's parts.

The files are made here, of the size of ImageNet's, with random shapes in them, and decoded by every loop
anew. The plain peer is torchvision's network, ImageFolder and transforms in a DataLoader with one worker
per core, in float32; timm's are its network, loader and optimiser as in its train.py, with its default
flags and its fast ones. Crops, mirrors and batch are the same for all. On an accelerator a row compares
ours with the speed of its matrix units.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import loops
import numpy as np
import torch
import turns
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import resnet50
from torchvision.transforms import v2

from residua.data.open import open_dataset
from residua.recipes import quick
from residua.spec import change, zoo
from residua.spec.describe import cost
from residua.training.processes import world

CLASSES = 10
EACH = 40
SIDES = (500, 375)
AREA = (0.08, 1.0)
"""Share of the image that a crop takes: torchvision's and timm's default."""
BATCH = 256 if torch.cuda.is_available() else 32


def write_files(root: Path) -> None:
    """`root/train/CLASS/N.jpg` and a few in `root/val`: shapes on soft noise, as long as ImageNet's."""
    draw = np.random.default_rng(0)
    for label in range(CLASSES):
        for number in range(EACH + 2):
            soft = Image.fromarray(draw.integers(0, 256, (24, 32, 3), np.uint8)).resize(SIDES)
            pen = ImageDraw.Draw(soft)
            for _ in range(20):
                x, y, size = (int(v) for v in draw.integers(0, 400, 3))
                pen.ellipse(
                    (x, y, x + size // 4, y + size // 4), fill=tuple(draw.integers(0, 256, 3).tolist())
                )
            folder = root / ("train" if number < EACH else "val") / f"c{label}"
            folder.mkdir(parents=True, exist_ok=True)
            soft.save(folder / f"{number}.jpg", quality=90)


def ceiling(seconds: float = 2.0) -> float:
    """Multiply-adds per second of large bfloat16 matrix products on the accelerator."""
    side = 8192
    a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(10):
            a @ b
        torch.cuda.synchronize()
        count += 10
    return count * side**3 / (time.perf_counter() - start)


def main() -> None:
    """Print the comparison."""
    args = loops.options(__doc__, batch=BATCH)
    say = (lambda _: None) if args.json else print
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_files(root)
        transform = v2.Compose(
            [
                v2.RandomResizedCrop(224, AREA),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )
        pictures = ImageFolder(str(root / "train"), transform)
        cuda = torch.cuda.is_available()
        loader = DataLoader(
            pictures,
            args.batch,
            shuffle=True,
            num_workers=world.available_cores(),
            drop_last=True,
            pin_memory=cuda,
        )
        peers = [loops.plain(resnet50(num_classes=CLASSES), loader)]
        for fast in (False, True):
            from timm import create_model
            from timm.data import ImageDataset

            own = ImageDataset(str(root / "train"))
            network = create_model("resnet50", num_classes=CLASSES)
            peers.append(loops.timm(network, own, size=224, batch=args.batch, fast=fast))
        arch = change.with_classes(zoo.arch("resnet50"), CLASSES)
        recipe = quick.photos(arch, str(root))
        recipe = replace(recipe, augment=replace(recipe.augment, area=AREA))
        images = open_dataset(str(root), val_fraction=0.2).train
        mine = loops.ours(recipe, images, args.batch)
        result = loops.compare(
            "resnet50 training at 224 from JPEG",
            mine,
            peers,
            batch=args.batch,
            rounds=args.rounds,
            seconds=args.seconds,
            say=say,
        )
        if cuda:
            work = 3 * cost(arch).macs * result["rows"][0]["ours"] / 1e12
            top = ceiling() / 1e12
            result["rows"].append(
                {
                    "what": "resnet50 training, a backward pass counted as two forward ones",
                    "ours": round(work, 1),
                    "peer": round(top, 1),
                    "peer_name": "bfloat16 products of 8192 x 8192 matrices on the same device",
                    "unit": "T multiply-adds/s",
                    "ratio": round(work / top, 3),
                }
            )
    turns.show(result, args.json)


if __name__ == "__main__":
    main()
