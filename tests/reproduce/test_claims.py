"""Claims: three outcomes, from intervals of seeds or images, over every pair of a conclusion."""

import re

import pytest
from scipy import stats

from residua.reproduce.claims import MeasuredValues, PairComparison, check_claim
from residua.reproduce.items import ITEMS
from residua.reproduce.listing import default_seeds
from residua.reproduce.published import Budget, Item, PaperClaim, falling, lowest


def comparison(worse: tuple[float, ...], better: tuple[float, ...], images: int = 0) -> PairComparison:
    return PairComparison(MeasuredValues("a", worse, images), MeasuredValues("b", better, images))


@pytest.mark.parametrize(
    ("worse", "better", "outcome"), [(9.0, 7.0, "seen"), (7.0, 9.0, "not seen"), (8.2, 8.0, "cannot tell")]
)
def test_one_run_is_measured_by_its_number_of_images(worse: float, better: float, outcome: str) -> None:
    pair = comparison((worse,), (better,), 10_000)
    assert pair.outcome == outcome
    assert pair.margin == pytest.approx(0.75, abs=0.05)  # 1.96 times the root of two times 8 * 92 / 10,000


def test_few_images_tell_less() -> None:
    assert comparison((25.27,), (13.74,), 364).outcome == "seen"
    assert comparison((25.27,), (22.0,), 364).outcome == "cannot tell"
    assert comparison((1.0,), (0.0,), 100).outcome == "cannot tell"


def test_seeds_are_measured_by_the_interval_of_welch() -> None:
    worse, better = (8.9, 9.3, 9.1), (8.5, 8.6, 8.0)
    pair = comparison(worse, better, 10_000)
    interval = stats.ttest_ind(worse, better, equal_var=False).confidence_interval(0.95)
    assert pair.difference - pair.margin == pytest.approx(interval.low)
    assert pair.difference + pair.margin == pytest.approx(interval.high)
    assert pair.outcome == "cannot tell" if interval.low <= 0 else "seen"


def test_values_that_never_change_are_told_apart() -> None:
    assert comparison((2.0, 2.0), (1.0, 1.0)).outcome == "seen"
    assert comparison((1.0, 1.0), (1.0, 1.0)).outcome == "cannot tell"


@pytest.mark.parametrize(("better", "outcome"), [(0.99, "cannot tell"), (0.8, "seen"), (1.2, "not seen")])
def test_responses_have_to_differ_by_a_tenth(better: float, outcome: str) -> None:
    assert comparison((1.0,), (better,)).outcome == outcome
    assert comparison((1.0, 1.0), (better, better)).outcome == outcome  # however little the seeds change


def test_one_run_beside_several_gets_their_spread() -> None:
    several, one = (9.0, 9.6, 8.4), (8.0,)
    margin = stats.t.ppf(0.975, 2) * 0.6 * (1 / 3 + 1) ** 0.5
    assert comparison(several, one, 10_000).margin == pytest.approx(margin)
    assert comparison(several, one, 10_000).outcome == "cannot tell"
    assert comparison((9.0,), one, 10_000).outcome == "seen"


def test_runs_that_see_the_same_images_are_no_more_images() -> None:
    alike = comparison((9.0, 9.001, 9.002), (8.4,), 10_000)
    assert alike.margin == pytest.approx(comparison((9.0,), (8.4,), 10_000).margin, rel=0.01)


def test_the_worst_of_many_pairs_needs_a_wider_interval() -> None:
    worse, better = MeasuredValues("a", (8.0,), 10_000), MeasuredValues("b", (8.9,), 10_000)
    assert PairComparison(worse, better).outcome == "not seen"
    assert PairComparison(worse, better, num_pairs=10).outcome == "cannot tell"


def test_a_network_that_diverged_is_worse_than_one_that_did_not() -> None:
    lost = MeasuredValues("deep", (float("inf"),) * 2, has_diverged=True)
    found = MeasuredValues("shallow", (9.0,), 10_000)
    assert PairComparison(lost, found).outcome == "seen"
    assert PairComparison(found, lost).outcome == "not seen"
    assert PairComparison(lost, lost).outcome == "cannot tell"
    text = str(PairComparison(lost, found))
    assert "deep diverged" in text
    assert "n = 1 and 2" in text


@pytest.mark.parametrize(
    ("baseline", "improved", "outcome"),
    [
        (90.0, 55.0, "seen"),
        (90.0, 89.0, "not seen"),
        (55.0, 50.0, "not seen"),
        (90.0, 59.5, "cannot tell"),
        (float("inf"), 55.0, "seen"),
    ],
)
def test_a_claim_with_a_limit_is_about_both_sides_of_it(
    baseline: float, improved: float, outcome: str
) -> None:
    claim = PaperClaim("one learns, the other does not", (("a", "b"),), limit=60.0)
    values = rows(a=baseline, b=improved)
    if baseline == float("inf"):
        values["a"] = MeasuredValues("a", (baseline,), has_diverged=True)
    result = check_claim(claim, values)
    assert result is not None
    assert result.outcome == outcome


def rows(**means: float) -> dict[str, MeasuredValues]:
    return {label: MeasuredValues(label, (mean,), 10_000) for label, mean in means.items()}


def test_one_row_against_the_paper_decides_a_conclusion_about_all() -> None:
    claim = PaperClaim("x is the best of all", lowest("x", "a", "b", "c"))
    result = check_claim(claim, rows(a=20, b=5, c=12.1, x=12))
    assert result is not None
    assert result.outcome == "not seen"
    assert re.search(r"^Not seen.*1 of 3.*b 5\.00", result.sentence)
    unsure = check_claim(claim, rows(a=20, b=30, c=12.1, x=12))
    assert unsure is not None
    assert unsure.outcome == "cannot tell"
    assert re.search(r"^Cannot tell.*2 of 3.*c 12\.10", unsure.sentence)


def test_a_sentence_quotes_the_pairs_that_contradict_most() -> None:
    rows = {f"net-{layers}": MeasuredValues(f"net-{layers}", (50.0 + layers,), 100) for layers in range(5)}
    result = check_claim(PaperClaim("deeper is better", falling(*rows)), rows)
    assert result
    assert re.search(r"in 10 \(.*?net-0 50\.00, net-4 54\.00", result.sentence)
    assert result.sentence.count("n = 1") == 3


def test_rows_that_were_not_measured_are_counted() -> None:
    claim = PaperClaim("it falls", falling("a", "b", "c"))
    result = check_claim(claim, rows(a=9, c=5))
    assert result is not None
    assert [(one.worse.label, one.better.label) for one in result.comparisons] == [("a", "c")]
    assert result.outcome == "seen"
    assert re.search("1 of .* 3 pairs", result.sentence)
    assert check_claim(claim, rows(b=3)) is None


@pytest.mark.parametrize("item", [item for item in ITEMS.values() if item.claims], ids=lambda item: item.name)
def test_the_printed_numbers_of_the_paper_agree_with_its_conclusions(item: Item) -> None:
    printed = {row.label: row.paper for row in item.rows if row.paper is not None}
    for claim in item.claims:
        for worse, better in claim.pairs:
            if claim.measure == "test_error" and worse in printed and better in printed:
                assert printed[worse] > printed[better], claim.says


def test_networks_that_take_minutes_are_trained_three_times() -> None:
    def seeds(budget: Budget) -> dict[str, int]:
        return default_seeds(ITEMS["he2015/fig6"], budget, small_images=True)

    assert set(seeds("smoke").values()) == {3}
    assert set(seeds("full").values()) == {1}
    assert seeds("small") == {
        "cifar_plain20": 3, "cifar_plain56": 1, "cifar_resnet20": 3, "cifar_resnet56": 1,
    }  # fmt: skip
