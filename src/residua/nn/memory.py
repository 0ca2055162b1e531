"""Gradient checkpointing: the forward pass in segments that are computed again in the backward pass.

A network is a list of units (the stem and every block). A segment is a stretch of them that keeps only its
input; all others keep every activation that backward needs.

    forward    [ unit 0 ][ unit 1   unit 2 ][ unit 3 ]      units 1 and 2 are a segment: its input is kept,
                   keep      input only        keep         its activations are freed
    backward   [ unit 0 ][ forward again, then backward ][ unit 3 ]

The second forward pass must repeat the first: torch restores the random state, and batch norms must not
update their running statistics twice. `residua.spec.memory` chooses the segments for a memory limit. On the
CPU, each unit also returns free memory to the system while the process holds more than `ceiling` bytes.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from residua.nn import malloc

Segments = tuple[tuple[int, int], ...]
"""(first, one past the last) unit of each segment, in order."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def forward(
    units: Sequence[nn.Module],
    x: Tensor,
    segments: Segments,
    *,
    after: Collection[int] = (),
    ceiling: int = 0,
) -> tuple[Tensor, list[Tensor]]:
    """Run `x` through all `units`, with gradient checkpointing where gradients are computed.

    Outputs, gradients, dropout and running statistics have the bits of a plain pass. `torch.autograd.grad`
    cannot be used while there are segments: their backward pass calls backward.

    Args:
        units: Modules that read each other's output.
        x: Input of the first.
        segments: Units to compute again in the backward pass.
        after: Numbers of units after which the output is returned too.
        ceiling: Bytes of the process from which on each unit returns free memory to the system; 0 never does.

    Returns:
        The last output, and those after as many units as `after` gives, in the network's order.
    """
    outputs = []
    active = segments if torch.is_grad_enabled() else ()
    checkpointed = {at for start, stop in active for at in range(start, stop)}
    edges = {0, len(units), *after, *(edge for segment in active for edge in segment)}
    for start, stop in pairwise(sorted(edges)):
        run = _run_checkpointed if start in checkpointed else _run
        x = run(units[start:stop], x, ceiling)
        if stop in after:
            outputs.append(x)
    return x, outputs


def _run(units: Sequence[nn.Module], x: Tensor, ceiling: int) -> Tensor:
    for unit in units:
        if ceiling:
            malloc.release_free_memory(ceiling)
        x = unit(x)
        if ceiling and x.requires_grad:
            x.register_hook(lambda _: malloc.release_free_memory(ceiling))  # type: ignore[no-untyped-call]
    return x


def _run_checkpointed(units: Sequence[nn.Module], x: Tensor, ceiling: int) -> Tensor:
    """The same, keeping only `x` for the backward pass."""
    if not x.requires_grad and not any(p.requires_grad for unit in units for p in unit.parameters()):
        return _run(units, x, ceiling)

    def run(x: Tensor, _: Tensor) -> Tensor:
        is_second = torch.is_grad_enabled()  # the first time, checkpoint keeps no graph
        with _frozen_statistics(units) if is_second else nullcontext():
            return _run(units, x, ceiling)

    anchor = torch.empty(0, device=x.device, requires_grad=True)  # images need no gradient, weights do
    # Reentrant: one autograd node per segment. The other kind keeps the graph of every layer and a Python
    # object per saved tensor.
    y: Tensor = checkpoint(run, x, anchor, use_reentrant=True)
    return y


@contextmanager
def _frozen_statistics(units: Sequence[nn.Module]) -> Iterator[None]:
    """While inside, batch norms use the batch's statistics and do not update their running ones."""
    norms = [module for unit in units for module in unit.modules() if isinstance(module, NORMS)]
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
