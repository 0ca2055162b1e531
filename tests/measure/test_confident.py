"""Confident learning: the paper's definitions, counted one image at a time, and planted truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residua.measure.confident import Confidence, confidence


def predictions(seed: int, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (images, classes))
    said = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return said, draw.integers(0, classes, images)


def joint_by_hand(said: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Northcutt et al. 2021, equations 1 to 3, as loops."""
    classes = said.shape[1]
    limits = [said[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(classes)]
    counts = np.zeros((classes, classes))
    for row, label in zip(said, labels, strict=True):
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
    said, labels = predictions(seed, images, classes)
    found = confidence(said, labels)
    np.testing.assert_allclose(found.joint, joint_by_hand(said, labels), atol=1e-12)
    assert found.joint.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.joint.sum(1), np.bincount(labels, minlength=classes) / images)
    assert ((found.score >= 0) & (found.score <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 80), st.integers(2, 5))
def test_a_suspect_is_contradicted_and_no_more_are_named_than_expected(
    seed: int, images: int, classes: int
) -> None:
    said, labels = predictions(seed, images, classes)
    found = confidence(said, labels)
    for i in np.flatnonzero(found.is_label_issue):
        to = found.suggested[i]
        assert to != labels[i]
        assert said[i, to] >= found.thresholds[to]
        assert said[i, labels[i]] < said[i].max()
        assert found.score[i] == said[i, labels[i]]
    for i, j in np.argwhere(~np.eye(classes, dtype=bool)):
        named = (found.is_label_issue & (labels == i) & (found.suggested == j)).sum()
        assert named <= round(found.joint[i, j] * images)


def planted(share: float) -> tuple[Confidence, np.ndarray, np.ndarray]:
    """A good predictor, and labels of which a share is flipped to the next class."""
    draw = np.random.default_rng(3)
    truth = draw.integers(0, 4, 2000)
    logits = draw.normal(0, 1, (2000, 4)) + 6 * np.eye(4)[truth]
    said = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flipped = draw.random(2000) < share
    labels = np.where(flipped, (truth + 1) % 4, truth)
    return confidence(said, labels), flipped, truth


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_planted_flips_are_found_and_their_share_is_estimated(share: float) -> None:
    found, flipped, truth = planted(share)
    assert found.wrong_share == pytest.approx(flipped.mean(), abs=0.03)
    assert found.wrong_by_class() == pytest.approx(np.full(4, share), abs=0.05)
    assert (found.is_label_issue & flipped).sum() > 0.75 * flipped.sum()
    assert (found.is_label_issue & ~flipped).sum() < 0.05 * flipped.sum() + 1
    right = found.suggested[found.is_label_issue & flipped] == truth[found.is_label_issue & flipped]
    assert right.all()
    assert found.score[flipped].mean() < 0.1 < 0.8 < found.score[~flipped].mean()


def test_labels_that_agree_raise_no_alarm() -> None:
    found, _, _ = planted(0.0)
    assert found.wrong_share < 0.005
    assert found.is_label_issue.sum() <= 10


def test_a_class_without_images_is_no_trouble() -> None:
    said = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    found = confidence(said, np.array([0, 1, 0]))
    assert found.thresholds[2] == np.inf
    assert found.joint[2].sum() == 0
    assert found.wrong_by_class()[2] == 0


def test_nothing_to_judge_is_refused() -> None:
    with pytest.raises(ValueError, match="give one image or more"):
        confidence(np.zeros((0, 3)), np.zeros(0, np.int64))
