"""Preprocessing as layers of a graph: uint8 images of any size -> what the network reads, as Pillow makes it.

Pillow resizes in two passes, first along the rows and then along the columns. Each weight is a whole number
of 2^-22, and each pass rounds to whole grey levels. So does this, bit for bit: a pass is a product with a
matrix that has one row for each pixel of the centre crop. The matrices come from the size of the image, so
the graph works for every size and needs no resize of a runtime, which all differ.

One case differs: Pillow 13 takes the columns first of an image that shrinks and is more than twice as tall as
wide. There, a quarter of the pixels differ by a grey level.

Everything that must be exact is a whole number below 2^24 in float32, or below 2^31 in int64: runtimes that
compute with 32 bits find the same.
"""

import torch
from torch import Tensor, nn

from residua.nn.network import Network
from residua.predict.engines.normalise import statistics
from residua.spec.preprocess import Preprocess

_HALF = 2**11
"""Half of the bits of a weight: twice as many make 1."""


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
        The upper and the lower 11 bits of each weight, (S, side) float32. Unit: 2^-11 and 2^-22.
    """
    resized = torch.div(preprocess.resize * side, shorter, rounding_mode="floor")
    margin = resized - preprocess.size
    half = torch.div(margin, 2, rounding_mode="floor")
    left = half + (margin - 2 * half) * (half % 2)  # a half goes to the even neighbour
    places = left + torch.arange(preprocess.size)
    # The distance of two pixels. When the image shrinks, the filter is as much wider: the antialiasing.
    apart = ((2 * pixels + 1)[None] * resized - (2 * places + 1)[:, None] * side).abs()
    reach = 2 * torch.maximum(side, resized)
    return _bicubic(apart, reach) if preprocess.interpolation == "bicubic" else _bilinear(apart, reach)


def _bilinear(apart: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """1 - distance: a division of whole numbers, done in two steps so that 31 bits are enough."""
    shares = (reach - apart).clamp(min=0)
    total = shares.sum(1, keepdim=True)
    upper = torch.div(shares * _HALF, total, rounding_mode="floor")
    rest = shares * _HALF - upper * total
    lower = torch.div(2 * rest * _HALF + total, 2 * total, rounding_mode="floor")
    return upper.to(torch.float32), lower.to(torch.float32)


def _bicubic(apart: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Keys' cubic with a = -0.5."""
    distance = apart.to(torch.float64) / reach.to(torch.float64)
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    shares = torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))
    weights = shares / shares.sum(1, keepdim=True) * _HALF**2
    whole = torch.where(weights < 0, torch.ceil(weights - 0.5), torch.floor(weights + 0.5))
    upper = torch.floor(whole / _HALF)
    return upper.to(torch.float32), (whole - upper * _HALF).to(torch.float32)


def _grey_levels(upper: Tensor, lower: Tensor) -> Tensor:
    """The nearest whole grey levels of sums with the upper and the lower bits of the weights."""
    return torch.floor((upper + torch.floor(lower / _HALF) + _HALF / 2) / _HALF).clamp(0, 255)
