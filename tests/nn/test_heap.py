"""Freed memory stays with the process while that is asked for, and goes back afterwards."""

import resource
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from residua.nn import heap

MIB = 1 << 20
pytestmark = pytest.mark.skipif(heap._glibc("mallopt") is None, reason="only glibc can be told")


def faults_of_the_third(size: int) -> int:
    """Page faults of making a map of `size` bytes that was made and freed twice before."""
    before = 0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(size // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


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
def test_what_was_freed_costs_no_page_fault(
    inside: AbstractContextManager[None], size: int, stays: bool
) -> None:
    with inside:
        found = faults_of_the_third(size)
    pages = size // 4096
    assert found < pages // 100 if stays else found > pages // 2


def test_all_goes_back_at_the_end() -> None:
    heap.give_back()
    before = heap.resident()
    with heap.kept():
        torch.ones(64 * MIB)
        assert heap.resident() - before > 200 * MIB
    assert heap.resident() - before < 50 * MIB
    assert faults_of_the_third(64 * MIB) > 8 * MIB // 4096


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_glibc", lambda name: None)
    with heap.kept():
        torch.ones(4)
