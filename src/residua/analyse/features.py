"""Feature maps: what the channels of the stem and of every stage show of one image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from residua.analyse.copies import working_copy
from residua.analyse.study import Colours, Needs, Study, Subject, no_summary
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.report.page import Figure
from residua.report.tiles import Tile, picture_grid

if TYPE_CHECKING:
    import numpy as np

CHANNELS = 4
"""Channels shown of each stage: those that vary most over the image."""


@dataclass(frozen=True, eq=False, slots=True)
class FeatureMaps:
    """The channels of the stem and of every stage that vary most."""

    channels: tuple[tuple[int, ...], ...]
    """Their indices, the one that varies most first."""
    maps: tuple[Tensor, ...]
    """(channels, H, W) float for the stem and for each stage."""


@dataclass(frozen=True, eq=False, slots=True)
class FeaturePictures:
    """Feature maps of one image, with what is needed to draw them."""

    features: FeatureMaps
    """Of the image."""
    pixels: "np.ndarray"
    """The image as the network sees it, uint8."""
    title: str
    """Name of the image."""


def feature_maps(network: Network, image: Tensor, *, channels: int = CHANNELS) -> FeatureMaps:
    """Compute the feature maps of one image, in eval mode.

    Args:
        network: A convolutional network.
        image: (C, H, W) float, preprocessed.
        channels: How many of each stage; those with the largest standard deviation.

    Returns:
        Maps of the stem and of each stage.

    Raises:
        ConfigError: the network has no maps.
    """
    if network.arch.is_flat:
        raise ConfigError(f"{network.arch.name} has no maps: choose a convolutional network")
    with working_copy(network) as work, torch.inference_mode():
        ends = [(number, len(stage) - 1) for number, stage in enumerate(work.arch.stages)]
        last, maps = work.through(image[None], [(-1, 0), *ends])
        maps = [each[0].clone() for each in (*maps[:-1], work.tail(last))]
    indices = [each.flatten(1).std(1).argsort(descending=True)[:channels] for each in maps]
    return FeatureMaps(
        tuple(tuple(some.tolist()) for some in indices),
        tuple(each[some] for each, some in zip(maps, indices, strict=True)),
    )


def draw(results: Mapping[str, FeaturePictures], colours: Colours) -> tuple[Figure, ...]:
    """For each network, the image, then a row of maps for the stem and each stage."""
    figures = []
    for name, one in results.items():
        rows: list[tuple[Tile, ...]] = [(Tile(one.pixels, "the picture"),)]
        for stage, maps in enumerate(one.features.maps):
            label = f"stage {stage}" if stage else "stem"
            greys = [_as_grey(each.cpu().numpy()) for each in maps]
            rows.append(tuple(Tile(grey, "" if place else label) for place, grey in enumerate(greys)))
        caption = f"{name}: the channels of the stem and of each stage that vary most, for {one.title}."
        figures.append(Figure(picture_grid(tuple(rows)), caption, caption))
    return tuple(figures)


def _as_grey(values: "np.ndarray") -> "np.ndarray":
    """(H, W) float as uint8, from the least value to the largest."""
    import numpy as np

    spread = float(values.max() - values.min()) or 1.0
    return np.asarray(255 * (values - values.min()) / spread).astype(np.uint8)


def _measure(subject: Subject) -> FeaturePictures:
    assert subject.images is not None
    maps = feature_maps(subject.network, subject.inputs[0])
    return FeaturePictures(maps, subject.pixels(0), subject.images.title(0))


STUDY = Study(
    "features",
    title="Feature maps",
    measures="the channels of the stem and of each stage that vary most, for one image",
    source="",
    needs=Needs.TRAINING,
    measure=_measure,
    draw=draw,
    summarise=no_summary,
    explain="Each square is one channel of the map after the stem or a stage, dark at its least value and "
    "light at its largest. The channels shown are those that vary most over the picture. Early "
    "maps still look like the picture, with edges emphasised; later ones are small, and show "
    "where something is rather than what it looks like.",
    has_numbers=False,
)
