"""Which part of an image an answer rests on: Grad-CAM and occlusion, by captum."""

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from residua.analyse.copies import twin_of
from residua.analyse.gradients import blocks
from residua.nn.network import Network

OCCLUDED = 4
"""The grey square's side is that of the image divided by this; it moves by half its side."""


@dataclass(frozen=True, eq=False, slots=True)
class Regions:
    """A map of importance for each image."""

    maps: Tensor
    """(N, H, W) float, 0 to 1 in each image; all 0 where nothing speaks for the class."""
    guesses: Tensor
    """(N,) the class each map is about: the likeliest."""


def grad_cam(network: Network, images: Tensor) -> Regions:
    """Grad-CAM (Selvaraju et al. 2017) of the last map, for `images`, normalised (N, C, H, W), in eval mode.

    ValueError when captum is missing, or for a network without maps.
    """
    if network.arch.is_flat:
        raise ValueError(f"{network.arch.name} has no maps: choose a convolutional network")
    captum = _captum()
    with twin_of(network) as twin, torch.enable_grad():
        last = twin.tail if len(twin.tail) else blocks(twin)[-1]
        guesses = twin(images).argmax(1)
        cam = captum.LayerGradCam(twin, last)
        coarse = cam.attribute(images.clone().requires_grad_(), guesses, relu_attributions=True).detach()
        maps = interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return Regions(_scaled(maps), guesses)


def occlusion(network: Network, images: Tensor) -> Regions:
    """How much the likeliest class's logit falls when a grey square covers a place (Zeiler and Fergus 2014).

    `images` are normalised (N, C, H, W); grey is their mean, 0. ValueError when captum is missing.
    """
    captum = _captum()
    with twin_of(network) as twin, torch.inference_mode():
        guesses = twin(images).argmax(1)
        side = max(1, images.shape[-1] // OCCLUDED)
        window = (images.shape[1], side, side)
        stride = (images.shape[1], max(1, side // 2), max(1, side // 2))
        fall = captum.Occlusion(twin).attribute(
            images, sliding_window_shapes=window, strides=stride, target=guesses, baselines=0.0
        )
    return Regions(_scaled(fall.sum(1).clamp_min(0)), guesses)


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr")
    except ModuleNotFoundError:
        raise ValueError("Grad-CAM and occlusion need captum: pip install 'residua[explain]'") from None


def _scaled(maps: Tensor) -> Tensor:
    tops = maps.amax((1, 2), keepdim=True)
    return torch.where(tops > 0, maps / tops.clamp_min(1e-12), torch.zeros_like(maps)).float().clone()
