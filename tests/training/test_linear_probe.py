"""The linear probe: its head, its strength, its folds, and what it says of unusual classes."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from residua.errors import ConfigError, DataError
from residua.nn.network import build
from residua.training import linear_probe
from residua.training.frozen_features import FrozenFeatures, extract_features
from residua.training.linear_probe import fit_probe, install_head
from residua.training.prefetch import StopRequested
from small import PLAN, arch, colours

NAMES = ("ant", "bee", "cat")


def features(
    counts: tuple[int, ...] = (20, 20, 20),
    *,
    distance: float = 1.5,
    views: int = 2,
    width: int = 6,
    seed: int = 0,
    classes: tuple[str, ...] = NAMES,
    **changes: Any,
) -> FrozenFeatures:
    """Classes around points that are `distance` apart, with features on very different scales."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centres = rng.normal(size=(len(counts), width)) * distance
    values = centres[labels] + rng.normal(size=(len(labels), width))
    shown = values + 0.3 * rng.normal(size=(views, *values.shape))
    scaled = (shown * 10.0 ** (np.arange(width) % 4) / 100 + 3).astype(np.float32)
    hashes = rng.integers(0, 2**63, len(labels)).astype(np.uint64)
    return replace(FrozenFeatures(scaled, labels, classes, hashes, (), len(labels), 0.1), **changes)


def logits(probe: linear_probe.LinearProbe, values: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(values).double() @ probe.weight.double().T + probe.bias.double()


def test_network_and_head_give_the_logits_of_the_probe() -> None:
    torch.manual_seed(1)
    net, images = build(arch()), colours()
    some = extract_features(net, images.train, PLAN, views=3)
    probe = fit_probe(some)
    install_head(net, probe)
    assert images.train.pixels is not None
    pixels = torch.from_numpy(images.train.pixels).permute(0, 3, 1, 2)
    with torch.inference_mode():
        inputs = (pixels / 255 - 0.5) / 0.25
        np.testing.assert_allclose(net(inputs).numpy(), logits(probe, some.values[0]).numpy(), atol=1e-4)
        accuracy = float((net(inputs).argmax(1).numpy() == images.train.labels).mean())
    assert accuracy == 1


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("strength", [0.3, 30.0])
def test_the_head_is_the_minimum_of_the_penalised_loss(count: int, strength: float) -> None:
    some = features((20,) * count, distance=0.5, classes=NAMES[:count])
    probe = fit_probe(some, strengths=[strength])
    mean, deviation = some.values[0].mean(0).astype(float), some.values[0].std(0).astype(float)
    inputs, labels = ((some.values - mean) / deviation).reshape(-1, 6), np.tile(some.labels, 2)

    def objective(flat: NDArray[np.float64]) -> float:
        weight, bias = flat[: 6 * count].reshape(count, 6), flat[6 * count :]
        scores = inputs @ weight.T + bias
        loss = np.logaddexp.reduce(scores, 1) - scores[np.arange(len(labels)), labels]
        penalty = strength * (weight**2).sum() / 2
        return float(loss.sum() / 2 + (2 if count == 2 else 1) * penalty)

    # two classes have one row in scikit-learn: w/2 and -w/2 pay half of the penalty of w
    best = minimize(objective, np.zeros(7 * count), method="BFGS", options={"gtol": 1e-8}).x
    expected = best[: 6 * count].reshape(count, 6) / deviation
    np.testing.assert_allclose(probe.weight.numpy() * deviation, expected * deviation, atol=2e-3)


def test_noise_asks_for_a_stronger_penalty_than_clear_classes() -> None:
    clear = fit_probe(features((40, 40, 40), distance=4.0, width=4))
    noisy = fit_probe(features((12, 12, 12), distance=0.25, width=60, views=1))
    assert noisy.strength > clear.strength
    assert clear.accuracy is not None
    assert noisy.accuracy is not None
    assert clear.accuracy.value > 95 > noisy.accuracy.value
    low, high = clear.accuracy.interval
    assert low < clear.accuracy.value <= high
    assert clear.right.sum() == round(clear.accuracy.value * 1.2)
    assert f"{clear.accuracy.value:.1f} %" in str(clear)


def test_features_without_information_are_right_by_chance() -> None:
    probe = fit_probe(features((60, 60), distance=0.0, width=30, classes=NAMES[:2]))
    assert probe.accuracy is not None
    assert 30 < probe.accuracy.value < 70
    assert probe.neighbours is not None
    assert 30 < probe.neighbours.accuracy.value < 70


def test_copies_share_a_fold() -> None:
    some = features((30, 30), distance=0.0, width=40, classes=NAMES[:2])
    twice = np.concatenate([some.values, some.values], 1)
    labels = np.concatenate([some.labels, some.labels])
    hashes = np.concatenate([some.hashes, some.hashes[::-1]])
    doubled = replace(some, values=twice, labels=labels, hashes=hashes, total=120)
    pairs = tuple((i, i + 60) for i in range(60))
    leaked, honest = fit_probe(doubled), fit_probe(replace(doubled, copies=pairs))
    assert leaked.neighbours is not None
    assert honest.neighbours is not None
    assert leaked.neighbours.accuracy.value > 75
    assert honest.neighbours.accuracy.value < 70
    assert "120 images that look alike" in str(honest)


def test_unequal_classes_are_weighted_and_that_is_said() -> None:
    some = features((200, 8), distance=0.7, classes=NAMES[:2])
    probe = fit_probe(some)
    assert any("8 to 200 images weighted" in note for note in probe.notes)
    predicted = logits(probe, some.values[0]).argmax(1).numpy()
    assert (predicted[some.labels == 1] == 1).mean() > 0.7
    assert not any("weighted" in note for note in fit_probe(features((20, 24, 20))).notes)


def test_a_class_smaller_than_the_folds_is_held_out_image_by_image() -> None:
    probe = fit_probe(features((20, 20, 3), distance=4.0))
    assert probe.n == 43
    assert probe.right[-3:].all()


def test_a_class_with_one_image_is_never_held_out() -> None:
    probe = fit_probe(features((20, 20, 1), distance=4.0))
    assert probe.n == 40
    assert not probe.right[-1]
    assert any("one image" in note for note in probe.notes)


def test_one_image_a_class_gives_a_head_without_an_accuracy() -> None:
    some = features((1, 1, 1), distance=4.0, views=3)
    probe = fit_probe(some)
    assert probe.accuracy is None
    assert probe.neighbours is None
    assert probe.n == probe.folds == 0
    assert "not tested" in str(probe)
    assert logits(probe, some.values[0]).argmax(1).tolist() == [0, 1, 2]


def test_a_class_without_images_is_never_predicted() -> None:
    some = replace(features((20, 20, 20), distance=2.0), classes=("ant", "ape", "bee", "cat"))
    some = replace(some, labels=some.labels + (some.labels > 0))
    probe = fit_probe(some)
    shares = logits(probe, some.values[0]).softmax(1)
    assert float(shares[:, 1].max()) < 1e-8
    assert probe.weight.shape == (4, 6)
    assert any("1 class without images" in note for note in probe.notes)


def test_the_same_features_give_the_same_probe() -> None:
    one, two = fit_probe(features()), fit_probe(features())
    assert torch.equal(one.weight, two.weight)
    assert one.accuracy == two.accuracy
    with pytest.raises(FrozenInstanceError):
        one.strength = 1.0  # type: ignore[misc]


def test_constant_features_do_no_harm() -> None:
    some = features()
    values = np.concatenate([some.values, np.full((2, 60, 1), 7, np.float32)], 2)
    probe = fit_probe(replace(some, values=values))
    assert torch.isfinite(probe.weight).all()
    assert float(probe.weight[:, -1].abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"folds": 1}, "folds"), ({"strengths": ()}, "strengths"), ({"strengths": [0]}, "above")],
)
def test_settings_that_cannot_be_used_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        fit_probe(features(), **changes)


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="ant"):
        fit_probe(features((20,)))


def test_a_stop_is_heard() -> None:
    with pytest.raises(StopRequested):
        fit_probe(features(), stop=lambda: True)


def test_a_head_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="6 features"):
        install_head(build(arch()), fit_probe(features()))


def test_a_known_strength_gives_the_same_head_and_measures_nothing() -> None:
    measured = fit_probe(features())
    known = fit_probe(features(), strengths=(measured.strength,), is_measured=False)
    assert torch.equal(known.weight, measured.weight)
    assert torch.equal(known.bias, measured.bias)
    assert known.strength == measured.strength
    assert (known.accuracy, known.neighbours, known.n, known.notes) == (None, None, 0, ())
