"""Detections: what a detector says of one image, and what it says of many."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from residua.data.transforms import normalise
from residua.errors import NonFiniteError
from residua.spec.recipe import Plan
from residua.tasks.detect.batches import BoxBatch
from residua.tasks.detect.transforms import to_image


@dataclass(frozen=True, eq=False, slots=True)
class Detections:
    """The n boxes found in one image, the surest first."""

    corners: NDArray[np.float32]
    """Left, top, right and bottom of each in pixels of the upright image: (n, 4)."""
    labels: NDArray[np.int64]
    """Class of each, from 0: (n,)."""
    scores: NDArray[np.float32]
    """How sure it is of each, from 0 to 1: (n,)."""

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.scores)

    def chosen(self, which: NDArray[Any]) -> "Detections":
        """Those at `which`, a mask or places."""
        return Detections(self.corners[which], self.labels[which], self.scores[which])


def detections(network: nn.Module, batch: BoxBatch, plan: Plan) -> Iterator[Detections]:
    """What `network`, in eval mode, finds in each image of `batch`, in the plan's format and precision.

    NonFiniteError when a score or a corner is not a number.
    """
    device = torch.device(plan.device)
    layout = torch.channels_last if plan.memory_format == "channels_last" else torch.contiguous_format
    images = normalise(batch.images.to(device), network.preprocess).contiguous(memory_format=layout)  # type: ignore[arg-type]
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"),
    ):
        answers = network(images, torch.from_numpy(batch.sizes))
    sizes = batch.sizes.tolist()
    for said, size, window in zip(answers, sizes, batch.windows, strict=True):
        corners, labels, scores = (said[name].cpu().numpy() for name in ("boxes", "labels", "scores"))
        if not (np.isfinite(corners).all() and np.isfinite(scores).all()):
            raise NonFiniteError("the detector says NaN or infinity: its weights are of no use")
        order = np.argsort(-scores, kind="stable")
        yield Detections(to_image(corners, window, size)[order], labels[order] - 1, scores[order])
