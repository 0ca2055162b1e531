"""Detectors and networks for clips as served models; their predictors say what they read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.errors import DataError
from residua.serve.model import BATCH_SIZES, Holds
from residua.spec.preprocess import Preprocess

NO_CAM = "Grad-CAM is for networks that classify images"
"""Why there is none here."""
_MOST_BOXES = 1000  # of one picture in a response


@dataclass(frozen=True, eq=False, slots=True)
class _TaskModel:
    """What models of other tasks share."""

    name: str
    """Name in addresses."""
    predictor: Any
    """The Predictor of its task."""
    engine: str
    """What computes, for people."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        classes: tuple[str, ...] = self.predictor.classes
        return classes

    @property
    def preprocess(self) -> Preprocess:
        """The path from a picture to the input of the network."""
        preprocess: Preprocess = self.predictor.network.preprocess
        return preprocess

    @property
    def no_cam(self) -> str:
        """Why there is no Grad-CAM."""
        return NO_CAM

    def explain(self, inputs: Sequence[Any]) -> Sequence[bytes]:
        """No pictures: there is no Grad-CAM of boxes and clips."""
        return ()


class BoxModel(_TaskModel):
    """A detector that is served."""

    __slots__ = ()
    task: Holds = "boxes"
    """What it reads and predicts."""
    sizes = BATCH_SIZES
    """Sizes of batches."""

    def probe(self) -> Image.Image:
        """A grey picture."""
        return self.read_pixels(np.full((64, 64, 3), 128, np.uint8))

    def read(self, file: bytes) -> Image.Image:
        """The upright picture."""
        return self._image(file)

    def read_pixels(self, pixels: NDArray[Any]) -> Image.Image:
        """The picture of pixels."""
        return self._image(pixels)

    def compute(self, inputs: Sequence[Any]) -> Sequence[tuple[Any, tuple[int, int]]]:
        """The boxes and the size of each picture."""
        sizes = [picture.size for picture in inputs]
        return list(zip(self.predictor.many(inputs), sizes, strict=True))

    def describe(self, output: Any, topk: int) -> dict[str, Any]:
        """Boxes as left, top, right and bottom in pixels of the upright picture, the likeliest first."""
        boxes, size = output
        values = [
            {
                "class": self.classes[int(boxes.labels[place])],
                "score": round(float(boxes.scores[place]), 4),
                "box": [round(float(side), 2) for side in boxes.corners[place]],
            }
            for place in range(min(len(boxes), _MOST_BOXES))
        ]
        return {"boxes": values, "size": list(size)}

    def _image(self, picture: Any) -> Image.Image:
        image: Image.Image = self.predictor.image(picture)
        return image


class ClipModel(_TaskModel):
    """A network for clips that is served; the worker decodes each video, clip after clip."""

    __slots__ = ()
    task: Holds = "clips"
    """What it reads."""
    sizes = (1,)
    """One video after the other."""

    def probe(self) -> None:
        """No video is at hand: the first request is the trial."""
        return

    def read(self, file: bytes) -> bytes:
        """The video as it came."""
        return file

    def read_pixels(self, pixels: NDArray[Any]) -> Any:
        """Refuse: a picture is no video."""
        raise DataError("a network for clips reads videos: send the bytes of a file")

    def compute(self, inputs: Sequence[Any]) -> Sequence[NDArray[np.float64]]:
        """The mean probabilities (classes,) of each video."""
        return [self._probabilities(file) if file else np.empty(0) for file in inputs]

    def describe(self, output: Any, topk: int) -> dict[str, Any]:
        """The likeliest classes with the mean of their probabilities over the clips."""
        likeliest = np.argsort(-output, kind="stable")[:topk].tolist()
        top = [{"class": self.classes[label], "probability": float(output[label])} for label in likeliest]
        return {"classes": top}

    def _probabilities(self, file: bytes) -> NDArray[np.float64]:
        """The predictor reads files: the video becomes one in memory, nothing is written to a disk."""
        number = os.memfd_create("residua-video")
        path = Path(f"/proc/{os.getpid()}/fd/{number}")
        try:
            with os.fdopen(number, "wb", closefd=False) as stream:
                stream.write(file)
            probabilities: NDArray[np.float64] = self.predictor(path).probabilities.mean(0)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "the video")) from None
        finally:
            os.close(number)
        return probabilities
