"""Confident learning: which labels a network contradicts, from predictions on images it did not train on.

Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Confidence:
    """Which of N labels are probably wrong, from N predictions of K classes."""

    thresholds: Floats
    """(K,) mean probability of a class over the images labelled so (t_j); infinite without any."""
    joint: Floats
    """(K, K) estimated share of images labelled i (rows) that are j; sums to 1."""
    is_label_issue: NDArray[np.bool_]
    """(N,) images that are confidently of another class, as many of each pair as `joint` expects."""
    suggested: NDArray[np.int64]
    """(N,) the class each image would have: the likeliest of those above their threshold, else of all."""
    score: Floats
    """(N,) from 0, surely wrong, to 1, surely right: the probability of the label (self-confidence)."""

    @property
    def wrong_share(self) -> float:
        """Estimated share of wrong labels, from 0 to 1."""
        return float(1 - np.trace(self.joint))

    def wrong_by_class(self) -> Floats:
        """(K,) estimated share of wrong ones among the labels of each class; 0 without images."""
        rows = self.joint.sum(1)
        shares: Floats = np.divide(rows - np.diag(self.joint), rows, out=np.zeros(len(rows)), where=rows > 0)
        return shares


def confidence(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Confidence:
    """Find labels that are probably wrong.

    Args:
        probabilities: (N, K), by networks that were not trained on the images.
        labels: (N,) the labels in question.

    Returns:
        Estimates for each label, each class and each pair of classes.

    Raises:
        ValueError: There is no image, or fewer than two classes.
    """
    if not len(labels) or probabilities.shape[1] < 2:
        raise ValueError(f"probabilities are {probabilities.shape}: give one image or more, of 2 classes")
    values = np.asarray(probabilities, np.float64)
    places, classes = np.arange(len(labels)), values.shape[1]
    sums = np.zeros(classes)
    np.add.at(sums, labels, values[places, labels])
    counts = np.bincount(labels, minlength=classes)
    thresholds = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    above = np.where(values >= thresholds, values, -1.0)
    sure = above.max(1) >= 0
    likeliest = np.where(sure, above.argmax(1), values.argmax(1))
    joint = _joint(labels[sure], likeliest[sure], counts)
    others = values.copy()
    others[places, labels] = -1.0
    margin = values[places, labels] - others.max(1)
    contradicted = sure & (likeliest != labels)
    expected = np.rint(joint * len(labels)).astype(np.int64)
    is_label_issue = _most_contradicted(contradicted, labels, likeliest, margin, expected)
    return Confidence(thresholds, joint, is_label_issue, likeliest.astype(np.int64), values[places, labels])


def _joint(labels: NDArray[np.int64], predicted: NDArray[np.int64], counts: NDArray[np.int64]) -> Floats:
    """The confident joint, each row scaled to the `counts` (K,) of labels, all to 1 (equations 1 and 3)."""
    classes = len(counts)
    pairs = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    pairs = pairs.astype(np.float64)
    silent = pairs.sum(1) == 0
    pairs[silent, silent] = 1.0  # a class without confident predictions counts as correctly labelled
    calibrated: Floats = pairs / pairs.sum(1, keepdims=True) * counts[:, None]
    calibrated /= calibrated.sum()
    return calibrated


def _most_contradicted(
    contradicted: NDArray[np.bool_],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    margin: Floats,
    expected: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Of the `contradicted` (N,) of each pair of classes, the `expected` (K, K) number, least margin first.

    That is pruning by both the off-diagonals and the noise rate of the paper's section 3.2.
    """
    is_issue = np.zeros(len(labels), bool)
    places = np.flatnonzero(contradicted)
    places = places[np.argsort(margin[places], kind="stable")]
    pairs = labels[places] * len(expected) + predicted[places]
    for pair in np.unique(pairs):
        members = places[pairs == pair]
        is_issue[members[: expected.flat[pair]]] = True
    is_issue &= margin < 0  # no prediction contradicts a label that is still the likeliest
    return is_issue
