"""Service: one served network with its queue, its decoding threads and its state.

States: `ready` --signal--> `draining`. A reload replaces the network of a ready service: requests that were
read for the old network are computed by it, for a batch never mixes two.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from residua.nn.processor import usable_cores
from residua.serve.admission import Admission
from residua.serve.batcher import Batcher
from residua.serve.limits import Limits
from residua.serve.metrics import Metrics
from residua.serve.model import Compute, ServedModel
from residua.serve.problems import Refusal
from residua.serve.speed import BatchTimes, Speed, measure_batches

MOST_THREADS = 4
"""Most threads that decode: the worker needs the other cores."""
T = TypeVar("T")


@dataclass(slots=True)
class StageSeconds:
    """Where the time of a request went."""

    decode: float = 0.0
    """Parsing and decoding, with the wait for a thread."""
    queue: float = 0.0
    """Waiting for the worker."""
    infer: float = 0.0
    """From the beginning of its first batch to the end of its last."""

    def milliseconds(self, total: float) -> dict[str, float]:
        """The stages and the whole in milliseconds, for responses."""
        values = {"queue": self.queue, "decode": self.decode, "infer": self.infer, "total": total}
        return {name: round(1000 * value, 2) for name, value in values.items()}


class Service:
    """A network that is ready to serve."""

    def __init__(self, model: ServedModel, limits: Limits) -> None:
        """Try the network, measure its batches and start its worker.

        Raises:
            NonFiniteError: The network computes NaN or infinity.
        """
        self.limits, self.metrics = limits, Metrics()
        times = measure_batches(model)
        threads = min(MOST_THREADS, max(2, usable_cores()))
        self.speed = Speed(times.images_per_second, threads)
        self.admission = Admission(limits, self.speed, times.sizes[-1])
        self._threads = ThreadPoolExecutor(threads, "residua-decode")
        self.model, self.times = model, times
        self._batcher = Batcher(times.sizes, max_delay=limits.max_delay, observe=self._computed)
        self.is_draining = False
        metrics = self.metrics
        metrics.show_model(model.name, model.engine)
        metrics.queue_length.set_function(self._batcher.waiting)
        metrics.accepted.set_function(lambda: len(self.admission.accepted))
        metrics.places.set_function(lambda: self.admission.places)
        metrics.ready.set_function(lambda: not self.is_draining)

    def check_open(self) -> None:
        """Refuse a request while the server drains (503), or while all places are taken (429)."""
        if self.is_draining:
            raise Refusal(503, "the server is stopping: send the request to another one", reason="draining")
        self.admission.check()

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a decoding thread, so that the event loop is never busy with a body."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def read_inputs(self, jobs: Sequence[Callable[[], Any]], seconds: StageSeconds) -> list[Any]:
        """Decode the files of a request, one after another, so that a request of many leaves threads free.

        Args:
            jobs: One function for each input.
            seconds: Its `decode` is increased.

        Returns:
            The inputs, in order.

        Raises:
            DataError: One cannot be read.
        """
        start = time.monotonic()
        inputs = []
        for job in jobs:
            value, duration = await self.in_thread(_timed, job)
            self.speed.decoded(duration)
            inputs.append(value)
        seconds.decode += time.monotonic() - start
        return inputs

    async def compute(
        self, model: ServedModel, inputs: Sequence[Any], seconds: StageSeconds, compute: Compute | None = None
    ) -> Sequence[Any]:
        """Let inputs wait for the worker, and compute them.

        Args:
            model: The network that read the inputs; it may have been replaced since.
            inputs: At least one.
            seconds: Its `queue` and `infer` are increased.
            compute: A function of the model; None for its outputs.

        Returns:
            One output for each input, in order.
        """
        turn = self._batcher.submit(compute or model.compute, inputs)
        try:
            outputs = await turn.future
        finally:
            self._batcher.abandon(turn)
        end = time.monotonic()
        seconds.queue += turn.started - turn.arrival
        seconds.infer += end - turn.started
        return outputs

    def count_rejected(self, reason: str) -> None:
        """Count a request that was refused."""
        self.metrics.rejected.labels(reason).inc()

    def count_response(self, route: str, status: int) -> None:
        """Count a request by its route and the status of its response."""
        self.metrics.requests.labels(route, str(status)).inc()

    def observe(self, seconds: StageSeconds, total: float) -> None:
        """Count the stages of a request that was computed."""
        stages = {"decode": seconds.decode, "queue": seconds.queue, "infer": seconds.infer, "total": total}
        for stage, value in stages.items():
            self.metrics.seconds.labels(stage).observe(value)

    def replace(self, model: ServedModel, times: BatchTimes) -> None:
        """Serve another network from now on; what was read for the old one is computed by the old one."""
        self.model, self.times = model, times
        self.speed.compute_rate = times.images_per_second
        self.admission.batch = times.sizes[-1]
        self._batcher.sizes = times.sizes
        self.metrics.show_model(model.name, model.engine)

    def close(self) -> None:
        """End the worker and the threads."""
        self._batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _computed(self, size: int, seconds: float) -> None:
        self.speed.computed(size, seconds)
        self.metrics.observe_batch(size)


def _timed(job: Callable[[], T]) -> tuple[T, float]:
    """What a function returns, and the seconds it took."""
    start = time.monotonic()
    value = job()
    return value, time.monotonic() - start
