"""Freed memory stays with the process while that is asked for, and goes back afterwards."""

import pytest
import torch

from command import python, succeeded
from residua.nn import malloc

pytestmark = pytest.mark.skipif(malloc._glibc("mallopt") is None, reason="only glibc can be told")
HELD = """
from contextlib import nullcontext
import torch
from residua.nn import heap

def held(size):
    heap.give_back()
    before = heap.resident()
    torch.ones(size << 18)
    return (heap.resident() - before) / (size << 20)
"""
"""The share of `size` MiB that stays after a map of so many was made, filled and freed. It is asked of a new
process, because what other tests hold and free decides what the heap can give back."""


def said(text: str) -> list[float]:
    return [float(word) for word in succeeded(python("-c", HELD + text)).split()]


@pytest.mark.parametrize(
    ("inside", "size", "stays"),
    [
        ("nullcontext()", 64, False),
        ("heap.kept()", 64, True),
        ("heap.kept()", 16, True),
        ("heap.kept(large=False)", 64, False),
        ("heap.kept(large=False)", 16, True),
    ],
    ids=["outside", "kept", "kept, small", "large ones go", "small ones stay"],
)
def test_what_was_freed_stays_for_the_next_map(inside: str, size: int, stays: bool) -> None:
    (share,) = said(f"with {inside}: print(held({size}))")
    assert share > 0.9 if stays else share < 0.1


def test_all_goes_back_at_the_end() -> None:
    inside, after, next_time = said(
        "before = heap.resident()\n"
        "with heap.kept(): print(held(64))\n"
        "print((heap.resident() - before) / (64 << 20), held(64))"
    )
    assert inside > 0.8
    assert after < 0.2
    assert next_time < 0.2


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "_glibc", lambda name: None)
    with malloc.kept():
        torch.ones(4)
