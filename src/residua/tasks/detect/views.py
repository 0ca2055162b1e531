"""Views: an image and its boxes as a detector sees them, with keyed chance (Liu et al. 2016, 2.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.boxes import Boxes, overlaps
from residua.data.sampler import BOXES, draws, key
from residua.spec.augment import Augment
from residua.spec.detector import Detector
from residua.spec.preprocess import Preprocess

_FEW, _MANY = 32, 1024  # numbers for a view, and for its crop: 40 tries of each overlap take four each
_TRIES = 40  # as torchvision's RandomIoUCrop
_LEAST = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # overlaps a crop must have with some box; 1 is the whole image
_SHARE = (0.3, 1.0)  # sides of a crop, as shares of the image's
_SHAPE = (0.5, 2.0)  # width over height of a crop
_FADE, _LIGHT, _TURN = (0.5, 1.5), (0.875, 1.125), 0.05  # torchvision's RandomPhotometricDistort
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

Window = tuple[float, float, float, float]
"""Left, top, right and bottom of what a view shows, in pixels of its image; it may reach beyond the image."""


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """What a detector is shown of one image."""

    pixels: NDArray[np.uint8]
    """(H, W, C)."""
    boxes: Boxes
    """What is marked in it, in its own pixels."""
    window: Window
    """What it shows of the image."""


def back(corners: NDArray[np.float32], window: Window, size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes (n, 4) of a view of `size`, rows and columns, that shows `window`, as boxes of the image."""
    left, top, right, bottom = window
    scale = np.array([(right - left) / size[1], (bottom - top) / size[0]] * 2)
    found = corners.astype(np.float64) * scale + np.array([left, top] * 2)
    return np.asarray(np.clip(found, [left, top] * 2, [right, bottom] * 2), np.float32)


def whole_view(image: Image.Image, boxes: Boxes, detector: Detector, preprocess: Preprocess) -> View:
    """The whole of `image`, warped to a square or with its shape kept."""
    return _shown(image, boxes, (0.0, 0.0, float(image.width), float(image.height)), detector, preprocess)


def train_view(
    image: Image.Image,
    boxes: Boxes,
    detector: Detector,
    preprocess: Preprocess,
    augment: Augment,
    where: tuple[int, int, int],
) -> View:
    """What training sees of `image`; `where` is seed, epoch and index, on which alone every draw depends."""
    chance = _chance(where, _FEW)
    window = (0.0, 0.0, float(image.width), float(image.height))
    if augment.kind == "ssd":
        window = _zoomed_out(window, augment.zoom, chance)
        window = _cropped(window, boxes, _chance(where, _MANY))
    view = _shown(image, boxes, window, detector, preprocess)
    if augment.kind == "ssd":
        view = View(_distorted(view.pixels, chance), view.boxes, view.window)
    return _mirrored(view) if next(chance) < augment.flip else view


def size_of(detector: Detector, width: float, height: float) -> tuple[int, int]:
    """Width and height in pixels at which the detector looks at what is `width` x `height`."""
    if detector.warps:
        return detector.size, detector.size
    scale = min(detector.size / min(width, height), detector.longest / max(width, height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _chance(where: tuple[int, int, int], count: int) -> Iterator[float]:
    """`count` numbers in [0, 1) that depend on `where` and on `count` alone."""
    return iter(draws(key(*where, BOXES), count, np.arange(count), BOXES).tolist())


def _between(chance: Iterator[float], low: float, high: float) -> float:
    return low + next(chance) * (high - low)


def _zoomed_out(window: Window, most: float, chance: Iterator[float]) -> Window:
    """Half of the time, a window up to `most` times the image's sides, with the image anywhere in it."""
    if next(chance) >= 0.5:
        return window
    _, _, width, height = window
    times, x, y = _between(chance, 1, most), next(chance), next(chance)
    left, top = -x * width * (times - 1), -y * height * (times - 1)
    return left, top, left + times * width, top + times * height


def _cropped(window: Window, boxes: Boxes, chance: Iterator[float]) -> Window:
    """A window inside of `window` that overlaps some box by a drawn share, and holds some box's centre."""
    left, top, right, bottom = window
    while len(boxes):
        least = _LEAST[int(next(chance, 0.99) * len(_LEAST))]
        if least == 1.0:
            break
        for numbers in [[next(chance, 0.0) for _ in range(4)] for _ in range(_TRIES)]:
            wide, high = (_SHARE[0] + n * (_SHARE[1] - _SHARE[0]) for n in numbers[:2])
            wide, high = wide * (right - left), high * (bottom - top)
            if not _SHAPE[0] <= wide / high <= _SHAPE[1]:
                continue
            x, y = left + numbers[2] * (right - left - wide), top + numbers[3] * (bottom - top - high)
            crop = (x, y, x + wide, y + high)
            inside = _centred(boxes, crop)
            if inside.any() and overlaps(boxes.corners[inside], np.array([crop])).max() >= least:
                return crop
    return window


def _centred(boxes: Boxes, window: Window) -> NDArray[np.bool_]:
    """Which boxes have their centre in `window`: (n,)."""
    left, top, right, bottom = window
    x, y = boxes.corners[:, [0, 2]].mean(1), boxes.corners[:, [1, 3]].mean(1)
    return np.asarray((left < x) & (x < right) & (top < y) & (y < bottom))


def _shown(
    image: Image.Image, boxes: Boxes, window: Window, detector: Detector, preprocess: Preprocess
) -> View:
    """`window` of `image` at the detector's size; what lies beyond the image has the mean colour."""
    left, top, right, bottom = window
    wide, high = size_of(detector, right - left, bottom - top)
    scale = (wide / (right - left), high / (bottom - top))
    inner = (max(left, 0.0), max(top, 0.0), min(right, float(image.width)), min(bottom, float(image.height)))
    place = [round((inner[i] - (left, top)[i % 2]) * scale[i % 2]) for i in range(4)]
    size = (max(1, place[2] - place[0]), max(1, place[3] - place[1]))
    part = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=inner))
    part = part[:, :, None] if part.ndim == 2 else part
    pixels = part
    if size != (wide, high):
        fill = np.round(255 * np.array(preprocess.mean)).astype(np.uint8)
        pixels = np.broadcast_to(fill, (high, wide, len(fill))).copy()
        rows, columns = (
            slice(a, min(a + n, m)) for a, n, m in ((place[1], size[1], high), (place[0], size[0], wide))
        )
        pixels[rows, columns] = part[: rows.stop - rows.start, : columns.stop - columns.start]
    return View(np.ascontiguousarray(pixels), _seen(boxes, window, scale), window)


def _seen(boxes: Boxes, window: Window, scale: tuple[float, float]) -> Boxes:
    """The boxes whose centre is in `window`, cut off at its edge, in pixels of the view."""
    left, top, right, bottom = window
    kept = boxes.chosen(_centred(boxes, window))
    cut = np.clip(kept.corners, [left, top] * 2, [right, bottom] * 2) - np.array([left, top] * 2)
    corners = (cut * np.array(scale * 2)).astype(np.float32)
    whole = ((corners[:, 2:] - corners[:, :2]) >= 1).all(1)  # what is less than a pixel cannot be learned
    return kept.moved(corners).chosen(whole)


def _mirrored(view: View) -> View:
    wide = view.pixels.shape[1]
    corners = view.boxes.corners.copy()
    corners[:, [0, 2]] = wide - corners[:, [2, 0]]
    return View(np.ascontiguousarray(view.pixels[:, ::-1]), view.boxes.moved(corners), view.window)


def _distorted(pixels: NDArray[np.uint8], chance: Iterator[float]) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation and hue, each half of the time, contrast before or after the others.

    Hue is turned in YIQ, where that is one matrix, not in HSV. Grey pictures keep their hue and saturation.
    """
    flips = [next(chance) < 0.5 for _ in range(5)]
    light, contrast, fade = (_between(chance, *span) for span in (_LIGHT, _FADE, _FADE))
    turn = 2 * np.pi * _between(chance, -_TURN, _TURN)
    found = pixels.astype(np.float32)
    colours = found.shape[2] == 3
    found = found * light if flips[0] else found
    for late in (False, True):
        if flips[1] and flips[4] == late:
            found = _blended(found, np.float32((found @ _GREY if colours else found).mean()), contrast)
        if late or not colours:
            continue
        found = _blended(found, (found @ _GREY)[..., None], fade) if flips[2] else found
        found = found @ _hue(turn) if flips[3] else found
    return np.clip(np.round(found), 0, 255).astype(np.uint8)


def _blended(
    pixels: NDArray[np.float32], other: "NDArray[np.float32] | np.float32", share: float
) -> NDArray[np.float32]:
    return np.asarray(np.clip(other + share * (pixels - other), 0, 255), np.float32)


def _hue(turn: float) -> NDArray[np.float32]:
    """The matrix (3, 3) by which rows of pixels are multiplied to turn their hue, in radians."""
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.asarray((np.linalg.inv(_YIQ) @ rotation @ _YIQ).T, np.float32)
