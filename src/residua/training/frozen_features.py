"""FrozenFeatures: what the last layer of a network reads of each image, computed once in a few views.

A thread pool decodes the next portion of images while the network computes the present one. Each image is
decoded once for all its views. A view depends on the seed, its number and the index of its image alone, and
the batches on nothing but their number, so that threads that decode never change a result.

    view 0     the centre crop, as in evaluation
    view 1     its mirror image
    view 2...  random areas, resized (`AREAS`)
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.data.decode import printable_path
from residua.data.eval_view import eval_view
from residua.data.images import Images
from residua.data.listing import name_hashes
from residua.data.near_duplicates import find_near_duplicates, thumbnail_and_hash
from residua.data.resident import to_device
from residua.data.transforms import normalise, train_view
from residua.errors import ConfigError, NonFiniteError
from residua.events import Activity, Event
from residua.measure.views import max_batch_size
from residua.nn.clips import layout
from residua.nn.device import place_network, resolve_device, torch_threads
from residua.nn.network import Network
from residua.nn.processor import has_bfloat16_units
from residua.spec.amount import quantity
from residua.spec.augment import Augment
from residua.spec.recipe import Plan
from residua.training.prefetch import StopRequested

VIEWS = 4
"""Views of an image, where they are few. Our choice: the centre, its mirror image and two random areas."""
MAX_VIEWS = 20_000
"""Views of all images together from which on each image has fewer, one at least; our choice, for seconds."""
MAX_BYTES = 1 << 30
"""Most memory for features; of more images a part is read, the same share of each class."""
AREAS = Augment("resized_crop", area=(0.5, 1.0))
"""How the random views are cut."""
PORTION = 64
"""Images that are decoded while as many are computed."""
QUIET_SECONDS = 5.0
"""Seconds between two reports of progress."""


@dataclass(frozen=True, eq=False, slots=True)
class FrozenFeatures:
    """Features of N images in V views."""

    values: NDArray[np.float32]
    """(V, N, D) inputs of the network's last layer; view 0 is the centre crop."""
    labels: NDArray[np.int64]
    """Class of each image: (N,)."""
    classes: tuple[str, ...]
    """Class names; a label is an index into them."""
    hashes: NDArray[np.uint64]
    """A hash of each image's name, which decides its fold: (N,)."""
    copies: tuple[tuple[int, ...], ...]
    """Indices of images that look alike, a tuple for each group of two or more."""
    total: int
    """Images of the split; N or more."""
    seconds: float
    """Seconds that reading and computing took."""

    def __str__(self) -> str:
        views, count, width = self.values.shape
        part = f" of {self.total:,}" if count < self.total else ""
        images = f"{quantity(count, 'image')}{part} in {quantity(views, 'view')}"
        return f"{width:,} features of {images} in {self.seconds:.1f} s"


def feature_plan(device: str = "auto") -> Plan:
    """How features are computed here: all threads, channels last, bfloat16 where the device has its units.

    Args:
        device: A device of torch, or `auto` for the first accelerator, else the CPU.

    Raises:
        ConfigError: The device cannot be used here.
    """
    target = resolve_device(device)
    has_units = has_bfloat16_units() if target.type == "cpu" else target.type == "cuda"
    return Plan(str(target), "channels_last", "bfloat16" if has_units else "float32", torch_threads())


def extract_features(
    network: Network,
    images: Images,
    plan: Plan,
    *,
    views: int = 0,
    seed: int = 0,
    listen: Callable[[Event], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> FrozenFeatures:
    """Compute the features of a network whose weights stay as they are.

    Args:
        network: The network, for images; it is placed by `plan` and left in eval mode.
        images: The N images.
        plan: Device, memory format, precision and threads; `feature_plan` gives one.
        views: Views of each image; 0 takes `VIEWS`, fewer where images are many.
        seed: Seed of the random views.
        listen: Receives an Activity before the first image, and one every few seconds.
        stop: Asked after every batch.

    Returns:
        The features, float32 whatever the precision of the plan.

    Raises:
        StopRequested: `stop` returned True.
        DataError: An image cannot be decoded; the message names it.
        NonFiniteError: The network computes NaN or infinity.
        ConfigError: The network reads clips.
    """
    if network.arch.clip:
        raise ConfigError(f"{network.arch.name} reads clips: a linear probe needs a network for images")
    start = time.monotonic()
    hashes = name_hashes([images.title(i) for i in range(len(images))])
    rows = _fitting(images.labels, hashes, network.head_hidden_size)
    some = images if len(rows) == len(images) else images.subset(rows)
    views = views or max(1, min(VIEWS, MAX_VIEWS // max(1, len(some))))
    network = place_network(network, plan).eval()
    values = np.empty((views, len(some), network.head_hidden_size), np.float32)
    thumbnails, fingerprints = np.empty((len(some), 16, 16), np.uint8), np.empty(len(some), np.uint64)
    task = f"features of {quantity(len(some), 'image')} in {quantity(views, 'view')}"
    listen(Activity(task))
    reported = start
    for portion in _portions(some, network, views, seed):
        for view, features in enumerate(_features(network, portion, plan)):
            if not torch.isfinite(features).all():
                place = int((~torch.isfinite(features)).any(1).nonzero()[0])
                title = printable_path(some.title(portion.start + place))
                raise NonFiniteError(f"the network computes NaN or infinity for {title}: give other weights")
            values[view, portion.start : portion.stop] = features.numpy()
        thumbnails[portion.start : portion.stop] = portion.thumbnails
        fingerprints[portion.start : portion.stop] = portion.hashes
        if stop():
            raise StopRequested
        if time.monotonic() - reported > QUIET_SECONDS and portion.stop < len(some):
            reported = time.monotonic()
            listen(Activity(f"{task}, {100 * portion.stop // len(some)} % done"))
    copies = tuple(tuple(group.tolist()) for group in find_near_duplicates(fingerprints, thumbnails))
    seconds = time.monotonic() - start
    return FrozenFeatures(values, some.labels, some.classes, hashes[rows], copies, len(images), seconds)


@dataclass(frozen=True, eq=False, slots=True)
class _Portion:
    """A few images, decoded."""

    start: int
    """Index of the first image."""
    views: NDArray[np.uint8]
    """The centre crop and the random ones: (v, n, C, S, S)."""
    mirrors: bool
    """Whether the mirror image of the centre crop is a view, too."""
    thumbnails: NDArray[np.uint8]
    """(n, 16, 16)."""
    hashes: NDArray[np.uint64]
    """(n,) perceptual hashes."""

    @property
    def stop(self) -> int:
        """Index after the last image."""
        return self.start + len(self.hashes)


_Decoded = tuple[list[NDArray[np.uint8]], NDArray[np.uint8], int]
"""The views of one image, its thumbnail and its hash."""


def _fitting(labels: NDArray[np.int64], hashes: NDArray[np.uint64], width: int) -> NDArray[np.int64]:
    """Indices of the images whose features fit MAX_BYTES: all, or the same share of each class."""
    most = max(1, MAX_BYTES // (4 * width))
    if len(labels) <= most:
        return np.arange(len(labels))
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, len(members) * most // len(labels))
        chosen.append(members[np.argsort(hashes[members], kind="stable")[:count]])
    return np.sort(np.concatenate(chosen))


def _portions(images: Images, network: Network, views: int, seed: int) -> Iterator[_Portion]:
    """All images in order, each portion decoded by threads while the one before is in use."""
    preprocess = network.preprocess

    def decode(index: int) -> _Decoded:
        image = images.image(index, preprocess.colour)
        crops = [eval_view(image, preprocess)]
        crops += [train_view(image, preprocess, AREAS, seed, view, index) for view in range(2, views)]
        return crops, *thumbnail_and_hash(image)

    starts = range(0, len(images), PORTION)
    pool = ThreadPoolExecutor()  # Pillow and torch decode and resize without Python's lock
    try:
        ahead: list[Future[_Decoded]] = []
        for start in (*starts, len(images)):
            indices = range(start, min(start + PORTION, len(images)))
            images.prefetch(np.array(indices, np.int64))
            ready, ahead = ahead, [pool.submit(decode, index) for index in indices]
            if ready:
                crops, thumbnails, hashes = zip(*(future.result() for future in ready), strict=True)
                stacked = np.stack([np.stack(view) for view in zip(*crops, strict=True)])
                numbers = np.array(hashes, np.uint64)
                yield _Portion(start - len(ready), stacked, views > 1, np.stack(thumbnails), numbers)
    finally:
        pool.shutdown(cancel_futures=True)


def _features(network: Network, portion: _Portion, plan: Plan) -> Iterator[Tensor]:
    """(n, D) float32 on the CPU for each view."""
    for number, crops in enumerate(portion.views):
        pixels = torch.from_numpy(crops)
        yield _compute(network, pixels, plan)
        if number == 0 and portion.mirrors:
            yield _compute(network, pixels.flip(3), plan)


def _compute(network: Network, pixels: Tensor, plan: Plan) -> Tensor:
    """What the last layer reads of (n, C, S, S) uint8 pixels."""
    device = torch.device(plan.device)
    side, form, parts = network.preprocess.size, layout(plan.memory_format, 4), []
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"),
    ):
        for few in torch.split(pixels, max_batch_size(side, side)):
            inputs = normalise(to_device(few, device), network.preprocess).contiguous(memory_format=form)
            read = network.forward_head(network.forward_features(inputs), pre_logits=True)
            parts.append(read.float().flatten(1).cpu())
    return torch.cat(parts)
