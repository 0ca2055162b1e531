"""Which sizes of batch are computed: measured when the server starts."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from residua.errors import NonFiniteError
from residua.serve import speed
from residua.serve.speed import measure_batches


class Clocked:
    """A model whose batches take the seconds that a function says, on a clock of its own."""

    sizes = (1, 2, 4, 8, 16, 32)

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds, self.now = seconds, 0.0

    def probe(self) -> str:
        return "probe"

    def compute(self, inputs: Sequence[Any]) -> Sequence[Any]:
        self.now += self.seconds(len(inputs))
        return inputs

    def monotonic(self) -> float:
        return self.now


def sizes(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> tuple[int, ...]:
    model = Clocked(seconds)
    monkeypatch.setattr(speed, "time", model)
    times = measure_batches(model)  # type: ignore[arg-type]
    assert times.seconds == pytest.approx([seconds(size) for size in times.sizes])
    return times.sizes


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda size: 0.001 * size, (1, 2, 4, 8, 16, 32)),
        (lambda size: 0.02 + 0.06 * size, (1, 2, 4)),
        (lambda size: 4.0 * size, (1,)),
        (lambda size: 0.001 * size**2 if size > 4 else 0.001 * size, (1, 2, 4)),
    ],
    ids=["fast", "a batch may take 0.3 s", "slow", "large batches are slower"],
)
def test_sizes_are_computed_as_long_as_they_help(
    monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float], expected: tuple[int, ...]
) -> None:
    assert sizes(monkeypatch, seconds) == expected


def test_one_slow_moment_of_the_machine_leaves_no_size_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def seconds(size: int) -> float:
        calls.append(size)
        return 1.0 if calls.count(2) == 2 and size == 2 and len(calls) < 6 else 0.001 * size

    model = Clocked(seconds)
    monkeypatch.setattr(speed, "time", model)
    assert measure_batches(model).sizes == (1, 2, 4, 8, 16, 32)  # type: ignore[arg-type]


def test_a_network_that_computes_nan_is_not_served() -> None:
    import numpy as np

    from residua.serve.model import PictureModel
    from residua.spec.preprocess import Preprocess

    class Broken:
        classes = ("a", "b")
        preprocess = Preprocess(4, 4, (0.5,) * 3, (0.5,) * 3)

        def probabilities(self, views: Any) -> Any:
            return np.full((len(views), 2), np.nan, np.float32)

    with pytest.raises(NonFiniteError):
        measure_batches(PictureModel("broken", Broken(), "none", ("a", "b")))  # type: ignore[arg-type]
