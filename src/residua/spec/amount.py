"""Numbers in text: with a noun (1 image, 2 images), large ones (25.6 M), sizes of memory (3.40 GiB)."""

import re

from residua.errors import ConfigError

DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BINARY = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def quantity(number: float, noun: str) -> str:
    """`number` with its noun in singular or plural.

    Args:
        number: How many; thousands are separated by commas.
        noun: What is counted, in the singular; words before the noun stay as they are.

    Returns:
        E.g. `1 image`, `2,000 broken images`, `0 classes`, `3 boxes`, `2 entries`.
    """
    return f"{number:,} {plural(number, noun)}"


def plural(number: float, noun: str) -> str:
    """`noun` as it is written behind `number`: in the singular for 1, else in the plural."""
    if number == 1:
        return noun
    if noun.endswith(("s", "x", "nch", "tch", "sh")):  # `branches`, but `epochs`
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def format_count(number: int) -> str:
    """`number` with three digits, e.g. `25.6 M`; whole below a thousand."""
    unit, size = [pair for pair in DECIMAL.items() if pair[1] <= max(1, number)][-1]
    scaled = number / size
    digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f"{scaled:.{digits}f} {unit}" if unit else str(number)


def parse_count(text: str) -> int:
    """The number that `text` stands for: 30,000,000 for `30M`.

    Raises:
        ConfigError: `text` is no number above 0, optionally followed by k, M, G or T.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)", text.strip())
    number = round(float(match[1]) * DECIMAL[match[2]]) if match else 0
    if number < 1:
        raise ConfigError(f"{text!r} is no number: give one above 0 such as 30M or 5G")
    return number


def format_bytes(size: float) -> str:
    """`size` bytes, e.g. `3.40 GiB`."""
    return f"{size / BINARY['G']:.2f} GiB" if size >= BINARY["G"] else f"{size / BINARY['M']:.0f} MiB"


def parse_bytes(text: str) -> int:
    """The bytes that `text` stands for: `4GiB`, `500M` or `123456`; K, M, G and T are powers of 1024.

    Raises:
        ConfigError: `text` is no such size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * BINARY[match[2].upper()]) if match else 0
    if not size:
        raise ConfigError(f"{text!r} is no size of memory: give one such as 4GiB or 800MiB")
    return size
