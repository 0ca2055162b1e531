"""Places, by the measured speed; whoever is refused learns when to come again."""

from contextlib import ExitStack

import pytest

from residua.serve.admission import Admission
from residua.serve.limits import Limits
from residua.serve.problems import Refusal
from residua.serve.speed import BatchTimes, Speed


def admission(rate: float, **limits: float) -> Admission:
    return Admission(Limits(**limits), Speed(rate, threads=2), batch=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rate", "places"), [(0.1, 1 + 4), (16, 6 + 4), (1e6, 256 + 4)])
def test_there_are_as_many_places_as_are_computed_in_the_longest_wait(rate: float, places: int) -> None:
    assert admission(rate).places == places


def test_a_fixed_queue_has_its_own_number_of_places() -> None:
    assert admission(16, queue=3).places == 3 + 4


def test_slow_decoding_takes_places_away() -> None:
    gate = admission(1000)
    before = gate.places
    for _ in range(50):
        gate.speed.decoded(0.5)
    assert gate.places < before
    assert gate.speed.rate == pytest.approx(4, rel=0.1)


def test_the_first_request_beyond_the_places_is_refused_until_one_is_free() -> None:
    gate = admission(10, queue=1)
    with ExitStack() as places:
        for _ in range(4):
            places.enter_context(gate.place())
        with gate.place():
            with pytest.raises(Refusal) as refusal, gate.place():
                pass
            assert refusal.value.status == 429
            assert refusal.value.headers == {"Retry-After": "1"}
        with gate.place():
            pass


def test_retry_after_is_the_work_that_waits_by_the_measured_speed_rounded_up() -> None:
    gate = admission(10, queue=1)
    with ExitStack() as places:
        for _ in range(5):
            gate.widen(places.enter_context(gate.place()), 5)
        with pytest.raises(Refusal) as refusal:
            gate.check()
        assert refusal.value.headers == {"Retry-After": "3"}  # 25 images at 10 a second


def test_a_request_of_many_leaves_places_for_single_ones() -> None:
    gate = admission(100, images=1000)
    with gate.place() as many, gate.place() as single:
        gate.widen(many, 400)
        gate.widen(single, 1)


def test_more_images_than_are_computed_in_time_are_refused() -> None:
    gate = admission(10)
    with gate.place() as one, gate.place() as other:
        with pytest.raises(Refusal) as refusal:
            gate.widen(one, 51)
        assert refusal.value.status == 413
        gate.widen(one, 40)
        with pytest.raises(Refusal) as refusal:
            gate.widen(other, 40)
        assert refusal.value.status == 429


def test_the_speed_of_batches_is_that_of_the_largest() -> None:
    assert BatchTimes((1, 2, 4), (0.1, 0.15, 0.25)).images_per_second == pytest.approx(16)


def test_pixels_are_limited_for_all_requests_together_until_their_places_are_free() -> None:
    gate = admission(10, pixels=100)
    with gate.place() as first, gate.place() as second:
        gate.hold(first, 60)
        with pytest.raises(Refusal, match="fill the memory") as refusal:
            gate.hold(second, 41)
        assert (refusal.value.status, refusal.value.reason) == (429, "pixels")
        assert "Retry-After" in refusal.value.headers
        gate.hold(second, 40)
    with gate.place() as alone:
        with pytest.raises(Refusal, match=r"101 pixels.*at most 100") as refusal:
            gate.hold(alone, 101)
        assert (refusal.value.status, refusal.value.reason) == (413, "too many pixels")
        gate.hold(alone, 100)
