"""Trained networks of torch as served models: their Grad-CAM, and detectors and networks for clips."""

import importlib.util
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from residua.analyse.cam import grad_cam
from residua.analyse.regions import TINT
from residua.jobs.load import load
from residua.predict.classifier import Classifier
from residua.predict.predictor import network_inputs
from residua.serve.model import ServedModel, picture_model


def load_trained(path: Path, name: str) -> ServedModel:
    """Load a run, a saved folder or a checkpoint file to serve it.

    Args:
        path: As in `residua.load`.
        name: Its name in addresses.

    Raises:
        CheckpointError: There is no network, or it is damaged.
    """
    predictor: Any = load(path)
    assert isinstance(predictor, Classifier)
    plan = predictor.plan
    engine = f"torch, {plan.device}, {plan.precision}"
    if reason := _no_cam(predictor):
        return picture_model(name, predictor, engine, no_cam=reason)
    return picture_model(name, predictor, engine, partial(cam_pictures, predictor))


def cam_pictures(classifier: Classifier, views: NDArray[np.uint8]) -> Sequence[bytes]:
    """Grad-CAM of views as pictures to lay over them.

    Args:
        classifier: A convolutional network.
        views: (n, C, S, S) as the classifier reads them.

    Returns:
        A PNG of S x S pixels each, of one colour, opaque where the view speaks for the predicted class.
    """
    inputs = network_inputs(torch.from_numpy(views), classifier.preprocess, classifier.plan)
    maps = grad_cam(classifier.network, inputs).maps.cpu().numpy()
    return [_picture(one) for one in maps]


def _picture(importance: NDArray[np.float32]) -> bytes:
    pixels = np.empty((*importance.shape, 4), np.uint8)
    pixels[..., :3] = TINT
    pixels[..., 3] = np.rint(255 * importance)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _no_cam(classifier: Classifier) -> str:
    """Why there is no Grad-CAM; empty where there is one."""
    if classifier.network.arch.is_flat:
        return "the network has no maps"
    if importlib.util.find_spec("captum") is None:
        return "Grad-CAM needs captum: pip install 'residua[explain]'"
    return ""
