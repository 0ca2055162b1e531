"""Confident learning: the paper's definitions, counted one image at a time, and planted truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residua.measure.confident import Confidence, confidence


def predictions(seed: int, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (images, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities, draw.integers(0, classes, images)


def joint_by_hand(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Northcutt et al. 2021, equations 1 to 3, as loops."""
    classes = probabilities.shape[1]
    limits = [probabilities[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(classes)]
    counts = np.zeros((classes, classes))
    for row, label in zip(probabilities, labels, strict=True):
        above = [j for j in range(classes) if row[j] >= limits[j]]
        if above:
            counts[label, max(above, key=lambda j: row[j])] += 1
    joint = np.zeros_like(counts)
    for i in range(classes):
        if not counts[i].sum():
            counts[i, i] = 1
        joint[i] = counts[i] / counts[i].sum() * (labels == i).sum()
    return joint / joint.sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 6))
def test_the_joint_is_the_papers(seed: int, images: int, classes: int) -> None:
    probabilities, labels = predictions(seed, images, classes)
    estimate = confidence(probabilities, labels)
    np.testing.assert_allclose(estimate.joint, joint_by_hand(probabilities, labels), atol=1e-12)
    assert estimate.joint.sum() == pytest.approx(1)
    np.testing.assert_allclose(estimate.joint.sum(1), np.bincount(labels, minlength=classes) / images)
    assert ((estimate.score >= 0) & (estimate.score <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 80), st.integers(2, 5))
def test_a_suspect_is_contradicted_and_no_more_are_named_than_expected(
    seed: int, images: int, classes: int
) -> None:
    probabilities, labels = predictions(seed, images, classes)
    estimate = confidence(probabilities, labels)
    for i in np.flatnonzero(estimate.is_label_issue):
        to = estimate.suggested[i]
        assert to != labels[i]
        assert probabilities[i, to] >= estimate.thresholds[to]
        assert probabilities[i, labels[i]] < probabilities[i].max()
        assert estimate.score[i] == probabilities[i, labels[i]]
    for i, j in np.argwhere(~np.eye(classes, dtype=bool)):
        named = (estimate.is_label_issue & (labels == i) & (estimate.suggested == j)).sum()
        assert named <= round(estimate.joint[i, j] * images)


def planted(share: float) -> tuple[Confidence, np.ndarray, np.ndarray]:
    """A good predictor, and labels of which a share is flipped to the next class."""
    draw = np.random.default_rng(3)
    truth = draw.integers(0, 4, 2000)
    logits = draw.normal(0, 1, (2000, 4)) + 6 * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flipped = draw.random(2000) < share
    labels = np.where(flipped, (truth + 1) % 4, truth)
    return confidence(probabilities, labels), flipped, truth


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_planted_flips_are_found_and_their_share_is_estimated(share: float) -> None:
    estimate, flipped, truth = planted(share)
    assert estimate.wrong_share == pytest.approx(flipped.mean(), abs=0.03)
    assert estimate.wrong_by_class() == pytest.approx(np.full(4, share), abs=0.05)
    assert (estimate.is_label_issue & flipped).sum() > 0.75 * flipped.sum()
    assert (estimate.is_label_issue & ~flipped).sum() < 0.05 * flipped.sum() + 1
    right = estimate.suggested[estimate.is_label_issue & flipped] == truth[estimate.is_label_issue & flipped]
    assert right.all()
    assert estimate.score[flipped].mean() < 0.1 < 0.8 < estimate.score[~flipped].mean()


def test_labels_that_agree_raise_no_alarm() -> None:
    estimate, _, _ = planted(0.0)
    assert estimate.wrong_share < 0.005
    assert estimate.is_label_issue.sum() <= 10


def test_a_class_without_images_is_no_trouble() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    estimate = confidence(probabilities, np.array([0, 1, 0]))
    assert estimate.thresholds[2] == np.inf
    assert estimate.joint[2].sum() == 0
    assert estimate.wrong_by_class()[2] == 0


def test_nothing_to_judge_is_refused() -> None:
    with pytest.raises(ValueError, match="one image or more"):
        confidence(np.zeros((0, 3)), np.zeros(0, np.int64))
