"""From an image to the square of pixels that a network reads in evaluation and in service.

A *view* is a square (C, S, S) uint8. Nothing here needs torch: exported networks run without it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.spec.preprocess import Preprocess

_MAX_ASPECT = 100  # longer to shorter side; our choice: 1 x 20000 pixels would be resized to 1.3 gigapixels
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def eval_view(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """The centre of an image, as in evaluation.

    Equals torchvision's `Resize(preprocess.resize)` and `CenterCrop(preprocess.size)` bit for bit, unless the
    image is more than 100 times longer than wide; then its ends are cut off before it is resized.

    Args:
        image: An image in mode RGB or L.
        preprocess: Sizes and interpolation.

    Returns:
        The view (C, S, S) uint8, S being `preprocess.size`.
    """
    image = resize_shorter(limit_aspect(image), preprocess)
    # round() takes halves to the even neighbour, as torchvision does
    left = round((image.width - preprocess.size) / 2.0)
    top = round((image.height - preprocess.size) / 2.0)
    return pixel_array(image.crop((left, top, left + preprocess.size, top + preprocess.size)))


def resized_view(image: Image.Image, preprocess: Preprocess, short_side: int) -> NDArray[np.uint8]:
    """The whole of an image, with its shorter side at `short_side` pixels.

    Equals torchvision's `Resize(short_side)` bit for bit, with the exception of `eval_view`.

    Args:
        image: An image in mode RGB or L.
        preprocess: Interpolation.
        short_side: Shorter side in pixels.

    Returns:
        The pixels (C, H, W) uint8.
    """
    return pixel_array(
        resize_shorter(limit_aspect(image), replace(preprocess, size=short_side, resize=short_side))
    )


def limit_aspect(image: Image.Image) -> Image.Image:
    """Cut off the ends of an image that is more than 100 times longer than wide."""
    longest = _MAX_ASPECT * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = (min(side, longest) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def resize_shorter(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """The image with its shorter side at `preprocess.resize`."""
    short = min(image.size)
    if short == preprocess.resize:
        return image
    # int(), not round(): torchvision truncates the longer side
    width, height = (
        preprocess.resize if side == short else int(preprocess.resize * side / short) for side in image.size
    )
    return image.resize((width, height), _FILTERS[preprocess.interpolation])


def pixel_array(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels as (C, H, W), in the memory layout of (H, W, C)."""
    pixels = np.array(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
