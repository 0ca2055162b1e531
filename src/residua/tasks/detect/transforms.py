"""Transforms of an image with its boxes: resizing and SSD's augmentation (Liu et al. 2016, 2.2 and 3.6).

Every random number is keyed by (seed, epoch, index), so views do not depend on workers or interruptions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.boxes import Boxes, box_iou
from residua.data.sampler import BOXES, draws, seed_for
from residua.spec.augment import Augment
from residua.spec.detector import Detector
from residua.spec.preprocess import Preprocess

_VIEW_DRAWS, _CROP_DRAWS = 32, 1024  # random numbers for a view, and for its crop: each crop tried takes four
_CROPS_TRIED = 40  # for each least IoU, as in torchvision's RandomIoUCrop
_MIN_IOU = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # of a crop with some box; 1 keeps the whole image
_CROP_SIDE = (0.3, 1.0)  # as a share of the image's side
_CROP_ASPECT = (0.5, 2.0)  # width over height
_BRIGHTNESS = (0.875, 1.125)  # these three as in torchvision's RandomPhotometricDistort
_CONTRAST = (0.5, 1.5)  # of saturation, too
_MAX_HUE_SHIFT = 0.05  # in turns
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

Window = tuple[float, float, float, float]
"""The region of an image that a view shows, x1 y1 x2 y2 in pixels; it may reach beyond the image."""


@dataclass(frozen=True, eq=False, slots=True)
class BoxView:
    """A transformed image with its boxes: one input of a detector."""

    pixels: NDArray[np.uint8]
    """The image: (H, W, C)."""
    boxes: Boxes
    """Objects in it, in pixels of the view."""
    window: Window
    """The region of the original image that it shows."""


def to_image(corners: NDArray[np.float32], window: Window, size: tuple[int, int]) -> NDArray[np.float32]:
    """Map boxes of a view to the original image.

    Args:
        corners: boxes (n, 4), x1 y1 x2 y2 in pixels of the view.
        window: the region of the image that the view shows.
        size: height and width of the view in pixels.

    Returns:
        Boxes (n, 4) float32, x1 y1 x2 y2 in pixels of the image, clipped to the window.
    """
    left, top, right, bottom = window
    scale = np.array([(right - left) / size[1], (bottom - top) / size[0]] * 2)
    mapped = corners.astype(np.float64) * scale + np.array([left, top] * 2)
    return np.asarray(np.clip(mapped, [left, top] * 2, [right, bottom] * 2), np.float32)


def eval_box_view(image: Image.Image, boxes: Boxes, detector: Detector, preprocess: Preprocess) -> BoxView:
    """Resize the whole image, as evaluation and prediction do.

    Args:
        image: the upright image.
        boxes: objects in it, in its pixels.
        detector: gives the size, and whether the shape is kept.
        preprocess: gives the mean colour.

    Returns:
        The view and its boxes.
    """
    window = (0.0, 0.0, float(image.width), float(image.height))
    return _resized_window(image, boxes, window, detector, preprocess)


def train_box_view(
    image: Image.Image,
    boxes: Boxes,
    detector: Detector,
    preprocess: Preprocess,
    augment: Augment,
    where: tuple[int, int, int],
) -> BoxView:
    """Augment an image and its boxes for training: zoom out, crop, distort colours and flip.

    Args:
        image: the upright image.
        boxes: objects in it, in its pixels.
        detector: gives the size, and whether the shape is kept.
        preprocess: gives the mean colour, which fills what lies beyond the image.
        augment: of kind `ssd` or `none`; `none` only flips.
        where: seed, epoch and index of the image, the key of all random numbers.

    Returns:
        The view and the boxes whose centre it shows.
    """
    numbers = _random_numbers(where, _VIEW_DRAWS)
    window = (0.0, 0.0, float(image.width), float(image.height))
    if augment.kind == "ssd":
        window = _zoom_out(window, augment.zoom, numbers)
        window = _crop(window, boxes, _random_numbers(where, _CROP_DRAWS))
    view = _resized_window(image, boxes, window, detector, preprocess)
    if augment.kind == "ssd":
        view = BoxView(_distort_colours(view.pixels, numbers), view.boxes, view.window)
    return _flip(view) if next(numbers) < augment.flip else view


def resized_size(detector: Detector, width: float, height: float) -> tuple[int, int]:
    """The size that the detector gives to an image of `width` x `height`: width and height in pixels.

    Args:
        detector: Gives the sizes, and whether the aspect ratio is kept.
        width: Width of the image or of a window of it, in pixels.
        height: Its height, in pixels.

    Returns:
        Width and height, whole pixels. An SSD gets a square. For others the shorter side becomes `size`, or
        less where the longer side would exceed `longest`.
    """
    if detector.warps:
        return detector.size, detector.size
    scale = min(detector.size / min(width, height), detector.longest / max(width, height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _random_numbers(where: tuple[int, int, int], count: int) -> Iterator[float]:
    """`count` numbers in [0, 1) that depend on `where` and on `count` only."""
    return iter(draws(seed_for(*where, BOXES), count, np.arange(count), BOXES).tolist())


def _uniform(numbers: Iterator[float], low: float, high: float) -> float:
    return low + next(numbers) * (high - low)


def _zoom_out(window: Window, max_zoom: float, numbers: Iterator[float]) -> Window:
    """With probability .5, a window up to `max_zoom` times as large, with the image anywhere in it."""
    if next(numbers) >= 0.5:
        return window
    _, _, width, height = window
    zoom, x, y = _uniform(numbers, 1, max_zoom), next(numbers), next(numbers)
    left, top = -x * width * (zoom - 1), -y * height * (zoom - 1)
    return left, top, left + zoom * width, top + zoom * height


def _crop(window: Window, boxes: Boxes, numbers: Iterator[float]) -> Window:
    """A random crop of `window` that shows the centre of some box and has a randomly chosen IoU with it."""
    left, top, right, bottom = window
    while len(boxes):
        min_iou = _MIN_IOU[int(next(numbers, 0.99) * len(_MIN_IOU))]
        if min_iou == 1.0:
            break
        for four in [[next(numbers, 0.0) for _ in range(4)] for _ in range(_CROPS_TRIED)]:
            width, height = (_CROP_SIDE[0] + n * (_CROP_SIDE[1] - _CROP_SIDE[0]) for n in four[:2])
            width, height = width * (right - left), height * (bottom - top)
            if not _CROP_ASPECT[0] <= width / height <= _CROP_ASPECT[1]:
                continue
            x, y = left + four[2] * (right - left - width), top + four[3] * (bottom - top - height)
            crop = (x, y, x + width, y + height)
            inside = _centres_inside(boxes, crop)
            if inside.any() and box_iou(boxes.corners[inside], np.array([crop])).max() >= min_iou:
                return crop
    return window


def _centres_inside(boxes: Boxes, window: Window) -> NDArray[np.bool_]:
    """Whether the centre of each box is in `window`: (n,)."""
    left, top, right, bottom = window
    x, y = boxes.corners[:, [0, 2]].mean(1), boxes.corners[:, [1, 3]].mean(1)
    return np.asarray((left < x) & (x < right) & (top < y) & (y < bottom))


def _resized_window(
    image: Image.Image, boxes: Boxes, window: Window, detector: Detector, preprocess: Preprocess
) -> BoxView:
    """`window` of `image` at the detector's size; what lies beyond the image has the mean colour."""
    left, top, right, bottom = window
    width, height = resized_size(detector, right - left, bottom - top)
    scale = (width / (right - left), height / (bottom - top))
    inner = (max(left, 0.0), max(top, 0.0), min(right, float(image.width)), min(bottom, float(image.height)))
    place = [round((inner[i] - (left, top)[i % 2]) * scale[i % 2]) for i in range(4)]
    size = (max(1, place[2] - place[0]), max(1, place[3] - place[1]))
    part = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=inner))
    part = part[:, :, None] if part.ndim == 2 else part
    pixels = part
    if size != (width, height):
        fill = np.round(255 * np.array(preprocess.mean)).astype(np.uint8)
        pixels = np.broadcast_to(fill, (height, width, len(fill))).copy()
        rows, columns = (
            slice(start, min(start + length, end))
            for start, length, end in ((place[1], size[1], height), (place[0], size[0], width))
        )
        pixels[rows, columns] = part[: rows.stop - rows.start, : columns.stop - columns.start]
    return BoxView(np.ascontiguousarray(pixels), _boxes_in_window(boxes, window, scale), window)


def _boxes_in_window(boxes: Boxes, window: Window, scale: tuple[float, float]) -> Boxes:
    """The boxes whose centre is in `window`, clipped to it, in pixels of the view."""
    left, top, right, bottom = window
    inside = boxes.select(_centres_inside(boxes, window))
    clipped = np.clip(inside.corners, [left, top] * 2, [right, bottom] * 2) - np.array([left, top] * 2)
    corners = (clipped * np.array(scale * 2)).astype(np.float32)
    is_visible = ((corners[:, 2:] - corners[:, :2]) >= 1).all(1)  # less than a pixel cannot be learned
    return inside.with_corners(corners).select(is_visible)


def _flip(view: BoxView) -> BoxView:
    width = view.pixels.shape[1]
    corners = view.boxes.corners.copy()
    corners[:, [0, 2]] = width - corners[:, [2, 0]]
    return BoxView(np.ascontiguousarray(view.pixels[:, ::-1]), view.boxes.with_corners(corners), view.window)


def _distort_colours(pixels: NDArray[np.uint8], numbers: Iterator[float]) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue, each with probability .5.

    Contrast comes before or after saturation and hue. Hue is rotated in YIQ, where that is one matrix
    product, not in HSV. Grey images keep hue and saturation.
    """
    chosen = [next(numbers) < 0.5 for _ in range(5)]
    brightness, contrast, saturation = (
        _uniform(numbers, *span) for span in (_BRIGHTNESS, _CONTRAST, _CONTRAST)
    )
    angle = 2 * np.pi * _uniform(numbers, -_MAX_HUE_SHIFT, _MAX_HUE_SHIFT)
    image = pixels.astype(np.float32)
    has_colour = image.shape[2] == 3
    image = image * brightness if chosen[0] else image
    for is_last in (False, True):
        if chosen[1] and chosen[4] == is_last:
            grey = image @ _GREY if has_colour else image
            image = _blend(image, np.float32(grey.mean()), contrast)
        if is_last or not has_colour:
            continue
        image = _blend(image, (image @ _GREY)[..., None], saturation) if chosen[2] else image
        image = image @ _hue_rotation(angle) if chosen[3] else image
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _blend(
    pixels: NDArray[np.float32], other: "NDArray[np.float32] | np.float32", share: float
) -> NDArray[np.float32]:
    return np.asarray(np.clip(other + share * (pixels - other), 0, 255), np.float32)


def _hue_rotation(angle: float) -> NDArray[np.float32]:
    """The matrix (3, 3) that rotates the hue of RGB rows by `angle`, in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.asarray((np.linalg.inv(_YIQ) @ rotation @ _YIQ).T, np.float32)
