"""Maps of what a prediction rests on: what Grad-CAM and occlusion share."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residua.analyse.study import Colours, Subject
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.report.page import Figure
from residua.report.tiles import Tile, picture_grid

if TYPE_CHECKING:
    import numpy as np

PICTURES = 8
"""Pictures that a figure shows."""
TINT = (230, 92, 0)
"""Vermilion, which differs from every grey: the colour of important regions."""


@dataclass(frozen=True, eq=False, slots=True)
class Regions:
    """A map of importance for each image."""

    maps: Tensor
    """(N, H, W) float, 0 to 1 in each image; all 0 if nothing speaks for the class."""
    predicted: Tensor
    """(N,) int, the class each map is about: the one with the largest logit."""


@dataclass(frozen=True, eq=False, slots=True)
class RegionPictures:
    """Regions of a few images, with what is needed to draw them."""

    regions: Regions
    """Of each image."""
    pixels: "tuple[np.ndarray, ...]"
    """Each image as the network sees it, uint8."""
    class_names: tuple[str, ...]
    """The predicted class of each."""


def measure_regions(subject: Subject, method: Callable[[Network, Tensor], Regions]) -> RegionPictures:
    """Apply `method` to `PICTURES` images of `subject`, spread evenly, for folders are sorted by class."""
    import numpy as np

    assert subject.images is not None
    places = sorted({round(i) for i in np.linspace(0, len(subject.labels) - 1, PICTURES)})
    regions = method(subject.network, subject.inputs[places])
    names = tuple(subject.images.classes[label] for label in regions.predicted.tolist())
    return RegionPictures(regions, tuple(map(subject.pixels, places)), names)


def draw_regions(results: Mapping[str, RegionPictures], colours: Colours) -> tuple[Figure, ...]:
    """For each network, every image beside the same image with its important region tinted."""
    figures = []
    for name, one in results.items():
        cells: list[Tile] = []
        for pixels, importance, label in zip(one.pixels, one.regions.maps, one.class_names, strict=True):
            cells += [Tile(pixels, label), Tile(tint(pixels, importance.cpu().numpy()))]
        rows = tuple(tuple(cells[start : start + 4]) for start in range(0, len(cells), 4))
        caption = f"{name}: each picture with its predicted class, and the region that speaks for it."
        figures.append(Figure(picture_grid(rows), caption, caption))
    return tuple(figures)


def tint(pixels: "np.ndarray", importance: "np.ndarray") -> "np.ndarray":
    """Fade a picture to grey and colour what is important.

    Args:
        pixels: (H, W) or (H, W, 3) uint8.
        importance: (H, W) float from 0 to 1; `TINT` covers the picture where it is 1.

    Returns:
        (H, W, 3) uint8.
    """
    import numpy as np

    grey = pixels if pixels.ndim == 2 else pixels.mean(2)
    faded = np.repeat((0.7 * grey + 50)[:, :, None], 3, 2)
    weight = 0.85 * importance[:, :, None]
    return np.asarray(faded * (1 - weight) + np.array(TINT) * weight).clip(0, 255).astype(np.uint8)


def scale_to_one(maps: Tensor) -> Tensor:
    """(N, H, W) maps, each divided by its largest value, if that is above 0."""
    largest = maps.amax((1, 2), keepdim=True)
    scaled = torch.where(largest > 0, maps / largest.clamp_min(1e-12), torch.zeros_like(maps))
    return scaled.float().clone()


def import_captum() -> Any:
    """The attribution methods of captum.

    Raises:
        ConfigError: captum is not installed.
    """
    try:
        return importlib.import_module("captum.attr")
    except ModuleNotFoundError:
        raise ConfigError("Grad-CAM and occlusion need captum: pip install 'residua[explain]'") from None
