"""Run a network over images and judge what it says."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.data.batches import Batch
from residua.data.resident import moved
from residua.data.transforms import normalise
from residua.errors import NonFiniteError
from residua.measure import calibration, resample
from residua.measure.score import Estimate, Score, wilson
from residua.nn.clips import layout
from residua.nn.network import Network
from residua.spec.recipe import Plan

Said = tuple[Tensor, Tensor]
"""Logits (n, classes) float32 and labels (n,) int64 of one batch, on the CPU."""


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

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> "Judgement":
        """The judgement that `probabilities` (N, classes) make, with the loss that they say."""
        return cls(probabilities, labels, calibration.loss(probabilities, labels))

    def row(self) -> dict[str, float]:
        """Loss and error as the metrics of a run name them."""
        return {"test_loss": self.loss, "test_error": 100 * self.wrong / len(self.labels)}

    def score(self, *, split: str, weights: str, views: str = "center") -> Score:
        """Top-1 accuracy with its protocol, and the other numbers that these answers give."""
        n = len(self.labels)
        right = n - self.wrong
        losses = calibration.losses(self.probabilities, self.labels)
        return Score(
            views,
            100 * right / n,
            wilson(right, n),
            n,
            split,
            weights,
            self._top(5),
            self._macro(),
            Estimate(self.loss, resample.mean(losses)),
            calibration.reliability(self.probabilities, self.labels).ece,
        )

    def _top(self, k: int) -> Estimate | None:
        n, classes = self.probabilities.shape
        if classes <= k:
            return None
        likeliest = np.argpartition(-self.probabilities, k - 1, 1)[:, :k]
        right = int((likeliest == self.labels[:, None]).any(1).sum())
        return Estimate(100 * right / n, wilson(right, n))

    def _macro(self) -> Estimate:
        counts = self.confusion()
        present = counts.sum(1) > 0
        right, totals = np.diag(counts)[present], counts.sum(1)[present]
        low, high = resample.mean_of_shares(right, totals)
        return Estimate(float(100 * (right / totals).mean()), (100 * low, 100 * high))

    def by_class(self) -> tuple[Estimate | None, ...]:
        """Top-1 accuracy of each class, in percent, with Wilson's interval; None for one without images."""
        counts = self.confusion()
        rows = zip(np.diag(counts).tolist(), counts.sum(1).tolist(), strict=True)
        return tuple(Estimate(100 * right / n, wilson(right, n)) if n else None for right, n in rows)

    def surest_mistakes(self, most: int) -> NDArray[np.int64]:
        """Places of the images missed with the greatest confidence, the surest first."""
        missed = np.flatnonzero(self.guesses != self.labels)
        sure = self.probabilities[missed].max(1)
        return missed[np.argsort(-sure, kind="stable")][:most].astype(np.int64)

    def most_surprising(self, most: int) -> NDArray[np.int64]:
        """Places of the images whose own label was given the least probability, the least first."""
        of_label = self.probabilities[np.arange(len(self.labels)), self.labels]
        return np.argsort(of_label, kind="stable")[:most].astype(np.int64)

    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes) counts: rows are labels, columns guesses."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.labels * classes + self.guesses, minlength=classes**2).reshape(
            classes, classes
        )


def together(judgements: Sequence[Judgement]) -> Judgement:
    """What several networks say as one: their probabilities averaged, each with equal weight.

    ValueError unless all judged the same labels in the same order.
    """
    first = judgements[0]
    if not all(np.array_equal(first.labels, other.labels) for other in judgements[1:]):
        raise ValueError("the networks judged other images: give all of them the same --data")
    mean = sum(judged.probabilities.astype(np.float64) for judged in judgements) / len(judgements)
    return Judgement.of(np.asarray(mean, np.float32), first.labels)


def in_a_row(parts: Sequence[Judgement]) -> Judgement:
    """What a network said of the parts of a set, as what it said of the set."""
    counts = [len(part.labels) for part in parts]
    loss = sum(count * part.loss for count, part in zip(counts, parts, strict=True)) / sum(counts)
    probabilities, labels = ([getattr(part, name) for part in parts] for name in ("probabilities", "labels"))
    return Judgement(np.concatenate(probabilities), np.concatenate(labels), loss)


def evaluate(
    network: Network,
    batches: Iterable[Batch],
    plan: Plan,
    *,
    gather: Callable[[list[Said]], list[Said]] = list,
) -> Judgement:
    """Judge `network`, which is left in eval mode, over `batches` in the plan's format and precision.

    Where processes share the work, `gather` puts what they said of their batches in the set's order.

    NonFiniteError when it says anything that is not a number: the argmax of such a row would pass for an answer.
    """
    device = torch.device(plan.device)
    network.eval()
    said = []
    with torch.inference_mode():
        for batch in batches:
            images = normalise(moved(batch.images, device), network.preprocess)
            images = images.contiguous(memory_format=layout(plan.memory_format, images.ndim))
            with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
                said.append((network(images).float(), batch.labels))
        own = [(logits.cpu(), labels) for logits, labels in said]  # an accelerator is waited for here alone
        every, truth = map(torch.cat, zip(*gather(own), strict=True))
        if not bool(torch.isfinite(every).all()):
            raise NonFiniteError("the network says NaN or infinity: its weights are of no use")
        loss = float(cross_entropy(every, truth))
        return Judgement(torch.softmax(every, 1).numpy(), truth.numpy().astype(np.int64), loss)
