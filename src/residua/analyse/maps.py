"""Feature maps: what the channels of the stem and of every stage show of one image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from residua.analyse.copies import twin_of
from residua.nn.features import Features
from residua.nn.network import Network

CHANNELS = 4
"""Channels shown of each stage: those that differ most over the image."""


@dataclass(frozen=True, eq=False, slots=True)
class FeatureMaps:
    """The liveliest channels of the stem and of every stage."""

    channels: tuple[tuple[int, ...], ...]
    """Their numbers, the liveliest first."""
    maps: tuple[Tensor, ...]
    """(channels, H, W) float, as many as there are numbers."""


def feature_maps(network: Network, image: Tensor, *, channels: int = CHANNELS) -> FeatureMaps:
    """Maps for one image, normalised (C, H, W), in eval mode. ValueError for a network without maps."""
    if network.arch.is_flat:
        raise ValueError(f"{network.arch.name} has no maps: choose a convolutional network")
    with twin_of(network) as twin, torch.inference_mode():
        found = [maps[0].clone() for maps in Features(twin)(image[None])]
    liveliest = [maps.flatten(1).std(1).argsort(descending=True)[:channels] for maps in found]
    return FeatureMaps(
        tuple(tuple(chosen.tolist()) for chosen in liveliest),
        tuple(maps[chosen] for maps, chosen in zip(found, liveliest, strict=True)),
    )
