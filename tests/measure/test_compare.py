"""Pairs of networks: exact tests against sums by hand, bootstrap against one that draws images."""

from math import comb

import numpy as np
import pytest

from residua.data.images import Images
from residua.errors import ConfigError
from residua.measure.compare import changed, compare_evaluations, holm
from residua.measure.evaluation import Evaluation, average


def labelled(labels: list[int], classes: int) -> Images:
    names = tuple(f"class {i}" for i in range(classes))
    return Images("val", names, np.array(labels), pixels=np.zeros((len(labels), 1, 1, 1), np.uint8))


def predictions(right: str, *, sure: float = 0.9) -> Evaluation:
    """Two classes, every label 0; `1` is a right prediction."""
    rows = [[sure, 1 - sure] if letter == "1" else [1 - sure, sure] for letter in right]
    return Evaluation.from_probabilities(np.array(rows, np.float32), labelled([0] * len(right), 2))


def test_counts_and_difference_are_of_the_second_minus_the_first() -> None:
    comparison = compare_evaluations(predictions("1110000"), predictions("1001110"))
    counts = (comparison.both, comparison.losses, comparison.wins, comparison.neither, comparison.n)
    assert counts == (1, 2, 3, 1, 7)
    assert comparison.difference.value == pytest.approx(100 / 7)


@pytest.mark.parametrize(("wins", "losses"), [(7, 1), (1, 7), (5, 5), (0, 9)])
def test_mcnemar_is_the_tail_of_a_fair_coin(wins: int, losses: int) -> None:
    n = wins + losses
    tail = sum(comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    comparison = compare_evaluations(
        predictions("0" * wins + "1" * losses + "1" * 20), predictions("1" * wins + "0" * losses + "1" * 20)
    )
    assert comparison.p == pytest.approx(min(1.0, 2 * tail))


def test_the_interval_is_that_of_drawing_images_in_pairs() -> None:
    chance = np.random.default_rng(1)
    one = "".join(chance.choice(["0", "1"], 400, p=[0.3, 0.7]))
    two = "".join(letter if keep else "1" for letter, keep in zip(one, chance.random(400) < 0.8, strict=True))
    first, second = (np.array([letter == "1" for letter in text], float) for text in (one, two))
    differences = []
    for _ in range(4000):
        places = chance.integers(0, 400, 400)
        differences.append(100 * (second[places] - first[places]).mean())
    low, high = compare_evaluations(predictions(one), predictions(two)).difference.interval
    assert (low, high) == pytest.approx(tuple(np.quantile(differences, (0.025, 0.975))), abs=0.5)


def test_a_network_beside_itself_differs_in_nothing() -> None:
    comparison = compare_evaluations(predictions("1101"), predictions("1101"))
    assert comparison.p == 1.0
    assert (comparison.difference.value, comparison.difference.interval) == (0.0, (0.0, 0.0))
    assert changed(predictions("1101"), predictions("1101")).tolist() == []


def test_images_that_changed_sides_come_first_and_the_surest_before_others() -> None:
    labels = labelled([0, 0, 0, 0], 3)
    one = Evaluation.from_probabilities(
        np.array([[0.1, 0.6, 0.3], [0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.0, 1.0, 0.0]], np.float32), labels
    )
    two = Evaluation.from_probabilities(
        np.array([[0.1, 0.3, 0.6], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.9, 0.1, 0.0]], np.float32), labels
    )
    assert changed(one, two).tolist() == [3, 1, 0]


def test_other_images_are_refused() -> None:
    other = Evaluation.from_probabilities(np.array([[0.9, 0.1]], np.float32), labelled([1], 2))
    for use in (
        lambda: compare_evaluations(predictions("1"), other),
        lambda: average([predictions("1"), other]),
    ):
        with pytest.raises(ConfigError, match="the same --data"):
            use()


def test_an_ensemble_averages_probabilities_not_predictions() -> None:
    joined = average([predictions("1", sure=0.6), predictions("1", sure=0.6), predictions("0", sure=0.95)])
    assert joined.probabilities[0].tolist() == pytest.approx([0.41666, 0.58333], abs=1e-4)
    assert joined.wrong == 1
    assert joined.loss == pytest.approx(-np.log(0.416667), rel=1e-4)


def test_holm_raises_the_smallest_most_and_keeps_the_order() -> None:
    # 0.01 x 3, 0.03 x 2, 0.04 x 1 but no less than the one before
    assert holm((0.04, 0.01, 0.03)) == pytest.approx((0.06, 0.03, 0.06))
    assert holm((0.9, 0.8)) == (1.0, 1.0)
