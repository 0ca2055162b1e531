"""Clips per second from files to batches, beside a plain PyAV loop with torchvision's transforms.

Both take 16 frames, every other one, from a random place of each clip, cut a random area of 112 px, mirror
half of them and hand over uint8 batches. The peer is what people write: decode up to the last frame wanted,
keep those wanted at full size as RGB, then torchvision's v2 transforms, in a DataLoader. Each has as many
workers as there are cores; ours decodes in a process beside each worker, which waits meanwhile. The cache of
decoded clips has a row of its own: it is the same comparison from the second epoch on. Long clips show what
going to the last key frame saves, short ones, which are read nearly whole, what the rest does.
"""

import argparse
import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
import turns
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from residua.data.images import Images
from residua.data.open import find
from residua.data.video.clips import ClipFrames
from residua.data.video.frame_cache import FrameCache, open_cache
from residua.jobs.models import arch_of
from residua.recipes import quick
from residua.spec.recipe import Recipe
from residua.tasks.video.batches import training_batches
from residua.training.processes import world

FRAMES, STRIDE = 16, 2
AREA = (0.35, 1.0)
PEER = "PyAV loop + torchvision v2 in a DataLoader"


def make_clips(folder: Path, *, count: int, seconds: int) -> Path:
    """`count` H.264 clips of 320 x 240 at 30 frames a second, grainy pictures that pan, in two classes."""
    for i in range(count):
        draw = np.random.default_rng(i)
        coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        scene = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC), np.int16)
        file = folder / f"class{i % 2}" / f"{i:04}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(file), "w") as container:
            stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for t in range(30 * seconds):
                top, left = abs(t % 400 - 200), abs((2 * t) % 600 - 300)
                grain = draw.integers(-6, 7, (240, 320, 1), dtype=np.int16)
                window = scene[top : top + 240, left : left + 320] + grain
                frame = av.VideoFrame.from_ndarray(np.clip(window, 0, 255).astype(np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return folder


class Plain(TorchDataset[tuple[Tensor, int]]):
    """A folder of clips as the usual loop reads it."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.transform = v2.Compose(
            [
                v2.Resize(128, antialias=True),
                v2.RandomResizedCrop(112, scale=AREA, antialias=True),
                v2.RandomHorizontalFlip(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        with av.open(str(self.images.item(i))) as container:
            stream = container.streams.video[0]
            span = (FRAMES - 1) * STRIDE + 1
            start = int(torch.randint(max(1, stream.frames - span + 1), ()))
            numbers = set(range(start, start + span, STRIDE))
            frames = []
            for number, frame in enumerate(container.decode(stream)):
                if number in numbers:
                    frames.append(frame.to_ndarray(format="rgb24"))
                if len(frames) == FRAMES:
                    break
        frames += [frames[-1]] * (FRAMES - len(frames))
        clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        return self.transform(clip).transpose(0, 1), int(self.images.labels[i])


def recipe(batch: int) -> Recipe:
    base = quick.clips(arch_of("resnet3d18", frames=FRAMES, frame_stride=STRIDE), "clips")
    augment = replace(base.augment, area=AREA)
    return replace(base, augment=augment, budget=replace(base.budget, batch_size=batch))


def ours(images: Images, workers: int, batch: int, cache: FrameCache | None) -> Iterator[int]:
    """Clips in each batch, for ever."""
    used = recipe(batch)
    footage = ClipFrames(images, used.arch.preprocess, cache)
    batches = training_batches(
        footage, used, first=0, steps=10**6, workers=workers, device=torch.device("cpu")
    )
    return (len(batch_.labels) for batch_ in batches)


def theirs(images: Images, workers: int, batch: int) -> Iterator[int]:
    """The same with the peer."""
    loader = DataLoader(Plain(images), batch, shuffle=True, num_workers=workers, drop_last=True)
    return (len(labels) for _ in itertools.count() for _, labels in loader)


def sides(images: Images, batch: int, cache: FrameCache) -> dict[str, turns.Feed]:
    """Ours, ours from the cache, and the peer."""
    workers = world.available_cores()
    return {
        "first": partial(ours, images, workers, batch, None),
        "cached": partial(ours, images, workers, batch, cache),
        PEER: partial(theirs, images, workers, batch),
    }


def rows(args: argparse.Namespace, session: turns.Session) -> turns.Rows:
    """Ours with and without the cache against the peer, in turns."""
    with tempfile.TemporaryDirectory() as place:
        if args.source:
            yield from compared(str(args.source), args.source, Path(place, "cache"), args.batch, session)
            return
        for seconds in args.length:
            folder = make_clips(Path(place, f"{seconds}"), count=args.clips, seconds=seconds)
            cache = Path(place, f"cache-{seconds}")
            yield from compared(f"clips of {seconds} s", folder, cache, args.batch, session)


def compared(what: str, folder: Path, place: Path, batch: int, session: turns.Session) -> turns.Rows:
    """Two rows of one folder of clips."""
    images = find(f"video:{folder}", holds="clips").train
    cache = open_cache(place, 8 << 30)
    feeds = sides(images, batch, cache)
    with contextlib.closing(feeds["cached"]()) as filling:
        for _ in range(-(-len(images) // batch) + 1):  # the cache's first epoch is not what it is for
            next(filling)
    timed = {name: partial(turns.per_second, feed, session.seconds) for name, feed in feeds.items()}
    rounds = session.take_turns(timed, unit="clips/s")
    titles = {
        "first": f"decoding {what}, {FRAMES} frames, one of every {STRIDE}, random crops of 112 px",
        "cached": f"the same from the second epoch on, decoded {what} in the cache",
    }
    for name, text in titles.items():
        yield turns.row_of_rounds(text, rounds, name, PEER, unit="clips/s", digits=1)
    rounds.stop()
