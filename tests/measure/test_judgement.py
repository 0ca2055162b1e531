"""What is judged, and how it is counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from residua.data.batches import testing as batches_of
from residua.errors import NonFiniteError
from residua.measure.evaluate import Judgement, evaluate
from residua.measure.score import wilson
from residua.nn.network import Network, build
from residua.spec.recipe import Plan
from small import PIXELS, PLAN, arch, colours


def judgement() -> Judgement:
    rows = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6]]
    return Judgement(np.array(rows, np.float32), np.array([0, 1, 1, 2, 0]), 0.5)


def network() -> Network:
    torch.manual_seed(0)
    return build(arch())


def test_rows_of_the_confusion_are_labels_and_columns_guesses() -> None:
    assert judgement().confusion().tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_a_class_that_nobody_guesses_and_nobody_has_keeps_its_row_and_column() -> None:
    found = Judgement(np.array([[0.9, 0.1, 0.0, 0.0]], np.float32), np.array([1]), 0.5)
    assert found.confusion().shape == (4, 4)
    assert found.confusion().sum() == found.confusion()[1, 0] == 1


def test_a_score_says_what_it_counted() -> None:
    score = judgement().score(split="val", weights="raw")
    assert score.top1 == pytest.approx(60)
    assert (score.n, score.split, score.weights, score.views) == (5, "val", "raw", "center")
    assert score.interval == wilson(3, 5)
    assert judgement().wrong == 2


@pytest.mark.parametrize("size", [1, 3, 4, 10, 50])
@pytest.mark.parametrize("resident", [0, 1 << 20], ids=["files", "memory"])
def test_every_image_counts_once_whatever_the_batch(size: int, resident: int) -> None:
    images = colours().test
    found = evaluate(
        network(), batches_of(images, PIXELS, batch=size, workers=0, resident_bytes=resident), PLAN
    )
    assert found.labels.tolist() == images.labels.tolist()
    assert len(found.labels) == 10
    whole = evaluate(network(), batches_of(images, PIXELS, batch=10, workers=0, resident_bytes=0), PLAN)
    np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=1e-6)
    assert found.loss == pytest.approx(whole.loss, rel=1e-5)


def test_probabilities_and_loss_are_those_of_the_logits() -> None:
    images, twin = colours().test, network().eval()
    found = evaluate(network(), batches_of(images, PIXELS, batch=4, workers=0, resident_bytes=0), PLAN)
    assert images.pixels is not None
    pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        shares = torch.softmax(twin((pixels - 0.5) / 0.25), 1).numpy()
    np.testing.assert_allclose(found.probabilities, shares, atol=1e-5)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)
    assert found.loss == pytest.approx(-np.log(shares[np.arange(10), images.labels]).mean(), rel=1e-4)


def test_a_network_is_judged_in_eval_mode_and_left_unchanged() -> None:
    judged = network().train()
    before = {name: value.clone() for name, value in judged.state_dict().items()}
    evaluate(judged, batches_of(colours().test, PIXELS, batch=4, workers=0, resident_bytes=0), PLAN)
    assert not judged.training
    assert all(torch.equal(value, before[name]) for name, value in judged.state_dict().items())


@pytest.mark.parametrize(
    "plan", [replace(PLAN, precision="bfloat16"), replace(PLAN, memory_format="channels_last")]
)
def test_the_plan_changes_probabilities_little(plan: Plan) -> None:
    images = colours().test

    def judged(how: Plan) -> Judgement:
        return evaluate(network(), batches_of(images, PIXELS, batch=4, workers=0, resident_bytes=0), how)

    np.testing.assert_allclose(judged(plan).probabilities, judged(PLAN).probabilities, atol=0.02)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_says_no_number_is_refused(value: float) -> None:
    broken = network()
    bias: Tensor = broken.state_dict()["head.linear1.bias"]
    bias[1] = value
    batches = batches_of(colours().test, PIXELS, batch=4, workers=0, resident_bytes=0)
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        evaluate(broken, batches, PLAN)


def many(seed: int = 0) -> Judgement:
    """300 answers about eight classes of unequal size, class 7 without images."""
    chance = np.random.default_rng(seed)
    labels = chance.choice(7, 300, p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02])
    logits = chance.normal(size=(300, 8)) + 1.5 * np.eye(8)[labels]
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Judgement.of(rows.astype(np.float32), labels)


def test_top_five_counts_labels_among_the_five_likeliest() -> None:
    found = many()
    hits = [
        label in np.argsort(-row)[:5] for row, label in zip(found.probabilities, found.labels, strict=True)
    ]
    score = found.score(split="val", weights="raw")
    assert score.top5 is not None
    assert score.top5.value == pytest.approx(100 * np.mean(hits))
    assert score.top5.interval == wilson(sum(hits), 300)
    assert judgement().score(split="val", weights="raw").top5 is None  # three classes: it says nothing


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_the_mean_over_classes_is_scikit_learns_balanced_accuracy() -> None:
    from sklearn.metrics import balanced_accuracy_score

    found = many()
    macro = found.score(split="val", weights="raw").macro
    assert macro is not None
    assert macro.value == pytest.approx(100 * balanced_accuracy_score(found.labels, found.guesses))
    assert macro.interval[0] < macro.value < macro.interval[1]


def test_each_class_has_its_interval_and_one_without_images_has_none() -> None:
    *known, last = many().by_class()
    assert last is None
    widths = [one.interval[1] - one.interval[0] for one in known if one]
    assert widths[-1] > 2 * widths[0]  # 2 % of the images against 40 %


def test_intervals_of_means_are_those_of_the_normal_law() -> None:
    found = many()
    losses = -np.log(found.probabilities[np.arange(300), found.labels].astype(float))
    half = 1.96 * losses.std() / 300**0.5
    loss = found.score(split="val", weights="raw").loss
    assert loss is not None
    assert loss.value == pytest.approx(losses.mean(), rel=1e-5)
    assert loss.interval == pytest.approx((loss.value - half, loss.value + half), rel=0.05)


def test_the_surest_mistakes_and_the_most_surprising_images_come_first() -> None:
    found = judgement()
    assert found.surest_mistakes(5).tolist() == [4, 2]
    assert found.most_surprising(2).tolist() == [4, 2]
