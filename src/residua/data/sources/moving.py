"""Moving photographs: generated clips whose class, one of eight directions, no single frame reveals.

A frame is a window on a photograph, which continues as its mirror image at all edges. The position of the
window is uniform and independent of the direction, so frames have one distribution in all classes: a network
that classifies single frames reaches 12.5 % accuracy, and only one that uses motion reaches more.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from residua.data.decode import decode, printable_path
from residua.data.images import Images
from residua.data.listing import ListingOptions, SourceListing
from residua.data.sampler import draws
from residua.data.video.clips import CLIP
from residua.data.walk import walk
from residua.errors import DataError
from residua.spec.amount import quantity

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
"""Classes: direction of the window, in steps down and to the right."""
SIDE, FRAMES, SPEED = 24, 8, 2
"""Side of a frame in pixels, frames of a clip, and pixels that the window moves between two frames."""
TRAIN, TEST = 2400, 480
"""Numbers of training and test clips."""

_SHORTER_SIDE = 96  # pixels of a resized photograph: a window shows a quarter of this length
_MAX_PHOTOGRAPHS = 500  # of a folder
_DOWN, _ACROSS, _WHICH, _WAY = 2000, 2001, 2002, 2003  # random streams, apart from those of augmentation


def find_moving(place: str, _options: ListingOptions) -> SourceListing:
    """Generate the clips; they are the same in every call.

    Test clips show photographs, or halves of photographs where there are only two, that training does not.

    Args:
        place: a folder of photographs; empty for two photographs of scikit-learn.

    Returns:
        Clips as (N, FRAMES * SIDE, SIDE, 3) uint8, the frames of each below one another.

    Raises:
        DataError: when the folder does not hold two photographs that are large enough.
    """
    train_photographs, test_photographs = _read_photographs(Path(place)) if place else _scikit_learn_halves()
    train = _generate_clips("train", train_photographs, TRAIN, seed=0)
    test = _generate_clips("test", test_photographs, TEST, seed=1)
    photographs = "two photographs of scikit-learn, halved"
    if place:
        photographs = f"{len(train_photographs)} + {quantity(len(test_photographs), 'photograph')}"
    note = f"{FRAMES} frames each, moving over {photographs}"
    return SourceListing(f"moving:{place}" if place else "moving", train, test, note)


def moving_windows(
    photograph: NDArray[np.uint8], top: int, left: int, step: tuple[int, int]
) -> NDArray[np.uint8]:
    """Frames (FRAMES, SIDE, SIDE, 3) of a window that starts at `top` and `left` of an (H, W, 3) image.

    Args:
        photograph: RGB pixels (H, W, 3) uint8, which continue as their mirror image at all edges.
        top: Upper edge of the first window, in pixels; it may lie outside the photograph.
        left: Left edge of the first window, in pixels; it may lie outside the photograph.
        step: Direction down and to the right, a value of `DIRECTIONS`; the window moves `SPEED` times as far.

    Returns:
        The frames (FRAMES, SIDE, SIDE, 3) uint8.
    """
    rows, columns = (
        _mirrored_indices(start + SPEED * way * np.arange(FRAMES)[:, None] + np.arange(SIDE), length)
        for start, way, length in zip((top, left), step, photograph.shape[:2], strict=True)
    )
    return photograph[rows[:, :, None], columns[:, None, :]]


def _mirrored_indices(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Indices into `length` pixels that continue as their mirror image at both ends."""
    around = places % (2 * length)
    return np.minimum(around, 2 * length - 1 - around)


def _generate_clips(name: str, photographs: list[NDArray[np.uint8]], count: int, *, seed: int) -> Images:
    """Clips with every direction equally often, the frames of each below one another."""
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
        strips[i] = moving_windows(photograph, top, left, steps[labels[i]]).reshape(-1, SIDE, 3)
    return Images(name, tuple(DIRECTIONS), labels.astype(np.int64), pixels=strips, media_type=CLIP)


def _scikit_learn_halves() -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """The left and the right halves of scikit-learn's photographs."""
    from sklearn.datasets import load_sample_images

    pictures = [_resize(Image.fromarray(pixels)) for pixels in load_sample_images().images]
    middles = [picture.shape[1] // 2 for picture in pictures]
    left = [picture[:, :middle] for picture, middle in zip(pictures, middles, strict=True)]
    right = [picture[:, middle:] for picture, middle in zip(pictures, middles, strict=True)]
    return left, right


def _read_photographs(folder: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Photographs for training, and every fifth for testing."""
    if not folder.is_dir():
        raise DataError(
            f"{printable_path(folder)} is not a folder: give moving:DIR with photographs, or moving"
        )
    photographs = list(_read_large(folder))
    if len(photographs) < 2:
        raise DataError(
            f"{printable_path(folder)} holds {len(photographs)} photographs of "
            f"{SIDE} pixels or more: give two"
        )
    train = [photograph for number, photograph in enumerate(photographs) if number % 5]
    return train, photographs[::5]


def _read_large(folder: Path) -> Iterator[NDArray[np.uint8]]:
    files = sorted(path for kind, path in walk(folder, root=folder) if kind == "image")
    places = np.linspace(0, len(files) - 1, min(_MAX_PHOTOGRAPHS, len(files))).astype(int)
    for place in places.tolist():
        image = decode(files[place], colour="rgb")
        if min(image.size) >= SIDE:
            yield _resize(image)


def _resize(image: Image.Image) -> NDArray[np.uint8]:
    """Resize and equalise contrast: in a plain sky, motion would not be visible."""
    scale = min(1.0, _SHORTER_SIDE / min(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    return np.asarray(ImageOps.equalize(image.resize(size, Image.Resampling.BILINEAR)))
