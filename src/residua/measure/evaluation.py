"""Evaluation: the class probabilities of a labelled split, and every number that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from residua.data.images import Images
from residua.errors import ConfigError, NonFiniteError
from residua.measure import calibration, resample
from residua.measure.score import Estimate, Score, wilson


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The predictions of one network, or of several averaged, for a labelled split under one protocol."""

    probabilities: NDArray[np.float32]
    """(N, classes), in the order of the split; rows sum to 1."""
    split: Images
    """The N labelled images or clips; a label is an index into the network's classes."""
    loss: float
    """Mean cross-entropy, in nats."""
    network: str = ""
    """The run or file of the network, as the user gave it; empty while a run trains."""
    weights: str = "raw"
    """Which weights: `raw`, `ema` or `best`, and of how many networks together."""
    protocol: str = "center"
    """How each example is shown: a name in `measure.views.VIEWS`."""
    clip: str = ""
    """Of videos: which frames were shown together, at which rate, in how many views; empty for images."""

    @classmethod
    def from_probabilities(cls, probabilities: NDArray[np.float32], split: Images) -> "Evaluation":
        """The evaluation of `probabilities` (N, classes), with the loss computed from them."""
        return cls(probabilities, split, calibration.loss(probabilities, split.labels))

    @classmethod
    def from_logits(cls, logits: Tensor, labels: Tensor, split: Images) -> "Evaluation":
        """The evaluation of `logits` (N, classes) float32, with their cross-entropy as the loss.

        Args:
            logits: Outputs of the network, on the CPU, in the order of the split.
            labels: (N,) int64, those of the split.
            split: The labelled examples.

        Raises:
            NonFiniteError: A logit is NaN or infinite.
        """
        check_finite(logits)
        return cls(torch.softmax(logits, 1).numpy(), split, float(cross_entropy(logits, labels)))

    def __repr__(self) -> str:
        owner, n = f"{self.network}, " if self.network else "", len(self.labels)
        error = f"{100 * self.wrong / n:.2f} % wrong" if n else "empty"
        size = f"n = {n:,} of {self.split.name}"
        return f"Evaluation({owner}{self.protocol}: {error}, loss {self.loss:.3f}, {size})"

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) the class of each example."""
        return self.split.labels

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the class with the highest probability."""
        classes: NDArray[np.int64] = self.probabilities.argmax(1).astype(np.int64)
        return classes

    @property
    def wrong(self) -> int:
        """Number of examples whose predicted class is not their label."""
        return int((self.predicted != self.labels).sum())

    def row(self) -> dict[str, float]:
        """Loss and error as the metrics of a run name them."""
        return {"test_loss": self.loss, "test_error": 100 * self.wrong / len(self.labels)}

    @cached_property
    def score(self) -> Score:
        """Top-1 accuracy with its protocol, and the other numbers that the same predictions give."""
        n = len(self.labels)
        right = n - self.wrong
        losses = calibration.losses(self.probabilities, self.labels)
        return Score(
            self.protocol,
            100 * right / n,
            wilson(right, n),
            n,
            self.split.name,
            self.weights,
            self._top(5),
            self._mean_over_classes(),
            Estimate(self.loss, resample.mean(losses)),
            calibration.reliability(self.probabilities, self.labels).ece,
            self.clip,
        )

    def accuracy_by_class(self) -> tuple[Estimate | None, ...]:
        """Top-1 accuracy of each class, in percent, with Wilson's interval; None without images."""
        counts = self.confusion()
        rows = zip(np.diag(counts).tolist(), counts.sum(1).tolist(), strict=True)
        return tuple(Estimate(100 * right / n, wilson(right, n)) if n else None for right, n in rows)

    def most_confident_mistakes(self, count: int) -> NDArray[np.int64]:
        """Indices of at most `count` mistakes, the highest probability first."""
        mistakes = np.flatnonzero(self.predicted != self.labels)
        confidence = self.probabilities[mistakes].max(1)
        return mistakes[np.argsort(-confidence, kind="stable")][:count].astype(np.int64)

    def least_likely_labels(self, count: int) -> NDArray[np.int64]:
        """Indices of the `count` examples whose label has the lowest probability, the lowest first."""
        of_label = self.probabilities[np.arange(len(self.labels)), self.labels]
        return np.argsort(of_label, kind="stable")[:count].astype(np.int64)

    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes) counts: rows are labels, columns predicted classes."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.labels * classes + self.predicted, minlength=classes**2).reshape(
            classes, classes
        )

    def _top(self, k: int) -> Estimate | None:
        n, classes = self.probabilities.shape
        if classes <= k:
            return None
        likeliest = np.argpartition(-self.probabilities, k - 1, 1)[:, :k]
        right = int((likeliest == self.labels[:, None]).any(1).sum())
        return Estimate(100 * right / n, wilson(right, n))

    def _mean_over_classes(self) -> Estimate:
        counts = self.confusion()
        present = counts.sum(1) > 0
        right, totals = np.diag(counts)[present], counts.sum(1)[present]
        low, high = resample.mean_of_shares(right, totals)
        return Estimate(float(100 * (right / totals).mean()), (100 * low, 100 * high))


def average(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of an ensemble: the mean of the probabilities of its members.

    Args:
        evaluations: One for each member, on the same examples with classes in the same order.

    Returns:
        An evaluation that names all members.

    Raises:
        ConfigError: The members were evaluated on different labels.
    """
    first = evaluations[0]
    if not all(np.array_equal(first.labels, other.labels) for other in evaluations[1:]):
        raise ConfigError("the networks were evaluated on different examples: give all the same --data")
    mean = sum(one.probabilities.astype(np.float64) for one in evaluations) / len(evaluations)
    return replace(
        Evaluation.from_probabilities(np.asarray(mean, np.float32), first.split),
        network=" + ".join(one.network for one in evaluations),
        weights=f"{first.weights}, mean of {len(evaluations)} networks",
        protocol=first.protocol,
        clip=first.clip,
    )


def match_examples(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """`evaluations` with the class order of the first, so that they can be compared example by example.

    Raises:
        ConfigError: The networks have different classes, or were evaluated on different examples.
    """
    first = evaluations[0]
    return [_in_class_order(one, first) for one in evaluations]


def check_finite(logits: Tensor) -> None:
    """NonFiniteError when a logit is NaN or infinite: its argmax would pass for a prediction."""
    if not bool(torch.isfinite(logits).all()):
        raise NonFiniteError("the network computes NaN or infinity: its weights cannot be used")


def _in_class_order(evaluation: Evaluation, first: Evaluation) -> Evaluation:
    split, classes = evaluation.split, first.split.classes
    if set(split.classes) != set(classes):
        raise ConfigError(
            f"{evaluation.network} has other classes than {first.network}: "
            "compare networks with the same classes"
        )
    order = np.array([split.classes.index(name) for name in classes])
    labels = np.argsort(order)[split.labels]
    is_same = len(labels) == len(first.split) and np.array_equal(labels, first.split.labels)
    if not is_same or _end_titles(split) != _end_titles(first.split):
        raise ConfigError(
            f"{evaluation.network} was evaluated on other {split.media_type.noun}s than "
            f"{first.network}: give --data"
        )
    return replace(evaluation, probabilities=evaluation.probabilities[:, order], split=first.split)


def _end_titles(split: Images) -> tuple[str, ...]:
    """Titles of the first and the last example, which tell apart two splits of the same size."""
    return tuple(split.title(i) for i in (0, len(split) - 1))
