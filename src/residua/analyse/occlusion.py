"""Occlusion sensitivity: how the logit falls when a part of the image is covered (Zeiler and Fergus 2014)."""

import torch
from torch import Tensor

from residua.analyse.copies import working_copy
from residua.analyse.regions import (
    RegionPictures,
    Regions,
    draw_regions,
    import_captum,
    measure_regions,
    scale_to_one,
)
from residua.analyse.study import Needs, Study, Subject, no_summary
from residua.nn.network import Network

SQUARES = 4
"""The side of the image divided by the side of the grey square, which moves by half its side."""


def occlusion_sensitivity(network: Network, images: Tensor) -> Regions:
    """Measure how much the predicted class's logit falls when a grey square covers each place, in eval mode.

    Args:
        network: Any network.
        images: (N, C, H, W) float, preprocessed; grey is their mean, 0.

    Returns:
        A map for each image, of its size.

    Raises:
        ConfigError: captum is not installed.
    """
    captum = import_captum()
    with working_copy(network) as work, torch.inference_mode():
        predicted = work(images).argmax(1)
        side = max(1, images.shape[-1] // SQUARES)
        window = (images.shape[1], side, side)
        stride = (images.shape[1], max(1, side // 2), max(1, side // 2))
        fall = captum.Occlusion(work).attribute(
            images, sliding_window_shapes=window, strides=stride, target=predicted, baselines=0.0
        )
    return Regions(scale_to_one(fall.sum(1).clamp_min(0)), predicted)


def _measure(subject: Subject) -> RegionPictures:
    return measure_regions(subject, occlusion_sensitivity)


STUDY = Study(
    "occlusion",
    title="Occlusion sensitivity: which region the class needs",
    measures="fall of the logit when a grey square covers a place (needs the same)",
    source="Zeiler and Fergus 2014",
    needs=Needs.TRAINING,
    measure=_measure,
    draw=draw_regions,
    summarise=no_summary,
    explain="A grey square, a quarter as wide as the picture, covers one place after the other. Tinted "
    "regions are those where covering lowers the logit of the predicted class. Occlusion is "
    "slower than Grad-CAM, and does not depend on gradients: where both agree, trust them more.",
    has_numbers=False,
)
