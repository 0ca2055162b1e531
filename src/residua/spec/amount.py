"""Large numbers as people write them: 25.6 M, 4.09 G."""

import re

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def amount(number: int) -> str:
    """`number` in three digits: `25.6 M`; whole below a thousand."""
    unit, size = [pair for pair in UNITS.items() if pair[1] <= max(1, number)][-1]
    scaled = number / size
    digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f"{scaled:.{digits}f} {unit}" if unit else str(number)


def number(text: str) -> int:
    """`30M` as 30,000,000; ValueError unless it is a number above 0 with k, M, G, T or nothing behind it."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)", text.strip())
    value = round(float(found[1]) * UNITS[found[2]]) if found else 0
    if value < 1:
        raise ValueError(f"{text!r} is no amount: give a number above 0 such as 30M or 5G")
    return value
