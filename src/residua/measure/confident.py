"""Confident learning: which labels a network contradicts, from predictions on images it did not train on.

Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels". Labels are
pruned by class and by noise rate, and those that both name are issues: cleanlab's `filter_by="both"`.
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
    """(N,) labels that both prunings of the paper name; never one that is still the likeliest class."""
    suggested: NDArray[np.int64]
    """(N,) the likeliest class of each image."""
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
    joint = _joint(labels[sure], above.argmax(1)[sure], counts)
    own, likeliest = values[places, labels], values.argmax(1).astype(np.int64)
    expected = round_rows(joint * len(labels), counts)
    is_contradicted = own < values[places, likeliest]
    is_label_issue = is_contradicted & _prune_by_class(own, labels, expected)
    is_label_issue &= _prune_by_noise_rate(values, labels, expected)
    return Confidence(thresholds, joint, is_label_issue, likeliest, own)


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


def round_rows(expected: Floats, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round numbers of images so that each row keeps its sum.

    Args:
        expected: (K, K) numbers of images by label and class.
        counts: (K,) images of each label.

    Returns:
        (K, K) whole numbers; row i sums to `counts[i]`.
    """
    rounded = np.rint(expected).astype(np.int64)
    for row, missing in enumerate((counts - rounded.sum(1)).tolist()):
        step = 1 if missing > 0 else -1
        remainders = step * (rounded[row] - expected[row])
        rounded[row, np.argsort(remainders, kind="stable")[: abs(missing)]] += step
    return rounded


def _prune_by_class(own: Floats, labels: NDArray[np.int64], expected: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each class the labels with the least probability, as many as `expected` (K, K) are of others.

    At least one label of a class stays.
    """
    is_pruned = np.zeros(len(labels), bool)
    for label, row in enumerate(expected):
        members = np.flatnonzero(labels == label)
        count = len(members) - max(1, int(row[label]))
        if count > 0:
            is_pruned[members[np.argsort(own[members], kind="stable")[:count]]] = True
    return is_pruned


def _prune_by_noise_rate(
    values: Floats, labels: NDArray[np.int64], expected: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Of each pair of classes the `expected` (K, K) number of labels, the least margin to the other first."""
    is_pruned = np.zeros(len(labels), bool)
    for label, row in enumerate(expected):
        members = np.flatnonzero(labels == label)
        for other in np.flatnonzero(row).tolist():
            if other != label:
                margins = values[members, label] - values[members, other]
                is_pruned[members[np.argsort(margins, kind="stable")[: row[other]]]] = True
    return is_pruned
