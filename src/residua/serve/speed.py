"""Speed: how fast each stage of the server is; measured when it starts and with every request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from residua.serve.model import ServedModel

LONGEST_BATCH = 0.3
"""Longest computation of one batch, in seconds: a request that comes meanwhile waits for it."""
UNKNOWN_SECONDS = 1.0
"""Of the first video, until one was computed."""
_WEIGHT = 0.1  # of the newest measurement in a running mean


@dataclass(frozen=True, slots=True)
class BatchTimes:
    """Seconds that a batch of each size takes."""

    sizes: tuple[int, ...]
    """Sizes that may be computed, ascending from 1."""
    seconds: tuple[float, ...]
    """Of a batch of each size."""

    @property
    def images_per_second(self) -> float:
        """Of the largest size."""
        return self.sizes[-1] / self.seconds[-1]


def measure_batches(model: ServedModel, *, longest: float = LONGEST_BATCH) -> BatchTimes:
    """Compute a probe in batches of growing size, which also proves that the network works.

    Args:
        model: The network.
        longest: Seconds; sizes that take longer are left out.

    Returns:
        The sizes that may be computed, always with 1, and their seconds.

    Raises:
        NonFiniteError: The network computes NaN or infinity.
    """
    probe = model.probe()
    if probe is None:
        return BatchTimes((1,), (UNKNOWN_SECONDS,))
    sizes: list[int] = []
    seconds: list[float] = []
    for size in model.sizes:
        inputs = [probe] * size
        model.compute(inputs)  # the first of a size may compile or allocate
        duration = _seconds(model, inputs)
        if sizes and (duration > longest or _is_slower(size, duration, sizes[-1], seconds[-1])):
            duration = min(duration, _seconds(model, inputs))  # something else may have run meanwhile
            if duration > longest or _is_slower(size, duration, sizes[-1], seconds[-1]):
                break
        sizes.append(size)
        seconds.append(duration)
    return BatchTimes(tuple(sizes), tuple(seconds))


def _seconds(model: ServedModel, inputs: Sequence[Any]) -> float:
    """Seconds that a batch takes."""
    start = time.monotonic()
    model.compute(inputs)
    return max(1e-6, time.monotonic() - start)


def _is_slower(size: int, seconds: float, smaller: int, its_seconds: float) -> bool:
    """Whether a size computes clearly fewer images a second than the next smaller one."""
    return size / seconds < 0.8 * smaller / its_seconds


@dataclass(eq=False)
class Speed:
    """Running means of the stages; all is called in the event loop, but `computed`, which is atomic."""

    compute_rate: float
    """Images that the worker computes a second."""
    threads: int
    """Threads that decode."""
    _decode_seconds: float = field(default=0.0, init=False)

    def computed(self, size: int, seconds: float) -> None:
        """Add a batch."""
        self.compute_rate += _WEIGHT * (size / max(seconds, 1e-6) - self.compute_rate)

    def decoded(self, seconds: float) -> None:
        """Add a file that was decoded in so many seconds."""
        self._decode_seconds += _WEIGHT * (seconds - self._decode_seconds)

    @property
    def rate(self) -> float:
        """Images a second of the slowest stage."""
        if not self._decode_seconds:
            return self.compute_rate
        return min(self.compute_rate, self.threads / self._decode_seconds)
