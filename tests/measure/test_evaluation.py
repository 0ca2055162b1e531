"""What an evaluation counts, and what its score says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from residua.data.images import Images
from residua.errors import ConfigError, NonFiniteError
from residua.measure.evaluate import evaluate
from residua.measure.evaluation import Evaluation, match_examples
from residua.measure.score import wilson
from residua.measure.views import SingleView
from residua.nn.network import Network, build
from residua.predict.classifier import Classifier
from residua.spec.recipe import Plan
from residua.training.processes.world import SINGLE_PROCESS
from residua.training.validate import validate
from small import PLAN, arch, colours, never


def labelled(labels: list[int], classes: int) -> Images:
    names = tuple(f"class {i}" for i in range(classes))
    return Images("val", names, np.array(labels), pixels=np.zeros((len(labels), 1, 1, 1), np.uint8))


def evaluation() -> Evaluation:
    rows = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6]]
    return Evaluation(np.array(rows, np.float32), labelled([0, 1, 1, 2, 0], 3), 0.5)


def network() -> Network:
    torch.manual_seed(0)
    return build(arch())


def evaluated(network: Network, protocol: SingleView, plan: Plan = PLAN) -> Evaluation:
    return evaluate(Classifier(network.eval(), plan), colours().test, protocol)


def test_rows_of_the_confusion_are_labels_and_columns_predictions() -> None:
    assert evaluation().confusion().tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_a_class_without_predictions_and_images_keeps_its_row_and_column() -> None:
    predictions = Evaluation(np.array([[0.9, 0.1, 0.0, 0.0]], np.float32), labelled([1], 4), 0.5)
    assert predictions.confusion().shape == (4, 4)
    assert predictions.confusion().sum() == predictions.confusion()[1, 0] == 1


def test_a_score_says_what_it_counted() -> None:
    score = evaluation().score
    assert score.top1 == pytest.approx(60)
    assert (score.n, score.split, score.weights, score.views) == (5, "val", "raw", "center")
    assert score.interval == wilson(3, 5)
    assert evaluation().wrong == 2


@pytest.mark.parametrize("size", [1, 3, 4, 10, 50])
@pytest.mark.parametrize("resident", [0, 1 << 20], ids=["files", "memory"])
def test_every_image_counts_once_whatever_the_batch(size: int, resident: int) -> None:
    images = colours().test
    predictions = evaluated(network(), SingleView(size, resident_bytes=resident))
    assert predictions.labels.tolist() == images.labels.tolist()
    assert len(predictions.labels) == 10
    whole = evaluated(network(), SingleView(10))
    np.testing.assert_allclose(predictions.probabilities, whole.probabilities, atol=1e-6)
    assert predictions.loss == pytest.approx(whole.loss, rel=1e-5)


def test_probabilities_and_loss_are_those_of_the_logits() -> None:
    images, reference = colours().test, network().eval()
    predictions = evaluated(network(), SingleView(4))
    assert images.pixels is not None
    pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        shares = torch.softmax(reference((pixels - 0.5) / 0.25), 1).numpy()
    np.testing.assert_allclose(predictions.probabilities, shares, atol=1e-5)
    np.testing.assert_allclose(predictions.probabilities.sum(1), 1, atol=1e-6)
    assert predictions.loss == pytest.approx(-np.log(shares[np.arange(10), images.labels]).mean(), rel=1e-4)


def test_validation_leaves_the_network_in_eval_mode_and_unchanged() -> None:
    training = network().train()
    before = {name: value.clone() for name, value in training.state_dict().items()}
    predictor = Classifier(training, PLAN)
    validate(predictor, colours().test, SingleView(4), world=SINGLE_PROCESS, stop=never)
    assert not training.training
    assert all(torch.equal(value, before[name]) for name, value in training.state_dict().items())


@pytest.mark.parametrize(
    "plan", [replace(PLAN, precision="bfloat16"), replace(PLAN, memory_format="channels_last")]
)
def test_the_plan_changes_probabilities_little(plan: Plan) -> None:
    one, other = (evaluated(network(), SingleView(4), how) for how in (plan, PLAN))
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=0.02)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_computes_nan_is_refused(value: float) -> None:
    broken = network()
    bias: Tensor = broken.state_dict()["head.linear1.bias"]
    bias[1] = value
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        evaluated(broken, SingleView(4))


def many(seed: int = 0) -> Evaluation:
    """300 predictions of eight classes of unequal size, class 7 without images."""
    chance = np.random.default_rng(seed)
    labels = chance.choice(7, 300, p=[0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02])
    logits = chance.normal(size=(300, 8)) + 1.5 * np.eye(8)[labels]
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Evaluation.from_probabilities(rows.astype(np.float32), labelled(labels.tolist(), 8))


def test_top_five_counts_labels_among_the_five_likeliest() -> None:
    predictions = many()
    hits = [
        label in np.argsort(-row)[:5]
        for row, label in zip(predictions.probabilities, predictions.labels, strict=True)
    ]
    score = predictions.score
    assert score.top5 is not None
    assert score.top5.value == pytest.approx(100 * np.mean(hits))
    assert score.top5.interval == wilson(sum(hits), 300)
    assert evaluation().score.top5 is None  # three classes: it says nothing


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_five_classes_have_no_top_five() -> None:
    rows = np.full((2, 5), 0.2, np.float32)
    assert Evaluation(rows, labelled([0, 4], 5), 0.0).score.top5 is None


def test_networks_with_classes_in_another_order_are_compared_by_name() -> None:
    first, moved = evaluation(), [2, 0, 1]
    names = tuple(first.split.classes[place] for place in moved)
    split = replace(first.split, classes=names, labels=np.argsort(moved)[first.labels])
    other = Evaluation(first.probabilities[:, moved], split, 0.5, network="other")
    assert other.confusion().trace() == first.confusion().trace()
    _, matched = match_examples([first, other])
    assert np.array_equal(matched.probabilities, first.probabilities)
    assert matched.split is first.split
    relabelled = replace(other, split=replace(split, labels=split.labels[::-1].copy()))
    with pytest.raises(ConfigError, match="evaluated on other"):
        match_examples([first, relabelled])


def test_the_mean_over_classes_is_scikit_learns_balanced_accuracy() -> None:
    from sklearn.metrics import balanced_accuracy_score

    predictions = many()
    macro = predictions.score.macro
    assert macro is not None
    assert macro.value == pytest.approx(
        100 * balanced_accuracy_score(predictions.labels, predictions.predicted)
    )
    assert macro.interval[0] < macro.value < macro.interval[1]


def test_each_class_has_its_interval_and_one_without_images_has_none() -> None:
    *known, last = many().accuracy_by_class()
    assert last is None
    widths = [one.interval[1] - one.interval[0] for one in known if one]
    assert widths[-1] > 2 * widths[0]  # 2 % of the images against 40 %


def test_intervals_of_means_are_those_of_the_normal_law() -> None:
    predictions = many()
    losses = -np.log(predictions.probabilities[np.arange(300), predictions.labels].astype(float))
    half = 1.96 * losses.std() / 300**0.5
    loss = predictions.score.loss
    assert loss is not None
    assert loss.value == pytest.approx(losses.mean(), rel=1e-5)
    reach = loss.value - loss.interval[0], loss.interval[1] - loss.value
    assert reach == pytest.approx((half, half), rel=0.1)  # the ends of 1,000 resamples vary by a few percent


def test_the_most_confident_mistakes_and_the_least_likely_labels_come_first() -> None:
    predictions = evaluation()
    assert predictions.most_confident_mistakes(5).tolist() == [4, 2]
    assert predictions.least_likely_labels(2).tolist() == [4, 2]
