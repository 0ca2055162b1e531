"""Pictures in memory: images of PIL, arrays and tensors become 8-bit pixels by one rule.

    image of PIL     any mode but I and F, by the rules of `data/decode.py`; its EXIF is ignored
    numpy array      (H, W), (H, W, 1) or (H, W, 3): channels last
    torch tensor     (H, W), (1, H, W) or (3, H, W): channels first
    values           uint8; or floating point from 0 to 1, which is rounded to 8 bits

Anything else is refused, above all pixels that are normalised already: a network normalises its inputs
itself.
"""

import sys
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

PixelArray: TypeAlias = Union[NDArray[Any], "Tensor"]  # torch may not be installed
"""An array with channels last, or a tensor with channels first."""
_ALLOWED = {
    "an array": ("(H, W) or (H, W, 3)", "(N, H, W) or (N, H, W, 3)"),
    "a tensor": ("(H, W) or (3, H, W)", "(N, H, W) or (N, 3, H, W)"),
}
"""Shapes of one picture and of several, for messages."""
_WIDE = ("I", "F", "La")
"""Modes of PIL that it clips or cannot convert."""


def is_tensor(value: object) -> "TypeIs[Tensor]":
    """Whether `value` is a tensor of torch; where nothing imported torch, it cannot be one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def open_picture(picture: object) -> Image.Image:
    """A picture in memory as an image of PIL.

    Args:
        picture: An image of PIL, an array or a tensor, as at the top of this file.

    Raises:
        DataError: It is something else, or has no pixels.
    """
    if isinstance(picture, np.ndarray) or is_tensor(picture):
        pixels = pixels_of(picture)
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if not isinstance(picture, Image.Image):
        kind = type(picture).__name__
        raise DataError(f"{kind} is no picture: give a path, bytes, an image of PIL, an array or a tensor")
    if 0 in picture.size:
        raise DataError(f"an image of {picture.width}x{picture.height} is empty: give one with pixels")
    if picture.mode in _WIDE:
        raise DataError(f"an image in mode {picture.mode} has no fixed range: give 8 or 16 bits, or an array")
    return picture


def pixels_of(values: PixelArray, *, several: bool = False) -> NDArray[np.uint8]:
    """The pixels of one picture, or of several of the same size.

    Args:
        values: As at the top of this file; `several` have one more axis before the others.
        several: Whether there is such an axis.

    Returns:
        (H, W, C) uint8, or (N, H, W, C), with C 1 or 3.

    Raises:
        DataError: Shape, type or values are others, or there are no pixels.
    """
    kind = "a tensor" if is_tensor(values) else "an array"
    array, first = _as_array(values), int(several)
    what = f"{kind} of {array.dtype} of shape {tuple(values.shape)}"
    if 0 in array.shape:
        raise DataError(f"{what} is empty: give pictures with pixels")
    if array.ndim == first + 2:
        array = array[..., None]
    elif array.ndim == first + 3 and kind == "a tensor":
        array = np.moveaxis(array, first, -1)
    if array.ndim != first + 3 or array.shape[-1] not in (1, 3):
        raise DataError(f"{what} holds no picture: give {_ALLOWED[kind][first]}")
    return np.ascontiguousarray(_eight_bits(array, what))


def _as_array(values: PixelArray) -> NDArray[Any]:
    if not is_tensor(values):
        return values
    values = values.detach().cpu()
    array: NDArray[Any] = (values.float() if values.is_floating_point() else values).numpy()
    return array


def _eight_bits(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{what}: give uint8, or floating point from 0 to 1")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        hint = "give uint8, or floating point from 0 to 1; the network normalises its inputs itself"
        raise DataError(f"{what} has values from {low:.4g} to {high:.4g}: {hint}")
    pixels: NDArray[np.uint8] = np.rint(array * 255).astype(np.uint8)
    return pixels
