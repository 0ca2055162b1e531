"""Freed memory stays with the process inside `retain_freed_memory`, and is released afterwards."""

import pytest
import torch

from command import python, succeeded
from residua.nn import malloc

pytestmark = pytest.mark.skipif(malloc._glibc("mallopt") is None, reason="only glibc has mallopt")
RETAINED = """
from contextlib import nullcontext
import torch
from residua.nn import malloc

torch.ones(1 << 20)  # what the first tensor loads stays

def retained(size):
    malloc.release_free_memory()
    before = malloc.resident_bytes()
    torch.ones(size << 18)
    return (malloc.resident_bytes() - before) / (size << 20)
"""
"""The share of `size` MiB that stays after a tensor of that size was made, filled and freed. It runs in a new
process, because what other tests hold and free decides what can be released."""


def printed(text: str) -> list[float]:
    return [float(word) for word in succeeded(python("-c", RETAINED + text)).split()]


@pytest.mark.parametrize(
    ("inside", "size", "stays"),
    [
        ("nullcontext()", 64, False),
        ("malloc.retain_freed_memory()", 64, True),
        ("malloc.retain_freed_memory()", 16, True),
        ("malloc.retain_freed_memory(large=False)", 64, False),
        ("malloc.retain_freed_memory(large=False)", 16, True),
    ],
    ids=["outside", "large", "small", "large ones excepted", "small, large ones excepted"],
)
def test_freed_memory_stays_for_the_next_tensor(inside: str, size: int, stays: bool) -> None:
    (share,) = printed(f"with {inside}: print(retained({size}))")
    assert share > 0.9 if stays else share < 0.1


def test_all_of_it_is_released_at_the_end() -> None:
    inside, after, next_time = printed(
        "before = malloc.resident_bytes()\n"
        "with malloc.retain_freed_memory(): print(retained(64))\n"
        "print((malloc.resident_bytes() - before) / (64 << 20), retained(64))"
    )
    assert inside > 0.8
    assert after < 0.2
    assert next_time < 0.2


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "_glibc", lambda name: None)
    with malloc.retain_freed_memory():
        torch.ones(4)
