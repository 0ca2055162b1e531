"""Numbers with nouns, large numbers and sizes of memory, read and written."""

import re
from pathlib import Path

import pytest

import residua
from residua.errors import ConfigError
from residua.spec.amount import format_bytes, format_count, parse_bytes, parse_count, quantity


def test_a_noun_follows_its_number() -> None:
    assert quantity(1, "image") == "1 image"
    assert quantity(2000, "broken image") == "2,000 broken images"
    texts = [
        quantity(0, noun) for noun in ("class", "box", "batch", "entry", "day", "video", "epoch", "branch")
    ]
    assert texts[:6] == ["0 classes", "0 boxes", "0 batches", "0 entries", "0 days", "0 videos"]
    assert texts[6:] == ["0 epochs", "0 branches"]


def test_no_message_makes_a_plural_of_its_own() -> None:
    own = re.compile(r"""['"]s['"] \*|\{['"]s['"] if|else ['"](s|es|classes|boxes)['"]""")
    files = Path(residua.__file__).parent.rglob("*.py")
    assert [path.name for path in files if own.search(path.read_text())] == []


@pytest.mark.parametrize(
    ("text", "value"), [("30M", 30_000_000), ("4.1G", 4_100_000_000), ("12 k", 12_000), ("7", 7)]
)
def test_numbers_are_read(text: str, value: int) -> None:
    assert parse_count(text) == value


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
def test_numbers_are_written_with_three_digits(value: int, text: str) -> None:
    assert format_count(value) == text


@pytest.mark.parametrize("text", ["", "thirty", "-5G", "5 x", "0", "0.1"])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no number"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "size"), [("4GiB", 4 << 30), ("500M", 500 << 20), ("1.5 GB", 3 << 29), ("123456", 123456)]
)
def test_sizes_of_memory_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "0", "-1GiB", "4XiB", "4 Gib/s"])
def test_text_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="size of memory"):
        parse_bytes(text)


def test_sizes_of_memory_are_written() -> None:
    assert (format_bytes(3 << 29), format_bytes(5 << 20)) == ("1.50 GiB", "5 MiB")
