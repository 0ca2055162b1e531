"""Metrics: what the server counts, in the text format of Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from residua.serve.model import BATCH_SIZES

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of durations."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text."""


class Metrics:
    """The counters of one server; safe to use from several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.seconds = Histogram(
            "residua_request_duration_seconds",
            "Time of a request by stage: decode, queue, infer and total.",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.requests = Counter(
            "residua_requests_total",
            "Requests by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "residua_batch_size", "Images of a batch.", buckets=BATCH_SIZES, registry=self.registry
        )
        self.inferences = Counter("residua_inference_count_total", "Images computed.", registry=self.registry)
        self.executions = Counter("residua_exec_count_total", "Batches computed.", registry=self.registry)
        self.rejected = Counter(
            "residua_rejected_total",
            "Requests that were refused, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.queue_length = Gauge(
            "residua_queue_length", "Images that wait for the worker.", registry=self.registry
        )
        self.accepted = Gauge(
            "residua_accepted_requests", "Requests that have a place.", registry=self.registry
        )
        self.places = Gauge(
            "residua_places", "Requests that may have a place, by the measured speed.", registry=self.registry
        )
        self.connections = Gauge("residua_connections", "Open connections.", registry=self.registry)
        self.ready = Gauge("residua_ready", "1 while requests are accepted.", registry=self.registry)
        self.model = Gauge(
            "residua_model_info", "The network that is served.", ["name", "engine"], registry=self.registry
        )
        self.reloads = Counter(
            "residua_reloads_total", "Attempts to reload the network.", ["outcome"], registry=self.registry
        )

    def observe_batch(self, size: int) -> None:
        """Count a batch of `size` images."""
        self.batch_size.observe(size)
        self.inferences.inc(size)
        self.executions.inc()

    def show_model(self, name: str, engine: str) -> None:
        """Name the network that is served now."""
        self.model.clear()
        self.model.labels(name, engine).set(1)

    def measure_when_read(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Let a gauge call `value` whenever the metrics are read."""
        gauge.set_function(value)

    def text(self) -> bytes:
        """All metrics."""
        return generate_latest(self.registry)
