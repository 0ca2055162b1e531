"""The schedule against every possible one, growth with depth by arithmetic, sizes as people write them."""

import math
from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residua.spec.memory import (
    MemorySchedule,
    Unit,
    cheapest_within,
    keep_everything,
    largest_fitting,
    list_units,
    smallest_peak,
)
from residua.spec.zoo import arch
from residua.spec.zoo.duta2020 import cifar_iresnet
from residua.spec.zoo.he2015 import cifar_resnet


def peak(every: list[Unit], segments: tuple[tuple[int, int], ...]) -> int:
    """Replays a step by hand: what lives when each stretch runs backward."""
    kept_bytes, worst, at = 0, 0, 0
    stretches: list[tuple[int, int, bool]] = []
    for start, stop in (*segments, (len(every), len(every))):
        if start > at:
            stretches.append((at, start, False))
        if stop > start:
            stretches.append((start, stop, True))
        at = stop
    for start, stop, twice in stretches:
        part = every[start:stop]
        inside = sum(u.inner for u in part) + sum(u.reads for u in part[1:] if u.keeps_read)
        passing = max(u.transient for u in part)
        first = part[0].reads if twice or part[0].keeps_read else 0
        worst = max(worst, kept_bytes + first + inside + passing)
        kept_bytes += first + (0 if twice else inside)
    return worst


def every_schedule(count: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """All ways to keep a tail of `count` units and to cut the rest into segments."""
    for whole in range(1, count + 1):
        rest = count - whole
        for marks in range(max(1, rest)):
            for cuts in combinations(range(1, rest), marks):
                edges = (0, *cuts, rest)
                yield tuple(pairwise(edges)) if rest else ()


UNIT = st.builds(
    Unit,
    reads=st.integers(1, 9),
    keeps_read=st.booleans(),
    inner=st.integers(0, 20),
    transient=st.integers(1, 9),
    macs=st.just(7),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(UNIT, min_size=1, max_size=7), st.integers(1, 150))
def test_no_schedule_that_keeps_a_tail_computes_less_twice(every: list[Unit], limit: int) -> None:
    shares = [
        s[-1][1] / len(every) if s else 0.0 for s in every_schedule(len(every)) if peak(every, s) <= limit
    ]
    schedule = cheapest_within(every, limit)
    assert (schedule is None) == (not shares)
    if schedule:
        assert schedule.recomputed_share == pytest.approx(min(shares))
        assert peak(every, schedule.segments) <= schedule.peak <= limit


def test_enough_memory_computes_nothing_twice() -> None:
    every = list_units(arch("cifar_resnet110"), batch=8)
    plain = keep_everything(every)
    assert cheapest_within(every, plain.peak) == MemorySchedule((), plain.peak, 0.0)
    tight = cheapest_within(every, plain.peak - 1)
    assert tight
    assert tight.recomputed_share > 0


def test_less_memory_computes_more_twice() -> None:
    every = list_units(arch("cifar_iresnet164"), batch=8)
    full, least = keep_everything(every).peak, smallest_peak(every)
    schedules = [cheapest_within(every, least.peak + (full - least.peak) * share // 8) for share in range(9)]
    shares = [one.recomputed_share for one in schedules if one]
    assert len(shares) == 9
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0 < shares[0]
    assert cheapest_within(every, int(least.peak * 0.99)) is None


@pytest.mark.parametrize("family", [cifar_resnet, cifar_iresnet])
def test_the_tightest_peak_grows_like_the_square_root_of_depth(family: object) -> None:
    depths = (110, 434, 1730) if family is cifar_resnet else (110, 434, 1001, 3002)
    sizes = [smallest_peak(list_units(family("x", depth=depth), batch=64)).peak for depth in depths]  # type: ignore[operator]
    slope = math.log(sizes[-1] / sizes[0]) / math.log(depths[-1] / depths[0])
    assert 0.3 < slope < 0.55
    whole = [keep_everything(list_units(family("x", depth=depth), batch=64)).peak for depth in depths]  # type: ignore[operator]
    assert math.log(whole[-1] / whole[0]) / math.log(depths[-1] / depths[0]) > 0.95


def test_maps_scale_with_the_batch_and_the_precision() -> None:
    one, four = (keep_everything(list_units(arch("cifar_resnet20"), batch=batch)).peak for batch in (1, 4))
    half = keep_everything(list_units(arch("cifar_resnet20"), batch=4, precision="bfloat16")).peak
    assert four == 4 * one == 2 * half


def test_the_largest_that_fits_is_found() -> None:
    assert [largest_fitting(20, lambda n, most=most: n <= most) for most in (0, 1, 13, 99)] == [0, 1, 13, 20]
