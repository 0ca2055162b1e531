"""The forward pass in segments: they keep only what they read and are computed again in the backward pass."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from residua.nn import malloc

Segments = tuple[tuple[int, int], ...]
"""(first, one past the last) unit of each stretch that is computed twice, in order."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def forward(
    units: Sequence[nn.Module],
    x: Tensor,
    segments: Segments,
    *,
    after: Collection[int] = (),
    ceiling: int = 0,
) -> tuple[Tensor, list[Tensor]]:
    """`x` through all `units`, and the maps after as many units as each of `after` says, in order.

    Gradients, dropout and running statistics have the bits of a plain pass. Where the process holds more
    than `ceiling` bytes as a unit begins, forward or backward, free memory goes back to the system; 0 never
    asks. Not for `torch.autograd.grad` while there are segments: backward runs inside backward.
    """
    found, starts = [], {0, *after}
    twice = segments if torch.is_grad_enabled() else ()
    inside = {at for start, stop in twice for at in range(start, stop)}
    starts |= {edge for segment in twice for edge in segment}
    for start, stop in pairwise(sorted({*starts, len(units)})):
        run = _twice if start in inside else _through
        x = run(units[start:stop], x, ceiling)
        if stop in after:
            found.append(x)
    return x, found


def _through(units: Sequence[nn.Module], x: Tensor, ceiling: int) -> Tensor:
    for unit in units:
        if ceiling:
            malloc.give_back(ceiling)
        x = unit(x)
        if ceiling and x.requires_grad:
            x.register_hook(lambda _: malloc.give_back(ceiling))  # type: ignore[no-untyped-call]
    return x


def _twice(units: Sequence[nn.Module], x: Tensor, ceiling: int) -> Tensor:
    """The same, computed again in the backward pass, where norms must not count the batch a second time."""
    if not x.requires_grad and not any(p.requires_grad for unit in units for p in unit.parameters()):
        return _through(units, x, ceiling)

    def run(x: Tensor, _: Tensor) -> Tensor:
        with _uncounted(units) if torch.is_grad_enabled() else nullcontext():  # the first time keeps no graph
            return _through(units, x, ceiling)

    anchor = torch.empty(0, device=x.device, requires_grad=True)  # images need no gradient, weights do
    # One node per segment. The other kind keeps the graph of every layer and a Python object per kept tensor.
    y: Tensor = checkpoint(run, x, anchor, use_reentrant=True)
    return y


@contextmanager
def _uncounted(units: Sequence[nn.Module]) -> Iterator[None]:
    norms = [module for unit in units for module in unit.modules() if isinstance(module, NORMS)]
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
