"""Trained networks of torch as served models: their Grad-CAM, and detectors and networks for clips."""

import importlib.util
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from residua import tasks
from residua.analyse.cam import grad_cam
from residua.analyse.regions import TINT
from residua.data.listing import ListingOptions
from residua.data.open import check_is_local, find
from residua.data.sources.table import parse_source
from residua.errors import ConfigError, ResiduaError
from residua.events import Event
from residua.jobs.load import load
from residua.predict.classifier import Classifier
from residua.predict.engines.choose import SAMPLE, same_engine
from residua.predict.predictor import network_inputs
from residua.runs.run import open_run
from residua.serve.model import ServedModel, picture_model
from residua.serve.other_tasks import BoxModel, ClipModel

BATCH_SIZE = 8
"""Images of a batch for which an engine is chosen."""
MOST_LISTED = 100_000
"""Most images of a run that are listed when an engine is chosen: a server starts in seconds."""


def load_trained(
    path: Path, name: str, engine: str, listen: Callable[[Event], object], *, running: str = ""
) -> ServedModel:
    """Load a run, a saved folder or a checkpoint file to serve it.

    Args:
        path: As in `residua.load`.
        name: Its name in addresses.
        engine: What computes images: `torch`, a name in `predict.engines.candidates`, or `auto` for the
            fastest here.
        listen: Receives the table of engines that were measured.
        running: As in `load_model`.

    Raises:
        CheckpointError: There is no network, or it is damaged.
        ConfigError: There is no such engine here.
    """
    options = tasks.predict_task_of([path]).options
    predictor: Any = load(path)
    plan = predictor.plan
    described = f"torch, {plan.device}, {plan.precision}"
    if not isinstance(predictor, Classifier):
        if engine not in ("auto", "torch"):
            raise ConfigError(f"--engine {engine} is for networks that classify images: leave it out")
        kind = ClipModel if "timeline" in options else BoxModel
        return kind(name, predictor, described)
    cam = None if _no_cam(predictor) else partial(cam_pictures, predictor)
    if engine == "torch":
        return picture_model(name, predictor, described, cam, _no_cam(predictor))
    if engine == "auto" and running:
        same = same_engine(predictor.network, running, batch_size=BATCH_SIZE, listen=listen)
        classifier = replace(predictor, engine=same)
    else:
        views = own_views(path, predictor) if engine == "auto" else None
        classifier = predictor.with_engine(engine, views, batch_size=BATCH_SIZE, listen=listen)
    described = classifier.engine.name if classifier.engine else described
    return picture_model(name, classifier, described, cam, _no_cam(predictor))


def own_views(path: Path, classifier: Classifier) -> NDArray[np.uint8] | None:
    """A few views of the images of a run, on which engines must agree.

    Args:
        path: As in `load_trained`.
        classifier: The network of the run.

    Returns:
        The views (SAMPLE, C, S, S) of images from its validation set where it has one of its own; None where
        they cannot be read soon: of what is no run, and for sources that are named, on another machine, moved
        or large.
    """
    try:
        run = open_run(path)
        data, facts = run.recipe.data, run.identity
        if parse_source(data.source).name or facts["train"] + facts["test"] > MOST_LISTED:
            return None
        check_is_local(data.source, named_by=path)
        listing = find(data.source, options=ListingOptions(val_fraction=data.val_fraction))
        images = listing.test or listing.train
        places = np.linspace(0, len(images) - 1, SAMPLE).astype(int).tolist()
        return np.stack([classifier.view(images.item(place)) for place in places])
    except (ResiduaError, OSError):
        return None


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
