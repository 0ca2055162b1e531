"""Intervals against numbers worked out by hand."""

import pytest

from residua.measure.score import Score, wilson


def test_eight_of_ten_is_between_49_and_94_percent() -> None:
    # z^2 = 3.841459; middle (0.8 + 0.19207) / 1.384146, half 1.959964 / 1.384146 * sqrt(0.016 + 0.0096036)
    assert wilson(8, 10) == pytest.approx((49.0162, 94.3318), abs=1e-3)


@pytest.mark.parametrize(("count", "open_side"), [(10, 27.7533), (100, 3.6994)])
def test_none_and_all_reach_the_edge_on_one_side_only(count: int, open_side: float) -> None:
    # z^2 / (n + z^2), the other bound where none or all are right
    assert wilson(0, count) == pytest.approx((0, open_side), abs=1e-3)
    assert wilson(count, count) == pytest.approx((100 - open_side, 100), abs=1e-3)


def test_a_quarter_of_the_images_doubles_the_interval() -> None:
    low, high = wilson(5000, 10_000)
    wide_low, wide_high = wilson(1250, 2500)
    assert (wide_high - wide_low) / (high - low) == pytest.approx(2, rel=1e-3)
    assert high - low == pytest.approx(1.96, abs=1e-2)


def test_the_error_is_what_is_left() -> None:
    assert Score("center", 93.5, (90.0, 96.0), 200, "val", "raw").error == 6.5
