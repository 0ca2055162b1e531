"""Images per second from files to batches, beside torchvision's ImageFolder in a DataLoader, as ratios.

Both read the same JPEGs, cut the same kind of random crop (a quarter to all of the area), mirror half of
them and hand over batches of 224 px; the peer as its documentation shows, with v2 transforms on PIL images.
Ours leaves normalisation to the device, so the peer's is left out, too. They take turns, so that a noisy
machine is noisy for both, and medians are compared. Photographs are made here, smooth scenes under grain;
give --source for a folder of your own. How many bits a pixel takes says how much of the time goes to what no
decoder can leave out, so the large ones come as a camera saves them and as the web does. Shards are held
against our folders: the same files, and large photographs packed at 320 pixels. Run it on a quiet machine.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from residua.data.batches import training
from residua.data.decode import inspect
from residua.data.images import Images
from residua.data.items import Files
from residua.data.shards import pack
from residua.data.sources import find
from residua.spec.augment import Augment
from residua.spec.preprocess import IMAGENET
from residua.training import world

BATCH = 64
AREA = (0.25, 1.0)
PATHS = 1_000_000
Make = Callable[[], Iterator[int]]
"""Begins to load, and says how many images are in each batch."""
REDUCED = 320
"""Shorter side of packed photographs, in pixels: crops of half of their area still shrink to 224."""


def photographs(folder: Path, *, count: int, side: int, quality: int = 90) -> Path:
    """`count` JPEGs of `side` x 3/4 `side` in two classes."""
    for i in range(count):
        draw = np.random.default_rng(i)
        coarse = Image.fromarray(draw.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side * 3 // 4), Image.Resampling.BICUBIC), np.int16)
        grain = draw.integers(-12, 13, smooth.shape, dtype=np.int16)
        file = folder / f"class{i % 2}" / f"{i:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, quality=quality)
    return folder


def bits(folder: Path) -> str:
    """How much a pixel of the files takes, in words."""
    files = every(folder).files
    assert isinstance(files, Files)
    some = [files[i] for i in range(min(BATCH, len(files)))]
    pixels = sum(width * height for width, height in map(inspect, some))
    return f"{8 * sum(file.stat().st_size for file in some) / pixels:.1f} bits a pixel"


def every(folder: Path) -> Images:
    """All images of a folder or of shards, as one split."""
    return find(str(folder)).train


def ours(images: Images, workers: int) -> Iterator[int]:
    """Images in each batch, for ever."""
    batches = training(
        images,
        IMAGENET,
        Augment("resized_crop", area=AREA),
        seed=0,
        batch=BATCH,
        first=0,
        steps=10**6,
        workers=workers,
        resident_bytes=0,
        device=torch.device("cpu"),
    )
    return (len(batch.labels) for batch in batches)


def theirs(folder: Path, workers: int) -> Iterator[int]:
    """The same with torchvision."""
    crop = v2.RandomResizedCrop(224, scale=AREA, antialias=True)
    images = ImageFolder(str(folder), v2.Compose([crop, v2.RandomHorizontalFlip(), v2.PILToTensor()]))
    loader = DataLoader(
        images, BATCH, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=True
    )
    return (len(labels) for _ in itertools.count() for _, labels in loader)


def timed(make: Make, seconds: float, cores: int) -> float:
    """Images per second and core over at least `seconds`, by workers that live no longer than that.

    Workers that stayed would go on decoding through the other side's turn, and begin their own with full
    queues. The first two batches of each are not counted.
    """
    batches = make()
    for _ in range(2 * cores):
        next(batches)
    start, count = time.perf_counter(), 0
    while (lasted := time.perf_counter() - start) < seconds:
        count += next(batches)
    return count / lasted / cores


def turns(
    what: str,
    mine: Make,
    peer: tuple[str, Make],
    *,
    rounds: int,
    seconds: float,
    cores: int,
) -> dict[str, Any]:
    """One row: medians over `rounds`, per core, and their ratio."""
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(rounds):
        rates["peer"].append(timed(peer[1], seconds, cores))
        rates["ours"].append(timed(mine, seconds, cores))
    middle = {name: statistics.median(found) for name, found in rates.items()}
    return {
        "what": what,
        "ours": round(middle["ours"], 1),
        "peer": round(middle["peer"], 1),
        "peer_name": peer[0],
        "unit": "images/s per core",
        "ratio": round(middle["ours"] / middle["peer"], 2),
        "rounds": rates,
    }


def memory(workers: int, looks: int) -> dict[str, Any]:
    """MB that `workers` forked processes own besides their parent, after `looks` each at a million paths."""
    names = [f"class{i % 1000:03}/{i:07}.jpg" for i in range(PATHS)]
    files = Files.of(Path("/nowhere"), names)
    grown = {
        "ours": _owned(lambda i: files[i], workers, looks),
        "peer": _owned(lambda i: Path("/nowhere", names[i]), workers, looks),
    }
    return {
        "what": f"memory of {workers} workers after {looks:,} looks each at {PATHS:,} paths",
        "ours": round(grown["ours"], 1),
        "peer": round(grown["peer"], 1),
        "peer_name": "a list of str, as ImageFolder keeps them",
        "unit": "MB",
        "ratio": round(grown["peer"] / max(grown["ours"], 0.1), 2),
    }


def _owned(look: Callable[[int], Path], workers: int, looks: int) -> float:
    """Private MB of all workers together."""
    total = 0.0
    for worker in range(workers):
        reader, writer = os.pipe()
        if not os.fork():
            before = _private()
            for number in range(looks):
                look((worker + workers * number) % PATHS)
            os.write(writer, str(_private() - before).encode())
            os._exit(0)
        os.wait()
        total += int(os.read(reader, 100)) / 1e6
        os.close(reader)
        os.close(writer)
    return total


def _private() -> int:
    """Bytes of this process that it shares with no other (Linux)."""
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(row.split()[1]) for row in rows if row.startswith("Private"))


def line(row: dict[str, Any]) -> str:
    return f"{row['what']}: {row['ours']} against {row['peer']} {row['unit']}, ratio {row['ratio']}"


def compare(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """All rows."""
    cores, rows = world.cores(), []
    length = {"rounds": options.rounds, "seconds": options.seconds, "cores": cores}
    with tempfile.TemporaryDirectory() as made:
        small = options.source or photographs(Path(made, "small"), count=options.images, side=300)
        many = max(BATCH, options.images // 8)
        large = photographs(Path(made, "large"), count=many, side=2000)
        web = photographs(Path(made, "web"), count=many, side=2000, quality=75)
        pack(find(str(small)), Path(made, "packed"))
        pack(find(str(large)), Path(made, "reduced"), side=REDUCED)
        folders = "torchvision ImageFolder + DataLoader"
        for what, folder in (
            ("JPEGs of 300 px" if not options.source else str(small), small),
            ("JPEGs of 2000 px, quality 90", large),
            ("JPEGs of 2000 px, quality 75", web),
        ):
            peer, mine = partial(theirs, folder, cores), partial(ours, every(folder), cores)
            rows.append(turns(f"{what}, {bits(folder)}", mine, (folders, peer), **length))
            say(line(rows[-1]))
        for what, packed, folder in (
            ("shards of the 300 px JPEGs", "packed", small),
            (f"shards of the large ones at {REDUCED} px", "reduced", large),
        ):
            mine, peer = (partial(ours, every(of), cores) for of in (Path(made, packed), folder))
            rows.append(turns(what, mine, ("our folders, the same images", peer), **length))
            say(line(rows[-1]))
    for looks in (PATHS // 4, PATHS):
        rows.append(memory(4, looks))
        say(line(rows[-1]))
    versions = {name: metadata.version(name) for name in ("residua", "torch", "torchvision", "pillow")}
    return {"rows": rows, "machine": f"{cores} cores, {cores} workers, batch {BATCH}", "versions": versions}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--source", type=Path, help="folder of classes in place of the made 300 px photographs"
    )
    parser.add_argument("--images", type=int, default=2048, help="photographs of 300 px to make")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    result = compare(options, (lambda _: None) if options.json else print)
    if options.json:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
