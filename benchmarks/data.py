"""Images per second from files to batches, beside torchvision's ImageFolder in a DataLoader, as ratios.

Both read the same JPEGs, cut the same kind of random crop (a quarter to all of the area), mirror half of
them and hand over batches of 224 px; the peer as its documentation shows, with v2 transforms on PIL images.
Ours leaves normalisation to the device, so the peer's is left out, too. They take turns, so that a noisy
machine is noisy for both. Photographs are made here, smooth scenes under grain;
give --source for a folder of your own. How many bits a pixel takes says how much of the time goes to what no
decoder can leave out, so the large ones come as a camera saves them and as the web does. Shards are held
against our folders: the same files, large photographs packed at 320 pixels, and both as pixels that need no
decoding. All that is from the system's memory, where a set is after its first epoch if it fits; `cold` reads
from the disk, as with a set that does not: contents are forgotten before every turn, which is checked; names,
sizes and places on the disk are not. Run it on a quiet machine.
"""

import argparse
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cold
import numpy as np
import torch
import turns
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from residua.data.batches import training_batches
from residua.data.decode import read_size
from residua.data.images import Images
from residua.data.items import Files
from residua.data.open import find
from residua.data.sources.shards import write_shards
from residua.spec.augment import Augment
from residua.spec.preprocess import IMAGENET
from residua.training.processes import world

BATCH = 64
AREA = (0.25, 1.0)
PATHS = 1_000_000
PARTS = ("small", "camera", "web", "shards", "cold", "memory")
"""What is measured."""
SIDES = {"small": 300, "camera": 2000, "web": 2000}
"""Longer side of photographs in pixels; those of `web` are saved with quality 75, the others with 90."""
PEER = "torchvision ImageFolder + DataLoader"
COPIES = 8
"""Files of each photograph in what is read cold, so that it takes longer than a turn."""
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
    pixels = sum(width * height for width, height in map(read_size, some))
    return f"{8 * sum(file.stat().st_size for file in some) / pixels:.1f} bits a pixel"


def every(folder: Path) -> Images:
    """All images of a folder or of shards, as one split."""
    return find(str(folder)).train


def ours(images: Images, workers: int) -> Iterator[int]:
    """Images in each batch, for ever."""
    batches = training_batches(
        images,
        IMAGENET,
        Augment("resized_crop", area=AREA),
        seed=0,
        batch_size=BATCH,
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
    loader = DataLoader(images, BATCH, shuffle=True, num_workers=workers, drop_last=True)
    return (len(labels) for _ in itertools.count() for _, labels in loader)


def compared(what: str, mine: turns.Feed, peer: tuple[str, turns.Feed], session: turns.Session) -> turns.Rows:
    """One row: images per second and core."""
    sides = {"ours": mine, peer[0]: peer[1]}
    timed = {name: partial(turns.per_second, feed, session.seconds) for name, feed in sides.items()}
    rounds, cores = session.take_turns(timed, unit="images/s"), world.available_cores()
    unit = "images/s per core"
    yield turns.row_of_rounds(what, rounds, "ours", peer[0], unit=unit, digits=1, share=1 / cores)
    rounds.stop()


def memory(workers: int, looks: int) -> turns.Row:
    """MB that `workers` forked processes own besides their parent, after `looks` each at a million paths."""
    names = [f"class{i % 1000:03}/{i:07}.jpg" for i in range(PATHS)]
    files = Files.of(Path("/nowhere"), names)
    grown = {
        "ours": _owned(lambda i: files[i], workers, looks),
        "peer": _owned(lambda i: Path("/nowhere", names[i]), workers, looks),
    }
    return turns.row(
        f"memory of {workers} workers after {looks:,} looks each at {PATHS:,} paths",
        max(grown["ours"], 0.1),
        grown["peer"],
        peer_name="a list of str, as ImageFolder keeps them",
        unit="MB",
        less_is_better=True,
        digits=1,
    )


def _owned(look: Callable[[int], Path], workers: int, looks: int) -> float:
    """Private MB of all workers together."""
    total = 0.0
    for worker in range(workers):
        reader, writer = os.pipe()
        if not os.fork():
            try:
                before = _private()
                for number in range(looks):
                    look((worker + workers * number) % PATHS)
                os.write(writer, str(_private() - before).encode())
            finally:  # after Ctrl-C, too: the rows are those of the parent
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


def against_torchvision(
    made: Path, options: argparse.Namespace, session: turns.Session, part: str
) -> turns.Rows:
    """Our folders beside torchvision's."""
    folder = options.source if options.source and part == "small" else photographs_of(made, part, options)
    what = f"JPEGs of {folder}" if folder == options.source else f"JPEGs of {SIDES[part]} px"
    peer, mine = (
        partial(theirs, folder, world.available_cores()),
        partial(ours, every(folder), world.available_cores()),
    )
    yield from compared(f"{what}, {bits(folder)}", mine, (PEER, peer), session)


def of_shards(made: Path, options: argparse.Namespace, session: turns.Session) -> turns.Rows:
    """Our shards beside our folders."""
    for what, part, side, decoded in (
        ("shards of the 300 px JPEGs", "small", 0, False),
        ("the same, decoded", "small", 0, True),
        (f"shards of the large ones at {REDUCED} px", "camera", REDUCED, False),
        ("the same, decoded", "camera", REDUCED, True),
    ):
        folder, packed = photographs_of(made, part, options), made / f"{part}-packed"
        write_shards(find(str(folder)), packed, side=side, decoded=decoded, force=True)
        mine, peer = (partial(ours, every(of), world.available_cores()) for of in (packed, folder))
        yield from compared(what, mine, ("our folders, the same images", peer), session)


def from_disk(made: Path, options: argparse.Namespace, session: turns.Session) -> turns.Rows:
    """Our folders beside torchvision's, and our shards beside our folders, nothing of them in memory."""
    folder, packed = made / "many", made / "many-packed"
    for file in photographs_of(made, "small", options).rglob("*.jpg"):
        (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
        for copy in range(COPIES):
            (folder / file.parent.name / f"{copy}-{file.name}").write_bytes(file.read_bytes())
    write_shards(find(str(folder)), packed)
    peer = partial(once, folder, partial(theirs, folder, world.available_cores()))
    files, shards = (
        partial(once, of, partial(ours, every(of), world.available_cores())) for of in (folder, packed)
    )
    yield from compared("300 px JPEGs, cold", files, (PEER, peer), session)
    yield from compared(
        "shards of them, cold", shards, ("our folders, the same images, cold", files), session
    )
    write_shards(find(str(folder)), made / "many-decoded", decoded=True)
    pixels = partial(
        once, made / "many-decoded", partial(ours, every(made / "many-decoded"), world.available_cores())
    )
    yield from compared(
        "the same, decoded, cold", pixels, ("our folders, the same images, cold", files), session
    )
    one_by_one = replace(every(folder), files=Unasked(every(folder).files))
    alone = partial(once, folder, partial(ours, one_by_one, world.available_cores()))
    yield from compared(
        "300 px JPEGs, cold, all of a batch asked for", files, ("one after another", alone), session
    )


@dataclass(frozen=True)
class Unasked:
    """Files, each of which is asked for when it is its turn."""

    files: Files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Path:
        return self.files[i]

    def prefetch(self, _: object) -> None:
        """Nothing."""


def once(folder: Path, feed: turns.Feed) -> Iterator[int]:
    """What `feed` gives when the contents of `folder` are forgotten, until all was read that is in it."""
    cold.forget(folder)
    left = len(every(folder))
    for count in feed():
        yield count
        left -= count
        if left < BATCH:
            raise RuntimeError("all images were read, and are in memory now: give more --images")


def photographs_of(made: Path, part: str, options: argparse.Namespace) -> Path:
    """Those of one part, made when they are first asked for."""
    folder = made / part
    if not folder.exists():
        count = options.images if part == "small" else max(BATCH, options.images // 8)
        photographs(folder, count=count, side=SIDES[part], quality=75 if part == "web" else 90)
    return folder


def rows(options: argparse.Namespace) -> turns.Rows:
    """All that is measured, when it is."""
    session = turns.Session.of(options)
    with tempfile.TemporaryDirectory() as place:
        for part in options.only or PARTS:
            if part in SIDES:
                yield from against_torchvision(Path(place), options, session, part)
            elif part == "shards":
                yield from of_shards(Path(place), options, session)
            elif part == "cold":
                yield from from_disk(Path(place), options, session)
            else:
                yield from (memory(4, looks) for looks in (PATHS // 4, PATHS))


def main() -> None:
    """Print the comparison."""
    parser = turns.parser(__doc__, rounds=7, seconds=6.0, each="each turn")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some of it")
    parser.add_argument(
        "--source", type=Path, help="folder of classes in place of the made 300 px photographs"
    )
    parser.add_argument("--images", type=int, default=2048, help="photographs of 300 px to make")
    options = parser.parse_args()
    turns.show(rows(options), "torchvision", "pillow", as_json=options.json)


if __name__ == "__main__":
    main()
