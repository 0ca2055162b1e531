"""Freed memory stays with the process while that is asked for, and goes back afterwards."""

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from residua.nn import heap

MIB = 1 << 20
pytestmark = pytest.mark.skipif(heap._glibc("mallopt") is None, reason="only glibc can be told")


def held_after(size: int) -> int:
    """Bytes that the process holds more after a map of `size` bytes was made, filled and freed."""
    heap.give_back()
    before = heap.resident()
    torch.ones(size // 4)
    return heap.resident() - before


@pytest.mark.parametrize(
    ("inside", "size", "stays"),
    [
        (nullcontext(), 64 * MIB, False),
        (heap.kept(), 64 * MIB, True),
        (heap.kept(), 16 * MIB, True),
        (heap.kept(large=False), 64 * MIB, False),
        (heap.kept(large=False), 16 * MIB, True),
    ],
    ids=["outside", "kept", "kept, small", "large ones go", "small ones stay"],
)
def test_what_was_freed_stays_for_the_next_map(
    inside: AbstractContextManager[None], size: int, stays: bool
) -> None:
    with inside:
        held = held_after(size)
    assert held > 0.9 * size if stays else held < 0.1 * size


def test_all_goes_back_at_the_end() -> None:
    heap.give_back()
    before = heap.resident()
    with heap.kept():
        assert held_after(64 * MIB) > 50 * MIB
    assert heap.resident() - before < 10 * MIB
    assert held_after(64 * MIB) < 10 * MIB


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_glibc", lambda name: None)
    with heap.kept():
        torch.ones(4)
