"""A small network that tells colours apart, its images, and one with a channel far out of range."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from residua.data.images import Images
from residua.data.transforms import normalise
from residua.nn.network import Network, build
from residua.spec.block import Block
from small import COLOURS, PIXELS, arch, picture

FACTOR = 3000.0
"""How much larger one channel of the stretched network is."""


def colour_images(name: str, count: int, first: int) -> Images:
    """So many noisy pictures of each colour, which begin with the random number `first`."""
    pairs = [(label, colour, first + n) for n in range(count) for label, colour in enumerate(COLOURS)]
    pixels = np.stack([picture(colour, 3 * seed + label) for label, colour, seed in pairs])
    return Images(name, tuple(COLOURS), np.array([label for label, _, _ in pairs]), pixels=pixels)


TRAIN, TEST = colour_images("train", 20, 0), colour_images("test", 20, 1000)


@lru_cache
def colour_network(*, is_plain: bool = False) -> Network:
    """Trained until it makes no mistake; plain means without shortcuts."""
    torch.manual_seed(0)
    network = _fresh(is_plain=is_plain).train()
    assert TRAIN.pixels is not None
    inputs = normalise(torch.from_numpy(TRAIN.pixels).permute(0, 3, 1, 2), PIXELS)
    steps = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(20):
        steps.zero_grad()
        cross_entropy(network(inputs), torch.from_numpy(TRAIN.labels)).backward()
        steps.step()
    return network.eval()


@lru_cache
def stretched_network() -> Network:
    """The plain network, but one channel is so large that 8 bits leave nothing of the others."""
    network = _fresh(is_plain=True).eval()
    network.load_state_dict(colour_network(is_plain=True).state_dict())
    first, second = network.stages[0][0].before, network.stages[1][0].before
    with torch.no_grad():
        channel = int((first.norm2.weight.abs() + first.norm2.bias).argmax())
        for value in (first.norm2.weight, first.norm2.bias):
            value[channel] *= FACTOR
        second.conv1.weight[:, channel] /= FACTOR
    return network


def _fresh(*, is_plain: bool) -> Network:
    spec = arch()
    if is_plain:
        words = [Block("CNA CNA", block.convs) for (block,) in spec.stages]
        spec = replace(spec, stages=tuple((block,) for block in words))
    network = build(spec)
    network.class_names = tuple(COLOURS)
    return network
