"""Gradient checkpointing: the forward pass in segments that are computed again in the backward pass.

A network is a list of units (the stem and every block). A segment is a stretch of them that keeps only its
input; all others keep every activation that backward needs.

    forward    [ unit 0 ][ unit 1   unit 2 ][ unit 3 ]      units 1 and 2 are a segment: its input is kept,
                   keep      input only        keep         its activations are freed
    backward   [ unit 0 ][ forward again, then backward ][ unit 3 ]

The second forward pass must repeat the first: torch restores the random state, and batch norms must not
update their running statistics twice. `residua.spec.memory` chooses the segments for a memory limit. On the
CPU, each unit also returns free memory to the system while the process holds more than `ceiling` bytes.

Units come in containers (`UnitSequence`): a stage holds its blocks, the network's `stages` hold the stages. A
container is called as a module, so that its hooks run, unless a segment reaches over its edge:

    stages           [ 1   2   3 ][ 4   5 ]      segment (2, 3): both stages are called
    segment (3, 5)           [ 3     4 ]         it cuts both: their units run one by one
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from residua.nn import malloc
from residua.nn.letters import BATCH_NORMS

Segments = tuple[tuple[int, int], ...]
"""(first, one past the last) unit of each segment, in order."""


@dataclass(slots=True)
class Passage:
    """One forward pass through the units of a network, which are numbered from 0."""

    segments: Segments = ()
    """Units to compute again in the backward pass."""
    after: Collection[int] = ()
    """Numbers of units after which the output is kept: n means after the first n."""
    ceiling: int = 0
    """Bytes of the process from which on each unit returns free memory to the system; 0 never does."""
    outputs: list[Tensor] = field(default_factory=list)
    """The outputs that are kept, in the network's order."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing happens between the units."""
        return not (self.segments or self.after or self.ceiling)

    def cuts(self, first: int, stop: int) -> bool:
        """Whether a segment reaches over an edge of the units from `first` to before `stop`."""
        return any(
            start < stop and first < end and not (first <= start and end <= stop)
            for start, end in self.segments
        )


class UnitSequence(nn.Sequential):
    """Units, or containers of units, that read each other's output."""

    def forward(self, x: Tensor, *, passage: Passage | None = None, first: int = 0) -> Tensor:
        """The output of the last unit.

        Args:
            x: Input of the first unit.
            passage: What happens between the units; None: nothing.
            first: Number of the first unit.
        """
        if passage is None or passage.is_plain:
            for part in self:
                x = part(x)
            return x
        return run_units(self, x, passage, first=first)

    def units(self) -> list[nn.Module]:
        """The units in it and in the containers in it, in order."""
        parts = ((part.units() if isinstance(part, UnitSequence) else [part]) for part in self)
        return [unit for units in parts for unit in units]


def run_units(parts: Iterable[nn.Module], x: Tensor, passage: Passage, *, first: int) -> Tensor:
    """Run `x` through units and containers of units; a container that no segment cuts is called as a module.

    Args:
        parts: Units and containers, in order.
        x: Input of the first.
        passage: What happens between the units; it collects the outputs that are kept.
        first: Number of the first unit.
    """
    todo, loose = deque(parts), list[nn.Module]()
    while todo or loose:
        part = todo.popleft() if todo else None
        stop = first + len(loose)
        size = len(part.units()) if isinstance(part, UnitSequence) else 0
        if isinstance(part, UnitSequence) and passage.cuts(stop, stop + size):
            todo.extendleft(reversed(part))
        elif part is not None and not isinstance(part, UnitSequence):
            loose.append(part)
        else:
            x, first = _run_loose(loose, x, passage, first), stop
            loose = []
            if part is not None:
                x, first = part(x, passage=passage, first=first), first + size
    return x


def _run_loose(units: Sequence[nn.Module], x: Tensor, passage: Passage, first: int) -> Tensor:
    """The same for units alone, of which none is cut off by a segment."""
    stop = first + len(units)
    segments = tuple(
        (start - first, end - first) for start, end in passage.segments if first <= start and end <= stop
    )
    after = {at - first for at in passage.after if first < at <= stop}
    x, outputs = forward(units, x, segments, after=after, ceiling=passage.ceiling)
    passage.outputs.extend(outputs)
    return x


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
    norms = [module for unit in units for module in unit.modules() if isinstance(module, BATCH_NORMS)]
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
