"""Classifier: the Predictor of images; it takes files, pictures or arrays and returns classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from residua.data.decode import decode
from residua.data.transforms import eval_view
from residua.errors import DataError
from residua.nn.network import Network
from residua.predict.predictor import compute_logits, load_predictor, read_classifier
from residua.spec.recipe import Plan

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]
"""A path, the bytes of a file, a PIL image, or an (H, W[, 3]) array."""
CPU = Plan("cpu", "channels_last", "float32")
"""The plan of a network that is used as it is built: on the CPU."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The class probabilities of one image."""

    classes: tuple[str, ...]
    """All classes, in the order of the network's outputs."""
    probabilities: tuple[float, ...]
    """Probability of each class; they sum to 1."""

    def top(self, k: int = 1) -> list[tuple[str, float]]:
        """The `k` likeliest classes with their probabilities, the likeliest first."""
        ranked = sorted(zip(self.classes, self.probabilities, strict=True), key=lambda pair: -pair[1])
        return ranked[:k]


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    """A network that classifies images, with its preprocessing and class names."""

    network: Network
    """The network, in eval mode on the plan's device."""
    plan: Plan = CPU
    """Device, memory format and precision."""
    weights: str = "raw"
    """Which weights the network has: `raw`, `ema` or `best`."""

    def __call__(self, picture: Picture) -> Prediction:
        """Classify one picture.

        Args:
            picture: A path, the bytes of a file, a PIL image or an (H, W[, 3]) uint8 array.

        Returns:
            The probability of each class.

        Raises:
            DataError: The picture cannot be read.
        """
        return self.many([picture])[0]

    def many(self, pictures: Iterable[Picture]) -> list[Prediction]:
        """Classify several pictures as one batch. DataError when one cannot be read."""
        views = [self.view(picture) for picture in pictures]
        if not views:
            return []
        rows = torch.softmax(self.logits(torch.from_numpy(np.stack(views))), 1)
        return [Prediction(self.classes, tuple(row)) for row in rows.tolist()]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""
        return self.network.class_names

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, C, H, W) uint8 -> logits (n, classes) float32, on the plan's device."""
        return compute_logits(self.network, pixels, self.plan)

    def view(self, picture: Picture) -> NDArray[np.uint8]:
        """The centre crop of one picture that the network reads.

        Args:
            picture: As in a call.

        Returns:
            (C, S, S) uint8, before normalisation.

        Raises:
            DataError: The picture cannot be read.
        """
        preprocess = self.network.preprocess
        if isinstance(picture, str | Path | bytes):
            file = Path(picture) if isinstance(picture, str) else picture
            return eval_view(decode(file, colour=preprocess.colour), preprocess)
        image = open_picture(picture)
        mode = "RGB" if preprocess.colour == "rgb" else "L"
        if image.mode not in ("RGB", "L"):
            raise DataError(f"a picture in mode {image.mode}: give RGB or L, or a file")
        return eval_view(image if image.mode == mode else image.convert(mode), preprocess)


def open_picture(picture: object) -> Image.Image:
    """A picture in memory as an image of PIL.

    Args:
        picture: A PIL image, or an (H, W[, 3]) uint8 array.

    Raises:
        DataError: It is something else, or has no pixels.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
            raise DataError(
                f"an array of {picture.dtype} of shape {picture.shape}: give (H, W) or (H, W, 3) of uint8"
            )
        if not picture.size:
            raise DataError(f"an array of shape {picture.shape} is an empty picture: give one with pixels")
        return Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        kind = type(picture).__name__
        raise DataError(f"a {kind} is no picture: give a path, bytes, a PIL image or a uint8 array")
    if 0 in picture.size:
        raise DataError(f"an image of {picture.width}x{picture.height} is empty: give one with pixels")
    return picture


def load(
    source: str | Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
) -> Classifier:
    """Load a trained classifier.

    Args:
        source: A run directory (its newest state), a saved folder or a checkpoint file.
        weights: Of a run: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
        device: `cpu`, `cuda`, `mps`, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
            device.

    Returns:
        A classifier that takes files, pictures or arrays.

    Raises:
        CheckpointError: There is no classifier, or a byte of it changed since it was written.
        ConfigError: The device, the precision or the name of the weights cannot be used.
    """
    return Classifier(
        *load_predictor(source, read_classifier, weights=weights, device=device, precision=precision)
    )
