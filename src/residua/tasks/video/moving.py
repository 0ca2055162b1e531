"""Moving photographs: still pictures panned in eight directions, which no single frame of a clip tells.

The frames of a clip are windows on a photograph that is mirrored at its edges and so has none. Where a window
lies is drawn evenly and apart from the direction, so every single frame looks alike in all classes: a network
that sees frames one by one must guess, 12.5 %, and one that sees motion need not.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from residua.data.decode import decode, printable_path
from residua.data.images import ImageDataset, Images
from residua.data.sampler import draws
from residua.data.video.clips import CLIP
from residua.data.walk import walk
from residua.errors import DataError

DIRECTIONS = {
    "right": (0, 1),
    "down right": (1, 1),
    "down": (1, 0),
    "down left": (1, -1),
    "left": (0, -1),
    "up left": (-1, -1),
    "up": (-1, 0),
    "up right": (-1, 1),
}
"""Classes: how the window goes, in steps down and across."""
SIDE, FRAMES, SPEED = 24, 8, 2
"""Side of a frame in pixels, frames of a clip, and pixels that the window goes from one to the next."""
TRAIN, TEST = 2400, 480
"""Clips to learn from and to judge by."""

_SHRUNK = 96  # pixels of a photograph's shorter side: a window shows a quarter of it, and so enough
_MOST = 500  # photographs that are read, at most
_DOWN, _ACROSS, _WHICH, _WAY = 2000, 2001, 2002, 2003  # streams of chance; ours, far from those of views


def open_moving(folder: str) -> ImageDataset:
    """Clips panned over the photographs in `folder`, or over two that scikit-learn brings; always the same.

    Those to judge by show photographs, or where there are only two, halves of them, that are never learned
    from. DataError when `folder` holds no photograph large enough.
    """
    learn, judge = _photographs(Path(folder)) if folder else _brought()
    train, test = _clips("train", learn, TRAIN, seed=0), _clips("test", judge, TEST, seed=1)
    what = f"{len(learn)} + {len(judge)} photographs" if folder else "two photographs of scikit-learn, halved"
    note = f"8 directions, {TRAIN} train + {TEST} test clips of {FRAMES} frames, panned over {what}"
    return ImageDataset(
        f"moving:{folder}" if folder else "moving", train, test, grey=False, size=SIDE, note=note
    )


def panned(photograph: NDArray[np.uint8], top: int, left: int, step: tuple[int, int]) -> NDArray[np.uint8]:
    """`FRAMES` windows (T, SIDE, SIDE, 3) on a mirrored (H, W, 3), the first at `top` and `left`."""
    rows, columns = (
        _mirrored(start + SPEED * way * np.arange(FRAMES)[:, None] + np.arange(SIDE), length)
        for start, way, length in zip((top, left), step, photograph.shape[:2], strict=True)
    )
    return photograph[rows[:, :, None], columns[:, None, :]]


def _mirrored(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """`places` on an endless line as places on one of `length` that runs back at both ends."""
    around = places % (2 * length)
    return np.minimum(around, 2 * length - 1 - around)


def _clips(name: str, photographs: list[NDArray[np.uint8]], count: int, *, seed: int) -> Images:
    """Every direction equally often, each clip as a strip of its frames."""
    numbers = np.arange(count)
    labels = np.argsort(draws(seed, 0, numbers, _WAY), kind="stable") % len(DIRECTIONS)
    which = (draws(seed, 0, numbers, _WHICH) * len(photographs)).astype(int)
    down, across = (draws(seed, 0, numbers, stream) for stream in (_DOWN, _ACROSS))
    steps = list(DIRECTIONS.values())
    strips = np.empty((count, FRAMES * SIDE, SIDE, 3), np.uint8)
    for i in range(count):
        photograph = photographs[which[i]]
        height, width = photograph.shape[:2]
        top, left = int(down[i] * 2 * height), int(across[i] * 2 * width)
        strips[i] = panned(photograph, top, left, steps[labels[i]]).reshape(-1, SIDE, 3)
    return Images(name, tuple(DIRECTIONS), labels.astype(np.int64), pixels=strips, media_type=CLIP)


def _brought() -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """The left and the right halves of scikit-learn's photographs."""
    from sklearn.datasets import load_sample_images

    pictures = [_shrunk(Image.fromarray(pixels)) for pixels in load_sample_images().images]
    middles = [picture.shape[1] // 2 for picture in pictures]
    left = [picture[:, :middle] for picture, middle in zip(pictures, middles, strict=True)]
    right = [picture[:, middle:] for picture, middle in zip(pictures, middles, strict=True)]
    return left, right


def _photographs(folder: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Photographs to learn from, and every fifth to judge by."""
    if not folder.is_dir():
        raise DataError(f"{printable_path(folder)} is no folder: give moving:DIR with photographs, or moving")
    found = list(_read(folder))
    if len(found) < 2:
        raise DataError(
            f"{printable_path(folder)} holds {len(found)} photographs of {SIDE} pixels or more: give two"
        )
    judge = found[::5]
    return [picture for number, picture in enumerate(found) if number % 5], judge


def _read(folder: Path) -> Iterator[NDArray[np.uint8]]:
    files = sorted(path for kind, path in walk(folder, root=folder) if kind == "image")
    places = np.linspace(0, len(files) - 1, min(_MOST, len(files))).astype(int)
    for place in places.tolist():
        image = decode(files[place], colour="rgb")
        if min(image.size) >= SIDE:
            yield _shrunk(image)


def _shrunk(image: Image.Image) -> NDArray[np.uint8]:
    """Small, and with all its contrast used: in a plain sky nothing would be seen to move."""
    scale = min(1.0, _SHRUNK / min(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    return np.asarray(ImageOps.equalize(image.resize(size, Image.Resampling.BILINEAR)))
