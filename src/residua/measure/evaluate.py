"""Run a network over images and judge what it says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.data.batches import Batch
from residua.data.views import normalise
from residua.measure.score import Score, wilson
from residua.nn.network import Network
from residua.spec.recipe import Plan

Said = tuple[Tensor, Tensor]
"""Logits (n, classes) float32 and labels (n,) int64 of one batch, on the CPU."""


class NotFinite(ValueError):
    """A network holds, or says, something that is not a number."""


@dataclass(frozen=True, eq=False, slots=True)
class Judgement:
    """What a network said of every image of a set, in the set's order."""

    probabilities: NDArray[np.float32]
    """(N, classes), rows sum to 1."""
    labels: NDArray[np.int64]
    """(N,) the class each image has."""
    loss: float
    """Mean cross-entropy, in nats."""

    @property
    def guesses(self) -> NDArray[np.int64]:
        """(N,) the likeliest class."""
        likeliest: NDArray[np.int64] = self.probabilities.argmax(1).astype(np.int64)
        return likeliest

    @property
    def wrong(self) -> int:
        """Images whose likeliest class is not their label's."""
        return int((self.guesses != self.labels).sum())

    def score(self, *, split: str, weights: str, views: str = "center") -> Score:
        """Top-1 accuracy with its protocol."""
        n = len(self.labels)
        right = n - self.wrong
        return Score(views, 100 * right / n, wilson(right, n), n, split, weights)

    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes) counts: rows are labels, columns guesses."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.labels * classes + self.guesses, minlength=classes**2).reshape(
            classes, classes
        )


def evaluate(
    network: Network,
    batches: Iterable[Batch],
    plan: Plan,
    *,
    gather: Callable[[list[Said]], list[Said]] = list,
) -> Judgement:
    """Judge `network`, which is left in eval mode, over `batches` in the plan's format and precision.

    Where processes share the work, `gather` puts what they said of their batches in the set's order.

    NotFinite when it says anything that is not a number: the argmax of such a row would pass for an answer.
    """
    device = torch.device(plan.device)
    layout = torch.channels_last if plan.memory_format == "channels_last" else torch.contiguous_format
    network.eval()
    said = []
    with torch.inference_mode():
        for batch in batches:
            images = normalise(batch.images.to(device), network.preprocess).contiguous(memory_format=layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
                logits = network(images).float().cpu()
            said.append((logits, batch.labels.cpu()))
        every, truth = map(torch.cat, zip(*gather(said), strict=True))
        if not bool(torch.isfinite(every).all()):
            raise NotFinite("the network says NaN or infinity: its weights are of no use")
        loss = float(cross_entropy(every, truth))
        return Judgement(torch.softmax(every, 1).numpy(), truth.numpy().astype(np.int64), loss)
