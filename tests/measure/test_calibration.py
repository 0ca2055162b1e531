"""Calibration against loops and against a network whose temperature is known."""

import numpy as np
import pytest

from residua.measure import resample
from residua.measure.calibration import BINS, expected_error, loss, reliability, rescale, temperature


def overconfident(count: int, *, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, 5) that are `sharpness` times too sure, and labels drawn from the true ones."""
    chance = np.random.default_rng(seed)
    logits = 2 * chance.normal(size=(count, 5))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([chance.choice(5, p=row) for row in true])
    sharp = np.exp(sharpness * logits)
    return (sharp / sharp.sum(1, keepdims=True)).astype(np.float32), labels


def slow_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Guo et al. 2017, equation 3, bin by bin and image by image."""
    total = 0.0
    for place in range(BINS):
        confidences, hits = [], []
        for row, label in zip(probabilities, labels, strict=True):
            sure = float(row.max())
            if place / BINS <= sure < (place + 1) / BINS or (place == BINS - 1 and sure == 1):
                confidences.append(sure)
                hits.append(row.argmax() == label)
        if hits:
            total += len(hits) / len(labels) * abs(np.mean(confidences) - np.mean(hits))
    return 100 * total


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_error_equals_a_loop_over_bins(sharpness: float) -> None:
    probabilities, labels = overconfident(500, sharpness=sharpness)
    assert expected_error(probabilities, labels) == pytest.approx(slow_error(probabilities, labels), abs=1e-6)
    assert reliability(probabilities, labels).ece.value == pytest.approx(slow_error(probabilities, labels))


def test_bins_hold_every_image_once_and_average_to_the_accuracy() -> None:
    probabilities, labels = overconfident(500, sharpness=2.0)
    diagram = reliability(probabilities, labels)
    right = (probabilities.argmax(1) == labels).mean()
    assert sum(diagram.count) == 500
    assert np.average(diagram.accuracy, weights=diagram.count) == pytest.approx(100 * right)
    low, high = diagram.ece.interval
    assert low < diagram.ece.value < high


def test_a_certain_prediction_is_in_the_last_bin() -> None:
    diagram = reliability(np.array([[1, 0], [0.02, 0.98]], np.float32), np.array([0, 0]))
    assert (diagram.count, diagram.accuracy) == ((2,), (50.0,))


def test_samples_that_chance_makes_larger_are_moved_down_by_twice_their_excess() -> None:
    low, high = resample.biased_statistic(lambda sample: 10.5 if len(np.unique(sample)) < 50 else 10.0, 50)
    assert (low, high) == (9.5, 10.0)


@pytest.mark.parametrize(
    ("sharpness", "count", "true"), [(1.0, 400, 0.22), (1.3, 400, 6.63), (2.0, 60, 15.79)]
)
def test_the_interval_of_the_error_contains_it_and_the_true_error(
    sharpness: float, count: int, true: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`true`: on 200,000 images. Percentiles of the resamples cover it in 0, 14 and 13 of 20 draws."""
    monkeypatch.setattr(resample, "TIMES", 300)
    hits = []
    for seed in range(12):
        ece = reliability(*overconfident(count, sharpness=sharpness, seed=seed)).ece
        low, high = ece.interval
        assert 0 <= low <= ece.value <= high
        hits.append(low <= true <= high)
    assert sum(hits) >= 10


def test_the_interval_contains_an_error_that_every_resample_exceeds() -> None:
    """Two images in a bin, one right, sure 50 %: no resample of them has a smaller error."""
    sure = np.full((40, 2), 0.5, np.float32) + np.array([[1e-4, -1e-4]], np.float32)
    low, high = reliability(sure, np.arange(40) % 2).ece.interval
    assert low <= reliability(sure, np.arange(40) % 2).ece.value <= high


def test_the_error_of_a_calibrated_network_may_be_none_at_all() -> None:
    ece = reliability(*overconfident(400, sharpness=1.0)).ece
    assert ece.interval[0] == 0 < ece.value
    assert reliability(*overconfident(400, sharpness=3.0)).ece.interval[0] > 3


@pytest.mark.parametrize("sharpness", [0.5, 2.0])
def test_the_temperature_undoes_what_made_it_too_sure_or_not_sure_enough(sharpness: float) -> None:
    probabilities, labels = overconfident(6000, sharpness=sharpness)
    fitted = temperature(probabilities, labels)
    assert fitted is not None
    assert fitted.value == pytest.approx(sharpness, rel=0.1)
    assert fitted.n == 3000
    assert fitted.loss_after < fitted.loss_before
    assert fitted.ece_after < fitted.ece_before / 2


def test_a_temperature_changes_no_answer_and_one_changes_nothing() -> None:
    probabilities, _ = overconfident(200, sharpness=1.0)
    assert (rescale(probabilities, 3.0).argmax(1) == probabilities.argmax(1)).all()
    np.testing.assert_allclose(rescale(probabilities, 1.0), probabilities, atol=1e-6)


def test_certainty_that_float32_cannot_hold_is_no_infinite_loss() -> None:
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.isfinite(loss(probabilities, np.array([1, 1])))
    assert temperature(probabilities[:1], np.array([0])) is None
