"""Finder: a trained detector that takes pictures and answers with boxes and class names."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from residua.data.boxes import Boxes
from residua.data.decode import decode, convert_image
from residua.nn.device import place_network
from residua.spec.recipe import Plan
from residua.tasks.detect.batches import collate_views
from residua.tasks.detect.learning import load_trained
from residua.tasks.detect.found import Detections, detections
from residua.tasks.detect.network import DetectionNetwork
from residua.tasks.detect.transforms import eval_box_view

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]
LEAST = 0.5
"""Score from which on a box is shown, where nobody chose."""


@dataclass(frozen=True, eq=False, slots=True)
class BoxPredictor:
    """A detector in eval mode with its preprocessing and class names."""

    network: DetectionNetwork
    """What answers."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is a place in it."""
        return self.network.class_names

    def __call__(self, picture: Picture, *, least: float = LEAST) -> Detections:
        """The boxes with a score of `least` or more, the surest first, in pixels of the upright picture.

        A picture is a path, the bytes of a file, a PIL image or an (H, W[, 3]) uint8 array. DataError when it
        cannot be read.
        """
        return self.many([picture], least=least)[0]

    def many(self, pictures: Iterable[Picture], *, least: float = LEAST) -> list[Detections]:
        """The boxes of several pictures, computed as one batch."""
        nothing, network = Boxes.of((), ()), self.network
        images = [self.image(picture) for picture in pictures]
        if not images:
            return []
        views = [eval_box_view(image, nothing, network.detector, network.preprocess) for image in images]
        batch = collate_views(views, np.arange(len(views)), 0, training=False)
        plan = Plan(str(next(network.parameters()).device), "channels_last", "float32")
        return [found.chosen(found.scores >= least) for found in detections(network, batch, plan)]

    def image(self, picture: Picture) -> Image.Image:
        """`picture`, upright, in the colours of the network. DataError when it cannot be read."""
        colour = self.network.preprocess.colour
        if isinstance(picture, str | Path | bytes):
            return decode(Path(picture) if isinstance(picture, str) else picture, colour=colour)
        return convert_image(
            Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture, colour=colour
        )


def load(source: str | Path, *, weights: str = "auto") -> BoxPredictor:
    """The detector in a run directory (its newest state) or a checkpoint file; `weights` as in `load`.

    CheckpointError when there is none, or a byte of it is not as it was written.
    """
    network, _ = load_trained(Path(source), weights)
    plan = Plan("cpu", "channels_last", "float32", torch.get_num_threads())
    return BoxPredictor(place_network(network, plan).eval())
