"""Outliers: distances against a plain loop, and a stranger among many of a kind."""

import numpy as np
import torch

from residua.data.images import Images
from residua.data.transforms import normalise
from residua.measure.outliers import NEIGHBOURS, distances, far_out
from residua.nn.network import Network, build
from small import arch, colours


def tiny() -> Network:
    torch.manual_seed(0)
    return build(arch()).eval()


def vectors(network: Network, images: Images) -> np.ndarray:
    assert images.pixels is not None
    pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2)
    with torch.inference_mode():
        maps = network.forward_features(normalise(pixels, network.preprocess))
    read = maps.mean((2, 3)).numpy()
    return read / np.linalg.norm(read, axis=1, keepdims=True)


def test_the_distance_is_that_to_the_tenth_neighbour() -> None:
    network, data = tiny(), colours()
    mine, known = vectors(network, data.test), vectors(network, data.train)
    far = [np.sort(np.linalg.norm(known - one, axis=1))[NEIGHBOURS - 1] for one in mine]
    measured = distances(network, data.test, data.train)
    np.testing.assert_allclose(measured, far / np.median(far), rtol=1e-3)


def test_only_the_stranger_is_far_out() -> None:
    distance = np.concatenate([np.random.default_rng(0).normal(1, 0.1, 500), [4.0, np.nan]])
    assert np.flatnonzero(far_out(distance)).tolist() == [500]
    assert not far_out(np.full(3, np.nan)).any()
