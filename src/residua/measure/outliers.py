"""Outliers: images whose features are far from those of all training images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from residua.data.batches import evaluation_batches
from residua.data.images import Images
from residua.data.transforms import normalise
from residua.measure.views import MAX_BATCH, max_batch_size
from residua.nn.network import Network

NEIGHBOURS = 10
"""The distance is that to this neighbour: our choice; Sun et al. 2022 vary it with the size of the set."""
MOST = 5_000
"""Training images compared with, at most, spread evenly: a tenth of CIFAR-10 gives the same ranking."""
FENCE = 3.0
"""Interquartile ranges above the third quartile from which on a distance is far out (Tukey 1977)."""


def distances(network: Network, images: Images, learned: Images) -> NDArray[np.float64]:
    """How far each of `images` is from its 10th neighbour among `learned`, over the median of all: (N,).

    Euclidean, between what the last layer reads, scaled to length 1 (Sun et al. 2022, deep nearest
    neighbours). `network` is left in eval mode.

    Args:
        network: A trained network, on its device.
        images: The N images to rank.
        learned: Images that the network was trained on; at most `MOST` of them, evenly spread, are read.

    Returns:
        Distances (N,) float64 divided by their median. With fewer than 10 images in `learned`, the distance
        is that to the farthest.

    Raises:
        DataError: An image cannot be decoded.
    """
    some = np.linspace(0, len(learned) - 1, min(MOST, len(learned))).astype(np.int64)
    known = _read(network, learned.subset(some))
    k = min(NEIGHBOURS, len(known))
    read = _read(network, images)
    rows = [
        torch.cdist(read[start : start + MAX_BATCH], known).topk(k, largest=False).values[:, -1]
        for start in range(0, len(read), MAX_BATCH)
    ]
    far = torch.cat(rows).double().numpy()
    return np.asarray(far / max(float(np.median(far)), 1e-12))


def far_out(distance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of `distance` (N,) lie beyond Tukey's outer fence; NaN never does."""
    known = distance[np.isfinite(distance)]
    if not len(known):
        return np.zeros(len(distance), bool)
    low, high = np.quantile(known, (0.25, 0.75))
    return np.asarray(distance > high + FENCE * (high - low))


def _read(network: Network, images: Images) -> torch.Tensor:
    """What the last layer reads of each image, as vectors of length 1: (N, D) float32 on the CPU."""
    network.eval()
    device, side = next(network.parameters()).device, network.preprocess.size
    rows = []
    with torch.inference_mode():
        size = max_batch_size(side, side)
        for batch in evaluation_batches(
            images, network.preprocess, batch_size=size, workers=0, resident_bytes=0
        ):
            pixels = normalise(batch.images.to(device), network.preprocess)
            read = network.forward_head(network.forward_features(pixels), pre_logits=True)
            rows.append(normalize(read.float().flatten(1)).cpu())
    return torch.cat(rows)
