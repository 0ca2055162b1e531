"""Preprocessing as layers of a graph: uint8 images of any size -> what the network reads, as Pillow makes it.

Pillow resizes in two passes, first along the rows and then along the columns. Each weight is a whole number
of 2^-22, and each pass rounds to whole grey levels. So does this, bit for bit: a pass is a product with a
matrix that has one row for each pixel of the centre crop. The matrices come from the size of the image, so
the graph works for every size and needs no resize of a runtime, which all differ.

One case differs: Pillow 13 takes the columns first of an image that shrinks and is more than twice as tall as
wide. There, a quarter of the pixels differ by a grey level.

Everything that must be exact is a whole number below 2^24 in float32, or below 2^31 in int64: runtimes that
compute with 32 bits find the same, for images of up to 25 million pixels, the most that residua decodes. One
thing needs float64: the weights of bicubic interpolation. OpenVINO computes them in float32, and about one
grey level in ten thousand is off by one.
"""

import torch
from torch import Tensor, nn

from residua.nn.network import Network
from residua.predict.engines.normalise import statistics
from residua.spec.preprocess import Preprocess

_ONE = 2**22
"""A weight of 1."""
_LOWER = 2**7
"""The lower 7 bits of a weight, -64 to 63, are summed apart from the upper ones. Those of one pixel add up to
2^15, and with the overshoot of bicubic to less than 2^16: times 255 that is below 2^24. The lower ones stay
below 2^24 for up to 1,028 pixels: bilinear 514 times smaller, bicubic 257 times."""


class NetworkOfImages(nn.Module):
    """A network that reads uint8 images (n, H, W, C) and does the rest itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network) -> None:
        """Take mean, standard deviation and sizes from the network's preprocessing."""
        super().__init__()
        self.network, self.preprocess = network, network.preprocess
        mean, std = statistics(self.preprocess, self.preprocess.size)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("std", torch.from_numpy(std))

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, H, W, C) uint8 -> logits (n, classes)."""
        logits: Tensor = self.network((self.view(images) - self.mean) / self.std)
        return logits

    def view(self, images: Tensor) -> Tensor:
        """The centre crop (n, C, S, S) in whole grey levels, as `eval_view` cuts it."""
        height, width = (torch.full((), images.shape[axis], dtype=torch.int64) for axis in (1, 2))
        shorter = torch.minimum(height, width)
        rows, columns = (torch.arange(images.shape[axis]) for axis in (1, 2))
        pixels = images.permute(0, 3, 1, 2).to(torch.float32)
        upper, lower = resize_weights(self.preprocess, columns, width, shorter)
        pixels = _grey_levels(pixels @ upper.T, pixels @ lower.T)
        upper, lower = resize_weights(self.preprocess, rows, height, shorter)
        return _grey_levels(upper @ pixels, lower @ pixels)


def resize_weights(
    preprocess: Preprocess, pixels: Tensor, side: Tensor, shorter: Tensor
) -> tuple[Tensor, Tensor]:
    """How much each pixel of a row counts in each pixel of its resized centre crop, as Pillow weights them.

    Args:
        preprocess: Sizes and interpolation.
        pixels: 0, 1, ..., side - 1, int64.
        side: Length of the row, int64 without axes.
        shorter: The shorter side of the image, int64 without axes.

    Returns:
        The upper 15 and the lower 7 bits of each weight, (S, side) float32. Unit: 2^-15 and 2^-22.
    """
    resized = torch.div(preprocess.resize * side, shorter, rounding_mode="floor")
    margin = resized - preprocess.size
    half = torch.div(margin, 2, rounding_mode="floor")
    left = half + (margin - 2 * half) * (half % 2)  # a half goes to the even neighbour
    apart = _distances(pixels, left + torch.arange(preprocess.size), side, resized)
    # When the image shrinks, the filter is as much wider: the antialiasing.
    reach = 2 * torch.maximum(side, resized)
    weights = (_bicubic if preprocess.interpolation == "bicubic" else _bilinear)(apart, reach)
    upper = torch.floor((weights + _LOWER / 2) / _LOWER)
    return upper, weights - upper * _LOWER


def _distances(pixels: Tensor, places: Tensor, side: Tensor, resized: Tensor) -> Tensor:
    """`|(2 pixels + 1) * resized - (2 places + 1) * side|`, (S, side); far ones are cut off.

    Both products pass 2^31 for long images. So `(2 places + 1) * side` is `whole * resized + rest`. With
    `side = times * resized + more`, nothing is larger than `(2 places + 1) * more`, which is less than
    `(resized + S) * resized`: below 2^31 where `resized` is at most 46,000. What differs in whole steps of
    `resized` is cut off where it is certainly farther than a filter reaches, twice `2 * max(side, resized)`.
    """
    times = torch.div(side, resized, rounding_mode="floor")
    product = (2 * places + 1) * (side - times * resized)
    quotient = torch.div(product, resized, rounding_mode="floor")
    whole, rest = (2 * places + 1) * times + quotient, product - quotient * resized
    farthest = 4 * (times + 1) + 1
    steps = (2 * pixels + 1)[None] - whole[:, None]
    return (torch.minimum(torch.maximum(steps, -farthest), farthest) * resized - rest[:, None]).abs()


def _bilinear(apart: Tensor, reach: Tensor) -> Tensor:
    """1 - distance: a division of whole numbers, 11, 6 and 5 bits at a time so that 31 bits are enough.

    A share is at most `2 * side`; they add up to about `2 * pixels of the image / preprocess.resize`, which
    may be 2^24: what is left of a division is smaller, and still below 2^31 after 6 more bits.
    """
    shares = (reach - apart).clamp(min=0)
    total = shares.sum(1, keepdim=True)
    first = torch.div(shares * 2**11, total, rounding_mode="floor")
    rest = shares * 2**11 - first * total
    second = torch.div(rest * 2**6, total, rounding_mode="floor")
    rest = rest * 2**6 - second * total
    third = torch.div(rest * 2**6 + total, 2 * total, rounding_mode="floor")  # rounded
    return (first * 2**11 + second * 2**5 + third).to(torch.float32)


def _bicubic(apart: Tensor, reach: Tensor) -> Tensor:
    """Keys' cubic with a = -0.5."""
    distance = apart.to(torch.float64) / reach.to(torch.float64)
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    shares = torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))
    weights = shares / shares.sum(1, keepdim=True) * _ONE
    whole = torch.where(weights < 0, torch.ceil(weights - 0.5), torch.floor(weights + 0.5))
    return whole.to(torch.float32)


def _grey_levels(upper: Tensor, lower: Tensor) -> Tensor:
    """The nearest whole grey levels of sums with the upper and the lower bits of the weights."""
    one = _ONE / _LOWER
    return torch.floor((upper + torch.floor(lower / _LOWER) + one / 2) / one).clamp(0, 255)
