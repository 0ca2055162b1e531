"""Confident learning: the paper's definitions, counted one image at a time, and planted truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residua.measure.confident import Confidence, confidence, round_rows


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
def test_an_issue_is_contradicted_and_no_more_are_named_than_expected(
    seed: int, images: int, classes: int
) -> None:
    probabilities, labels = predictions(seed, images, classes)
    estimate = confidence(probabilities, labels)
    for i in np.flatnonzero(estimate.is_label_issue):
        assert estimate.suggested[i] == probabilities[i].argmax() != labels[i]
        assert estimate.score[i] == probabilities[i, labels[i]]
    expected = round_rows(estimate.joint * images, np.bincount(labels, minlength=classes))
    for i in np.unique(labels):
        named = estimate.is_label_issue & (labels == i)
        assert named.sum() <= (labels == i).sum() - max(1, expected[i, i])


@pytest.mark.parametrize(
    ("classes", "strength", "share"), [(2, 2, 0.2), (4, 6, 0.1), (10, 2, 0.3), (10, 3, 0.05)]
)
def test_issues_are_those_of_cleanlab_by_both_prunings(classes: int, strength: float, share: float) -> None:
    cleanlab = pytest.importorskip("cleanlab", reason="cleanlab is not installed")
    draw = np.random.default_rng(classes)
    truth = draw.integers(0, classes, 1500)
    logits = draw.normal(0, 1, (1500, classes)) + strength * np.eye(classes)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(draw.random(1500) < share, (truth + draw.integers(1, classes, 1500)) % classes, truth)
    ours = confidence(probabilities, labels)

    def theirs(**how: object) -> np.ndarray:
        return cleanlab.filter.find_label_issues(labels, probabilities, n_jobs=1, **how)

    # joint: equal remainders are rounded in another order there, so that single images differ
    counts = round_rows(ours.joint * 1500, np.bincount(labels, minlength=classes))
    assert np.abs(cleanlab.count.compute_confident_joint(labels, probabilities) - counts).max() <= 1
    assert (ours.is_label_issue == theirs(filter_by="both", confident_joint=counts)).all()
    assert ours.is_label_issue.any()
    above = np.where(probabilities >= ours.thresholds, probabilities, -1.0)
    off_diagonal = (above.max(1) >= 0) & (above.argmax(1) != labels) & (ours.suggested != labels)
    assert (off_diagonal == theirs(filter_by="confident_learning")).all()


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_both_prunings_find_more_flips_than_the_off_diagonals_and_are_right_as_often(share: float) -> None:
    draw = np.random.default_rng(3)
    truth = draw.integers(0, 10, 5000)
    logits = draw.normal(0, 1, (5000, 10)) + 3 * np.eye(10)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flipped = draw.random(5000) < share
    labels = np.where(flipped, (truth + draw.integers(1, 10, 5000)) % 10, truth)
    ours = confidence(probabilities, labels)
    above = np.where(probabilities >= ours.thresholds, probabilities, -1.0)
    off_diagonal = (above.max(1) >= 0) & (above.argmax(1) != labels) & (ours.suggested != labels)
    found, before = ours.is_label_issue & flipped, off_diagonal & flipped
    assert found.sum() > 1.25 * before.sum()
    assert found.sum() / ours.is_label_issue.sum() > before.sum() / off_diagonal.sum() - 0.01


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


def test_a_class_that_no_prediction_is_sure_of_counts_as_right() -> None:
    """Its three images have one probability, and rounding puts the mean of the three above it."""
    rows = [[0.9, 0.1, 0.0]] * 2 + [[0.1, 0.9, 0.0]] * 2 + [[0.45, 0.45, 0.1]] * 3
    learned = confidence(np.array(rows), np.array([0, 0, 1, 1, 2, 2, 2]))
    assert learned.thresholds[2] > 0.1
    assert learned.joint[2].tolist() == [0, 0, 3 / 7]
