"""Grad-CAM: which region of an image speaks for the predicted class (Selvaraju et al. 2017)."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

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
from residua.errors import ConfigError
from residua.nn.network import Network


def grad_cam(network: Network, images: Tensor) -> Regions:
    """Compute Grad-CAM of the last map for the predicted class, in eval mode.

    Args:
        network: A convolutional network.
        images: (N, C, H, W) float, preprocessed.

    Returns:
        A map for each image, enlarged to its size.

    Raises:
        ConfigError: captum is not installed, or the network has no maps.
    """
    if network.arch.is_flat:
        raise ConfigError(f"{network.arch.name} has no maps: choose a convolutional network")
    captum = import_captum()
    with working_copy(network) as work, torch.enable_grad():
        last = work.tail if len(work.tail) else work.blocks()[-1]
        predicted = work(images).argmax(1)
        cam = captum.LayerGradCam(work, last)
        coarse = cam.attribute(images.clone().requires_grad_(), predicted, relu_attributions=True).detach()
        maps = interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return Regions(scale_to_one(maps), predicted)


def _measure(subject: Subject) -> RegionPictures:
    return measure_regions(subject, grad_cam)


STUDY = Study(
    "cam",
    title="Grad-CAM: which region speaks for the class",
    measures="Grad-CAM of the last map (needs `pip install 'residua[explain]'`)",
    source="Selvaraju et al. 2017",
    needs=Needs.TRAINING,
    measure=_measure,
    draw=draw_regions,
    summarise=no_summary,
    explain="Tinted regions speak for the predicted class (Selvaraju et al. 2017): the gradients of its "
    "logit weigh the channels of the last map. The map is coarse, and is enlarged to the picture. "
    "Where nothing is tinted, nothing in the last map speaks for the class. The map shows what "
    "mattered, not whether the prediction is right.",
    has_numbers=False,
)
