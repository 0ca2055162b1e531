"""Views: how an image is shown to a network that is judged, once or often; the answers are averaged."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad, unfold

from residua.data.batches import testing
from residua.data.images import Images
from residua.data.transforms import normalise, scaled_view
from residua.errors import NonFiniteError
from residua.measure.evaluate import Judgement, evaluate
from residua.nn.clips import layout
from residua.nn.network import Network
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan

VIEWS: Mapping[str, str] = {
    "center": "one centre crop",
    "flip": "the centre crop and its mirror image",
    "10crop": "four corners and the centre of the central square, and their mirror images",
    "320": "one centre crop of 320 where the network was drawn for 224, from the shorter side 320",
    "multiscale": "the whole image at shorter sides 224, 256, 384, 480 and 640, the head applied everywhere",
}
"""Name -> what is shown. Probabilities are averaged over views, with equal weights."""
CLIP, VIDEO = "clip", "video"
"""The two protocols of clips, which are told together."""
TIMES, PLACES = 10, 3
"""Of `video`: clips over its length, and squares along the longer side of each frame."""
CLIP_VIEWS: Mapping[str, str] = {
    CLIP: "one clip from the middle of each video, its centre",
    VIDEO: f"{TIMES} clips from beginning to end x {PLACES} squares along the longer side of each frame",
}
"""The same for videos; `tasks.video.protocol` judges by them."""
SAID: Mapping[str, str] = {**VIEWS, **CLIP_VIEWS}
"""What every view shows."""
DRAWN_FOR = 224
"""Side, in pixels, that the papers' sizes are meant for; other networks get them in proportion."""
OTHER_SIZES = ("320", "multiscale")
"""Views of another size than the network's own."""
SCALES = (224, 256, 384, 480, 640)
"""Shorter sides of the multi-scale test, in pixels (He et al. 2015, 3.4)."""
LARGE = 320
"""Side of the larger crop, in pixels (He et al. 2016, ImageNet results)."""
PAD = 8
"""Where nothing is left to crop, a border of the side divided by this (32 px: 4; He et al. 2015, 4.2)."""
BATCH = 250
"""Views computed at once, at most."""
PIXELS = 2_000_000
"""Pixels computed at once, at most: 39 views of 224 x 224; more take more memory, and on a CPU more time."""
PORTION = 64
"""Whole images decoded at once."""

Shown = tuple[NDArray[np.int64], Tensor]
"""Places of n images in their set, and a view of each: (n, C, H, W) uint8."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A way to read images as squares, and what is cut from each square."""

    square: Preprocess
    """How the square is cut from the image."""
    views: Callable[[Tensor], list[Tensor]]
    """From squares (n, C, S, S) to views, each (n, C, s, s)."""


def at_once(height: int, width: int) -> int:
    """How many views of that size, in pixels, are computed at once."""
    return max(1, min(BATCH, PIXELS // (height * width)))


def judge(network: Network, images: Images, plan: Plan, view: str = "center") -> Judgement:
    """What `network` says of `images` when each is shown as `view` says.

    KeyError for an unknown view, ValueError for sizes that a network of vectors cannot read, NonFiniteError when
    the network says what is no number.
    """
    if view == "center":
        side = network.preprocess.size
        batches = testing(images, network.preprocess, batch=at_once(side, side), workers=0, resident_bytes=0)
        return evaluate(network, batches, plan)
    if network.arch.is_flat and view in OTHER_SIZES:
        raise ValueError(f"{network.arch.name} reads one size, {view} shows others: give center or flip")
    network.eval()
    total = np.zeros((len(images), network.arch.classes))
    seen = np.zeros(len(images), np.int64)
    with torch.inference_mode():
        for indices, pixels in shown(network.preprocess, images, view):
            total[indices] += _probabilities(network, pixels, plan)
            seen[indices] += 1
    return Judgement.of((total / seen[:, None]).astype(np.float32), images.labels)


def shown(preprocess: Preprocess, images: Images, view: str) -> Iterator[Shown]:
    """Every view of every image, a batch of one kind at a time. KeyError for an unknown view."""
    if view == "multiscale":
        yield from _whole(images, preprocess, scaled(preprocess.size, SCALES))
        return
    cut = _CUTS[view](preprocess)
    size = at_once(cut.square.size, cut.square.size)
    for batch in testing(images, cut.square, batch=size, workers=0, resident_bytes=0):
        for pixels in cut.views(batch.images):
            yield batch.indices, pixels


def scaled(size: int, sides: tuple[int, ...]) -> tuple[int, ...]:
    """`sides`, meant for networks of 224 pixels, in proportion for a network of `size`."""
    return tuple(round(size * side / DRAWN_FOR) for side in sides)


def ten_crops(squares: Tensor, size: int) -> list[Tensor]:
    """Ten (n, C, size, size): the corners and the centre of (n, C, S, S), then their mirror images."""
    last = squares.shape[-1] - size
    middle = round(last / 2)
    corners = [(0, 0), (0, last), (last, 0), (last, last), (middle, middle)]
    five = [squares[:, :, top : top + size, left : left + size] for top, left in corners]
    return five + [crop.flip(3) for crop in five]


def dense_logits(network: Network, images: Tensor) -> Tensor:
    """(N, C, H, W) of any size -> logits (N, classes) averaged over all places where the head fits.

    A head that averages the whole map is linear, so the average may be taken first (He et al. 2015, 3.4). A
    head that reads a grid of cells moves over the map step by step, as a convolution would.
    """
    maps, grid = network.forward_features(images), network.arch.head.grid
    if grid == 1:
        return network.forward_head(maps)
    size, channels = network.preprocess.size, network.preprocess.channels
    side = network.forward_features(images.new_zeros(1, channels, size, size)).shape[-1]
    if min(maps.shape[-2:]) < side:
        return network.forward_head(maps)
    count, width = maps.shape[:2]
    windows = unfold(maps, side).view(count, width, side, side, -1)
    every = windows.permute(0, 4, 1, 2, 3).reshape(-1, width, side, side)
    return network.forward_head(every).view(count, -1, network.arch.classes).mean(1)


def _probabilities(network: Network, pixels: Tensor, plan: Plan) -> NDArray[np.float64]:
    device = torch.device(plan.device)
    inputs = normalise(pixels.to(device), network.preprocess)
    inputs = inputs.contiguous(memory_format=layout(plan.memory_format, inputs.ndim))
    with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
        logits = dense_logits(network, inputs).float().cpu()
    if not bool(torch.isfinite(logits).all()):
        raise NonFiniteError("the network says NaN or infinity: its weights are of no use")
    found: NDArray[np.float64] = torch.softmax(logits.double(), 1).numpy()
    return found


def _flip(preprocess: Preprocess) -> Cut:
    return Cut(preprocess, lambda squares: [squares, squares.flip(3)])


def _ten(preprocess: Preprocess) -> Cut:
    size = preprocess.size
    border = size // PAD if preprocess.resize == size else 0
    square = replace(preprocess, size=preprocess.resize)
    return Cut(square, lambda squares: ten_crops(pad(squares, (border,) * 4), size))


def _large(preprocess: Preprocess) -> Cut:
    (side,) = scaled(preprocess.size, (LARGE,))
    return Cut(replace(preprocess, size=side, resize=side), lambda squares: [squares])


_CUTS: Mapping[str, Callable[[Preprocess], Cut]] = {"flip": _flip, "10crop": _ten, "320": _large}


def _whole(images: Images, preprocess: Preprocess, sides: tuple[int, ...]) -> Iterator[Shown]:
    """Every image whole at every shorter side; those of one shape together, whatever their order."""

    def read(index: int) -> list[NDArray[np.uint8]]:
        image = images.image(index, preprocess.colour)
        return [scaled_view(image, preprocess, side) for side in sides]

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), PORTION):
            indices = range(start, min(start + PORTION, len(images)))
            for views in zip(*pool.map(read, indices), strict=True):
                yield from _grouped(np.array(indices), views)


def _grouped(indices: NDArray[np.int64], views: tuple[NDArray[np.uint8], ...]) -> Iterator[Shown]:
    shapes: dict[tuple[int, ...], list[int]] = {}
    for place, view in enumerate(views):
        shapes.setdefault(view.shape, []).append(place)
    for shape, places in shapes.items():
        most = at_once(*shape[-2:])
        for first in range(0, len(places), most):
            some = places[first : first + most]
            yield indices[some], torch.from_numpy(np.stack([views[place] for place in some]))
