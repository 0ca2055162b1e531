"""Large numbers, read and written as people write them."""

import pytest

from residua.spec.amount import amount, number


@pytest.mark.parametrize(
    ("text", "value"), [("30M", 30_000_000), ("4.1G", 4_100_000_000), ("12 k", 12_000), ("7", 7)]
)
def test_amounts_are_read_as_people_write_them(text: str, value: int) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (269_722, "270 k"),
        (9_996_000, "10.0 M"),
        (25_557_032, "25.6 M"),
        (4_089_184_256, "4.09 G"),
        (2 * 10**12, "2.00 T"),
    ],
)
def test_amounts_are_written_in_three_digits(value: int, text: str) -> None:
    assert amount(value) == text


@pytest.mark.parametrize("text", ["", "thirty", "-5G", "5 x", "0", "0.1"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no amount: give a number above 0 such as 30M or 5G"):
        number(text)
