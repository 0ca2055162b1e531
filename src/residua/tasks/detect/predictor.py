"""BoxPredictor: the Predictor of objects in images; it takes pictures and returns boxes with classes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from residua.data.boxes import Boxes
from residua.data.decode import convert_image, decode
from residua.data.pictures import open_picture
from residua.errors import CheckpointError
from residua.nn.network import build
from residua.predict.classifier import CPU
from residua.predict.picture_classifier import Picture
from residua.predict.predictor import describe_predictor, load_predictor, weights_path
from residua.runs import checkpoint
from residua.runs.checkpoint import WeightsName
from residua.spec.arch import Arch, Head
from residua.spec.detector import Detector
from residua.spec.recipe import Plan
from residua.spec.record import from_plain
from residua.tasks.detect.batches import collate_views
from residua.tasks.detect.network import DetectionNetwork
from residua.tasks.detect.prediction import BoxPrediction, predict_boxes
from residua.tasks.detect.transforms import eval_box_view
from residua.weights.load import check_size

LEAST = 0.5
"""Lowest score of a box by default."""


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class BoxPredictor:
    """A detector with its preprocessing and class names."""

    network: DetectionNetwork
    """The network, in eval mode on the plan's device."""
    plan: Plan = CPU
    """Device, memory format and precision."""
    weights: str = "raw"
    """Which weights the network has: `raw`, `ema` or `best`."""

    def __repr__(self) -> str:
        return describe_predictor("BoxPredictor", self.network, self.plan, self.weights)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into it."""
        return self.network.class_names

    def __call__(self, picture: Picture, *, least: float = LEAST) -> BoxPrediction:
        """Predict the boxes of one picture.

        Args:
            picture: A path, the bytes of a file, a PIL image or an (H, W[, 3]) uint8 array.
            least: Lowest score of a box.

        Returns:
            The boxes in pixels of the upright picture, the highest score first.

        Raises:
            DataError: The picture cannot be read.
            NonFiniteError: The network computes NaN or infinity.
        """
        return self.many([picture], least=least)[0]

    def many(self, pictures: Iterable[Picture], *, least: float = LEAST) -> list[BoxPrediction]:
        """Predict the boxes of several pictures as one batch; see a call for arguments and errors."""
        no_boxes, network = Boxes.of((), ()), self.network
        images = [self.image(picture) for picture in pictures]
        if not images:
            return []
        views = [eval_box_view(image, no_boxes, network.detector, network.preprocess) for image in images]
        batch = collate_views(views, np.arange(len(views)), 0, training=False)
        return [boxes.select(boxes.scores >= least) for boxes in predict_boxes(network, batch, self.plan)]

    def image(self, picture: Picture) -> Image.Image:
        """`picture`, upright, in the colours of the network. DataError when it cannot be read."""
        colour = self.network.preprocess.colour
        if isinstance(picture, str | Path | bytes):
            return decode(Path(picture) if isinstance(picture, str) else picture, colour=colour)
        return convert_image(open_picture(picture), colour=colour)


def load(
    source: str | Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
) -> BoxPredictor:
    """Load a trained detector of a run or a checkpoint file; arguments and errors as in `residua.load`.

    Args:
        source: A run directory (its newest state) or a checkpoint file.
        weights: Of a run: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
            device.

    Returns:
        A detector that takes files, pictures or arrays.

    Raises:
        CheckpointError: There is no detector, or a byte of it changed since it was written.
        ConfigError: The device, the precision or the name of the weights cannot be used.
    """
    return BoxPredictor(
        *load_predictor(source, read_detector, weights=weights, device=device, precision=precision)
    )


def read_detector(path: Path, weights: WeightsName) -> tuple[DetectionNetwork, str]:
    """Read the detector of a run or of a checkpoint file, without placing it.

    Args:
        path: A run directory, from which the newest state is read, or a checkpoint file.
        weights: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.

    Returns:
        The network in eval mode on the CPU, and which weights it has: `raw`, `ema` or `best`.

    Raises:
        CheckpointError: There is no detector, or the file is damaged.
    """
    network, loaded = checkpoint.load_weights(weights_path(path, weights), weights, make=_build_from_facts)
    return network, loaded


def _build_from_facts(path: Path, facts: Mapping[str, Any]) -> DetectionNetwork:
    if not facts.get("detector"):
        raise CheckpointError(f"{path} holds no detector: give a run that was trained on boxes")
    detector, arch = from_plain(Detector, facts["detector"]), from_plain(Arch, facts["arch"])
    headless = replace(arch, head=Head(), classes=1)
    check_size(headless, path)

    def make() -> DetectionNetwork:
        backbone = build(headless, norm=detector.norm)
        backbone.arch = arch
        return DetectionNetwork(backbone, detector, len(facts["classes"]))

    with torch.device("meta"):
        described = sum(value.nbytes for value in make().state_dict().values())
    if described > path.stat().st_size:
        raise CheckpointError(
            f"{path} describes a detector of {described:,} bytes, more than it holds: do not trust it"
        )
    return make()
