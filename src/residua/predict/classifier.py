"""Classifier: a trained network that takes files, pictures or arrays and answers with class names."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import decode
from residua.data.transforms import normalise, test_view
from residua.errors import CheckpointError, DataError
from residua.nn.device import place_network, resolve_device
from residua.nn.network import Network
from residua.predict import folder
from residua.runs import checkpoint
from residua.runs.checkpoint import Weights
from residua.runs.run import Run
from residua.spec.recipe import Plan

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one picture."""

    classes: tuple[str, ...]
    """Every class, in the network's order."""
    probabilities: tuple[float, ...]
    """How likely each is; they sum to 1."""

    def top(self, k: int = 1) -> list[tuple[str, float]]:
        """The `k` likeliest classes with their probabilities, the likeliest first."""
        ranked = sorted(zip(self.classes, self.probabilities, strict=True), key=lambda pair: -pair[1])
        return ranked[:k]


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    """A network in eval mode with its preprocessing and class names."""

    network: Network
    """What answers."""

    def __call__(self, picture: Picture) -> Prediction:
        """The answer for one picture: a path, the bytes of a file, a PIL image or an (H, W[, 3]) uint8 array.

        DataError when it cannot be read.
        """
        return self.many([picture])[0]

    def many(self, pictures: Iterable[Picture]) -> list[Prediction]:
        """The answers for several pictures, computed as one batch."""
        views = [self.view(picture) for picture in pictures]
        if not views:
            return []
        images = normalise(torch.from_numpy(np.stack(views)), self.network.preprocess)
        with torch.inference_mode():
            rows = torch.softmax(self.network(images), 1)
        return [Prediction(self.classes, tuple(row)) for row in rows.tolist()]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the network's order."""
        return self.network.class_names

    def view(self, picture: Picture) -> NDArray[np.uint8]:
        """What the network is shown of one picture: (C, S, S) uint8. DataError when it cannot be read."""
        preprocess = self.network.preprocess
        if isinstance(picture, str | Path | bytes):
            file = Path(picture) if isinstance(picture, str) else picture
            return test_view(decode(file, colour=preprocess.colour), preprocess)
        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        wanted = "RGB" if preprocess.colour == "rgb" else "L"
        if image.mode not in ("RGB", "L"):
            raise DataError(f"a picture in mode {image.mode}: give RGB or L, or a file")
        return test_view(image if image.mode == wanted else image.convert(wanted), preprocess)


def load(source: str | Path, *, weights: Weights = "auto") -> Classifier:
    """The classifier in a run directory (its newest state), a saved folder or a checkpoint file.

    `weights` of a run: `raw`, `ema` (their mean) or `best`; `auto` is the mean where the run keeps one.

    CheckpointError when there is none, or a byte of it is not as it was written.
    """
    return Classifier(load_network(Path(source), weights))


def load_network(path: Path, weights: Weights = "auto") -> Network:
    """The network of `load`, on the CPU in eval mode."""
    return load_weights(path, weights)[0]


def load_weights(path: Path, weights: Weights) -> tuple[Network, str]:
    """The network of `load`, and which weights it has: `raw`, `ema` or `best`."""
    if path.is_dir() and folder.is_saved(path):
        return folder.read(path), "raw"
    return checkpoint.weights_of(file_of(path, weights), weights)


def ready(path: Path, weights: str = "auto") -> tuple[Network, str, Plan]:
    """The network at `path` where it is to judge, which weights it has, and with which arithmetic."""
    network, kind = load_weights(path, cast("Weights", weights))
    plan = Plan(str(resolve_device("auto")), "channels_last", "float32", torch.get_num_threads())
    return place_network(network, plan), kind, plan


def file_of(path: Path, weights: Weights) -> Path:
    """The file of a run that holds those `weights`; a file as it is. CheckpointError when there is none."""
    if not path.is_dir():
        return path
    states = Run(path).checkpoints
    if weights == "best":
        if not (states / checkpoint.BEST).exists():
            raise CheckpointError(f"{path} holds no best weights: none were judged yet, or they were lost")
        return states / checkpoint.BEST
    state = checkpoint.last(states)
    if state is None:
        raise CheckpointError(
            f"{path} holds no training state: give a run that has been trained, or a saved folder"
        )
    return state.path
