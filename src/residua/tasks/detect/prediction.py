"""BoxPrediction: the boxes that a detector predicts in one image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from residua.errors import NonFiniteError
from residua.predict.predictor import autocast, network_inputs
from residua.spec.amount import quantity
from residua.spec.recipe import Plan
from residua.tasks.detect.batches import BoxBatch
from residua.tasks.detect.network import DetectionNetwork
from residua.tasks.detect.transforms import to_image


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class BoxPrediction:
    """The n boxes predicted in one image, the highest score first."""

    corners: NDArray[np.float32]
    """Left, top, right and bottom of each in pixels of the upright image: (n, 4)."""
    labels: NDArray[np.int64]
    """Class of each, from 0: (n,)."""
    scores: NDArray[np.float32]
    """Confidence of each, from 0 to 1: (n,)."""

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        best = f", the highest score {100 * float(self.scores[0]):.0f} %" if len(self) else ""
        return f"BoxPrediction({quantity(len(self), 'box')}{best})"

    def select(self, which: NDArray[Any]) -> "BoxPrediction":
        """The boxes at `which`, a mask or indices."""
        return BoxPrediction(self.corners[which], self.labels[which], self.scores[which])


def predict_boxes(network: DetectionNetwork, batch: BoxBatch, plan: Plan) -> Iterator[BoxPrediction]:
    """Predict the boxes of each image of a batch.

    Args:
        network: In eval mode, placed as `plan` says.
        batch: Images without augmentation.
        plan: Device, memory format and precision.

    Yields:
        One prediction an image, in order.

    Raises:
        NonFiniteError: A score or a corner is NaN or infinite.
    """
    inputs = network_inputs(batch.images, network.preprocess, plan)
    with torch.inference_mode(), autocast(plan):
        outputs = network(inputs, torch.from_numpy(batch.sizes))
    for output, size, window in zip(outputs, batch.sizes.tolist(), batch.windows, strict=True):
        corners, labels, scores = (output[name].cpu().numpy() for name in ("boxes", "labels", "scores"))
        if not (np.isfinite(corners).all() and np.isfinite(scores).all()):
            raise NonFiniteError("the detector computes NaN or infinity: its weights cannot be used")
        order = np.argsort(-scores, kind="stable")
        yield BoxPrediction(to_image(corners, window, size)[order], labels[order] - 1, scores[order])
