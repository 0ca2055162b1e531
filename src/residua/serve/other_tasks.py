"""Detectors and networks for clips as served models; their predictors say what they read."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.video import reader
from residua.errors import DataError
from residua.serve.limits import STANDARD
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
    holds_pictures = True
    """Boxes are in pixels of the picture."""
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
    """A network for clips that is served; the worker decodes each video, clip after clip.

    An input is the video as it came, and when its request gets 429: then it is decoded no further.
    """

    __slots__ = ()
    task: Holds = "clips"
    """What it reads."""
    holds_pictures = False
    """A video waits as it came."""
    sizes = (1,)
    """One video after the other."""

    def probe(self) -> None:
        """No video is at hand: the first request is the trial, with a decoder that has started."""
        with suppress(DataError):
            reader.probe(b"")  # its process imports for a second, which no request should wait for

    def read(self, file: bytes) -> tuple[bytes, float]:
        """The video as it came, and its deadline of `time.monotonic()`."""
        return file, time.monotonic() + STANDARD.compute_seconds

    def read_pixels(self, pixels: NDArray[Any]) -> Any:
        """Refuse: a picture is no video."""
        raise DataError("a network for clips reads videos: send the bytes of a file")

    def compute(self, inputs: Sequence[Any]) -> Sequence[NDArray[np.float64]]:
        """The mean probabilities (classes,) of each video."""
        return [self._probabilities(*each) if each[0] else np.empty(0) for each in inputs]

    def describe(self, output: Any, topk: int) -> dict[str, Any]:
        """The likeliest classes with the mean of their probabilities over the clips."""
        likeliest = np.argsort(-output, kind="stable")[:topk].tolist()
        top = [{"class": self.classes[label], "probability": float(output[label])} for label in likeliest]
        return {"classes": top}

    def _probabilities(self, content: bytes, deadline: float) -> NDArray[np.float64]:
        with _video_file(content) as path, reader.process_reader().requests_until(deadline):
            try:
                probabilities: NDArray[np.float64] = self.predictor(path).probabilities.mean(0)
            except DataError as error:
                raise DataError(str(error).replace(str(path), "the video")) from None
        return probabilities


@contextmanager
def _video_file(content: bytes) -> Iterator[Path]:
    """A video as the file that predictors read: in memory, or temporary where a system has no such files."""
    if create := getattr(os, "memfd_create", None):
        number = create("residua-video")
        try:
            with os.fdopen(number, "wb", closefd=False) as stream:
                stream.write(content)
            yield Path(f"/proc/{os.getpid()}/fd/{number}")
        finally:
            os.close(number)
        return
    with tempfile.TemporaryDirectory(prefix="residua-") as folder:
        path = Path(folder, "video")
        path.write_bytes(content)
        yield path
