"""What a server prints before it serves: the network, its speed and the limits."""

from collections.abc import Iterable

from residua.serve.limits import MIB
from residua.serve.service import Service
from residua.spec.amount import quantity
from residua.spec.printable import printable


def plan_lines(service: Service) -> tuple[str, ...]:
    """The plan of a service that is ready, one line each."""
    model, times, limits = service.model, service.times, service.limits
    preprocess, admission = model.preprocess, service.admission
    size = f"{preprocess.size} x {preprocess.size} {preprocess.colour}"
    names = ", ".join(map(printable, model.classes[:3])) + (", ..." if len(model.classes) > 3 else "")
    delay = f", waits {1000 * limits.max_delay:g} ms to fill a batch" if limits.max_delay else ""
    return (
        f"network   {model.name}: {quantity(len(model.classes), 'class')} ({names}), reads {size}",
        f"engine    {model.engine}: {_batches(times.sizes, times.seconds)}{delay}",
        f"queue     {quantity(admission.places, 'request')} at once, more get 429 with Retry-After",
        f"limits    {limits.body_bytes // MIB} MiB and {quantity(limits.images, 'image')} a request, "
        f"{limits.receive_seconds:g} s to send it, {limits.compute_seconds:g} s to compute it",
    )


def _batches(sizes: tuple[int, ...], seconds: tuple[float, ...]) -> str:
    """`1, 2 and 4 images take 80, 150 and 290 ms`."""
    counts, times = _listed(map(str, sizes)), _listed(f"{1000 * each:.3g}" for each in seconds)
    return f"{counts} {'images take' if len(sizes) > 1 else 'image takes'} {times} ms"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
