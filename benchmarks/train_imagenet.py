"""Training speed of resnet50, or of other `--models`, at 224 pixels from JPEG files, beside others' loops.

The files are made here, of the size of ImageNet's, with random shapes in them, and decoded by every loop
anew. The plain peer is torchvision's network, ImageFolder and transforms in a DataLoader with one worker
per core, in float32; timm's are its network, loader and optimiser as in its train.py, with its default
flags and its fast ones. Crops, mirrors and batch are the same for all. On an accelerator a row compares
ours with the speed of its matrix units.
"""

import argparse
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
from torchvision import models
from torchvision.datasets import ImageFolder
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


def peers_of(name: str, root: Path, batch: int) -> list[loops.Loop]:
    """The plain loop, and timm's parts with default and with fast flags."""
    from timm import create_model
    from timm.data import ImageDataset

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(224, AREA),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    loader = DataLoader(
        ImageFolder(str(root / "train"), transform),
        batch,
        shuffle=True,
        num_workers=world.available_cores(),
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
    )
    peers = [loops.plain(models.get_model(name, num_classes=CLASSES), loader)]
    for fast in (False, True):
        own, network = ImageDataset(str(root / "train")), create_model(name, num_classes=CLASSES)
        peers.append(loops.timm(network, own, size=224, batch=batch, fast=fast))
    return peers


def rows(args: argparse.Namespace) -> turns.Rows:
    """Three rows for each network; on an accelerator a fourth."""
    session = turns.Session.of(args)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root)
        images = open_dataset(str(root), val_fraction=0.2).train
        for name in args.models:
            arch = change.with_classes(zoo.arch(name), CLASSES)
            recipe = quick.photos(arch, str(root))
            recipe = replace(recipe, augment=replace(recipe.augment, area=AREA))
            mine = loops.ours(recipe, images, args.batch, eager=args.eager)
            what, row = f"{name} training at 224 from JPEG", {}
            for row in loops.compare(what, mine, peers_of(name, root, args.batch), session, batch=args.batch):
                yield row
            if torch.cuda.is_available():
                yield of_matrix_units(name, 3 * cost(arch).macs * row["ours"])


def of_matrix_units(name: str, macs: float) -> turns.Row:
    """Multiply-adds per second beside those of the device."""
    what = f"{name} training, a backward pass counted as two forward ones"
    peer = "bfloat16 products of 8192 x 8192 matrices on the same device"
    return turns.row(what, macs / 1e12, ceiling() / 1e12, peer_name=peer, unit="T multiply-adds/s", digits=1)


def main() -> None:
    """Print the comparison."""
    args = loops.parser(__doc__, batch=BATCH, models=("resnet50",)).parse_args()
    turns.show(rows(args), "torchvision", "timm", as_json=args.json)


if __name__ == "__main__":
    main()
