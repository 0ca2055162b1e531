"""ServedModel: a trained network as the server sees it; `PictureModel` is one that classifies images.

Reading and computing are apart: many threads read files, one computes. Nothing here needs torch, so that an
exported network is served without it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import MAX_PIXELS, decode, read_size
from residua.errors import NonFiniteError
from residua.predict.picture_classifier import PictureClassifier
from residua.predict.prediction import Prediction
from residua.spec.preprocess import Preprocess

Holds = Literal["images", "boxes", "clips"]
"""What a network reads: it decides the form of its predictions."""
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
"""Sizes of batches that are measured when the server starts, and computed."""
NO_GRADIENTS = "an exported network has no gradients: serve the run for Grad-CAM"
"""Why there is no Grad-CAM of a file without torch."""

Compute = Callable[[Sequence[Any]], Sequence[Any]]
"""From inputs to one output each, in the same order."""


class ServedModel(Protocol):
    """A trained network that the server reads files for and computes with."""

    @property
    def name(self) -> str:
        """Name in addresses: letters, digits, `.`, `_` and `-`."""

    @property
    def task(self) -> Holds:
        """What it reads."""

    @property
    def engine(self) -> str:
        """What computes, for people: `onnxruntime`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def preprocess(self) -> Preprocess:
        """The path from a picture to the input of the network."""

    @property
    def holds_pictures(self) -> bool:
        """Whether an input is the whole picture, not a view of one size."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of batches that may be computed, ascending from 1."""

    @property
    def no_cam(self) -> str:
        """Why there is no Grad-CAM; empty where there is one."""

    def probe(self) -> Any:
        """An input to try the network with; None where there is none."""

    def read(self, file: bytes) -> Any:
        """The input of an encoded image or video. DataError when it cannot be read."""

    def read_pixels(self, pixels: NDArray[Any]) -> Any:
        """The input of the pixels (H, W, 3) of an image. DataError when they are none."""

    def compute(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """One output for each input. NonFiniteError when one holds NaN or infinity."""

    def describe(self, output: Any, topk: int) -> dict[str, Any]:
        """An output as JSON values, with at most `topk` classes."""

    def explain(self, inputs: Sequence[Any]) -> Sequence[bytes]:
        """A PNG of each input's size, transparent where nothing speaks for the predicted class."""


@dataclass(frozen=True, eq=False, slots=True)
class PictureModel:
    """A classifier of images that is served."""

    name: str
    """Name in addresses."""
    classifier: PictureClassifier
    """Reads files and computes probabilities."""
    engine: str
    """What computes, for people."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the outputs."""
    cam: Callable[[NDArray[np.uint8]], Sequence[bytes]] | None = None
    """Views (n, C, S, S) -> a PNG each, where Grad-CAM can be computed."""
    no_cam: str = NO_GRADIENTS
    """Why there is no Grad-CAM; empty where there is one."""
    sizes: tuple[int, ...] = BATCH_SIZES
    """Sizes of batches."""
    holds_pictures: bool = False
    """Whether the network itself crops, so that its inputs are whole pictures."""

    @property
    def task(self) -> Holds:
        """Images."""
        return "images"

    @property
    def preprocess(self) -> Preprocess:
        """The path from a picture to the input of the network."""
        return self.classifier.preprocess

    def probe(self) -> NDArray[np.uint8]:
        """A view of noise, always the same."""
        side = self.preprocess.size
        shape = (self.preprocess.channels, side, side)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def read(self, file: bytes) -> NDArray[np.uint8]:
        """The view (C, S, S) of an encoded image."""
        return self.classifier.view(file)

    def read_pixels(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """The view of an image in memory."""
        return self.classifier.view(pixels)

    def compute(self, inputs: Sequence[Any]) -> Sequence[NDArray[np.float32]]:
        """The probabilities (classes,) of each view."""
        rows: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(inputs)
        shapes = [view.shape for view in inputs]
        for shape in dict.fromkeys(shapes):  # an exported graph that crops itself reads images of any size
            places = [place for place, each in enumerate(shapes) if each == shape]
            most = max(1, MAX_PIXELS // (shape[1] * shape[2]))  # whole pictures may be large: few at once
            for part in (places[start : start + most] for start in range(0, len(places), most)):
                outputs = self.classifier.probabilities(np.stack([inputs[place] for place in part]))
                if not np.isfinite(outputs).all():
                    raise NonFiniteError("the network computes NaN or infinity: its weights cannot be used")
                for place, row in zip(part, outputs, strict=True):
                    rows[place] = row
        return rows

    def describe(self, output: Any, topk: int) -> dict[str, Any]:
        """The likeliest classes with their probabilities."""
        top = Prediction(self.classes, tuple(output.tolist())).top(topk)
        return {"classes": [{"class": name, "probability": share} for name, share in top]}

    def explain(self, inputs: Sequence[Any]) -> Sequence[bytes]:
        """Grad-CAM of each view as a PNG."""
        assert self.cam is not None, "the caller checks no_cam"
        return self.cam(np.stack(inputs))


def picture_model(
    name: str,
    classifier: PictureClassifier,
    engine: str,
    cam: Callable[[NDArray[np.uint8]], Sequence[bytes]] | None = None,
    no_cam: str = NO_GRADIENTS,
) -> PictureModel:
    """A classifier to serve.

    Args:
        name: Name in addresses.
        classifier: Reads files and computes probabilities.
        engine: What computes, for people.
        cam: Views (n, C, S, S) -> a PNG each; None where Grad-CAM cannot be computed.
        no_cam: Why not.
    """
    return PictureModel(name, classifier, engine, classifier.classes, cam, "" if cam else no_cam)


def picture_pixels(pictures: Sequence[bytes | NDArray[Any]]) -> int:
    """Pixels of encoded images, by their headers, and values of arrays. DataError where there is no image."""
    sizes = (each.shape if isinstance(each, np.ndarray) else read_size(each) for each in pictures)
    return sum(math.prod(size) for size in sizes)


def crop_of(file: bytes, preprocess: Preprocess) -> list[float]:
    """The part of an image that the network reads: left, top, right and bottom, as shares of its sides."""
    width, height = decode(file, colour=preprocess.colour).size
    edges = [preprocess.size / preprocess.resize * min(width, height) / side for side in (width, height)]
    across, down = (min(1.0, edge) for edge in edges)
    return [round(share, 4) for share in ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)]
