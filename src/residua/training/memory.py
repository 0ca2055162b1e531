"""The memory of a run: what a training step will need here, which units to compute twice, what it took."""

from dataclasses import dataclass

import torch

from residua.nn import heap
from residua.nn.memory import Segments
from residua.nn.network import Network
from residua.spec import memory
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.memory import Schedule, in_words, largest
from residua.spec.recipe import Plan, Recipe

PLANNED = 0.8
"""Share of the limit that is planned; the rest is for holes in the heap and for workspaces."""
CEILING = 0.9
"""Share of the limit above which free memory goes back to the system before the next unit runs."""
FIRST_STEP = 64 << 20
"""Bytes of code and kernels that the first step loads on a CPU (measured: 30 to 60 MiB)."""
SLOTS = 2
"""Numbers beside each weight: its gradient and its momentum."""


class DoesNotFit(MemoryError):
    """Even the tightest schedule needs more than the limit; the message says what would fit."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A schedule that keeps a training step within the limit."""

    segments: Segments
    """Units that are computed twice, for `Network.segments`."""
    ceiling: int
    """For `Network.ceiling`: bytes; 0 on accelerators, whose allocator torch keeps."""
    limit: int
    """Bytes the process, or torch on the accelerator, may hold."""
    predicted: int
    """Bytes at the worst moment, by the words."""
    again: float
    """Share of the forward pass that is computed twice."""

    def __str__(self) -> str:
        """One line for the terminal."""
        how = f"{len(self.segments)} segments, {self.again:.0%} of the forward pass twice"
        how = how if self.segments else "nothing computed twice"
        return f"at most {in_words(self.limit)}, predicted {in_words(self.predicted)}; {how}"

    def compared(self, measured: int) -> str:
        """One line that sets what was `measured` beside what was predicted."""
        return f"memory  predicted {in_words(self.predicted)}, measured {in_words(measured)} at most"


def fit(network: Network, plan: Plan, *, batch: int, other: int = 0) -> Fitted:
    """Set `network`'s segments so that steps of `batch` images stay within `plan.memory_limit`.

    The plan has no `auto` left. `other` is what the run will hold besides, in bytes. DoesNotFit says what
    would fit.
    """
    device = torch.device(plan.device)
    fixed = other + _fixed(network, plan)
    found = _schedule(network.arch, plan, batch, fixed)
    if found is None:
        raise DoesNotFit(_refusal(network.arch, plan, batch, fixed))
    ceiling = int(CEILING * plan.memory_limit) if device.type == "cpu" else 0
    network.segments, network.ceiling = found.segments, ceiling
    return Fitted(found.segments, ceiling, plan.memory_limit, fixed + found.peak, found.again)


def fit_run(network: Network, recipe: Recipe, *, held: int) -> Fitted | None:
    """`fit` for a run of `recipe` whose examples take `held` bytes; None when it has no limit."""
    if not recipe.plan.memory_limit:
        return None
    return fit(network, recipe.plan, batch=recipe.budget.batch, other=held)


def taken(plan: Plan) -> int:
    """The most bytes held so far: by this process, or by torch on the accelerator."""
    device = torch.device(plan.device)
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else heap.peak()


def _fixed(network: Network, plan: Plan) -> int:
    """Bytes that do not depend on the batch: what is held already, weights, and what each weight brings."""
    each = SLOTS * 4 + (2 if plan.precision == "bfloat16" else 0)  # autocast keeps a copy of each weight
    brought = each * cost(network.arch).params
    device = torch.device(plan.device)
    if device.type == "cuda":
        here = next(network.parameters()).device.type == "cuda"
        weights = 0 if here else sum(t.numel() * t.element_size() for t in network.state_dict().values())
        return torch.cuda.memory_allocated(device) + weights + brought
    heap.give_back()
    return heap.resident() + FIRST_STEP + brought


def _schedule(arch: Arch, plan: Plan, batch: int, fixed: int) -> Schedule | None:
    return memory.schedule(_units(arch, plan, batch), int(PLANNED * plan.memory_limit) - fixed)


def _units(arch: Arch, plan: Plan, batch: int) -> list[memory.Unit]:
    precision: memory.Precision = "bfloat16" if plan.precision == "bfloat16" else "float32"
    return memory.units(arch, batch=batch, precision=precision)


def _refusal(arch: Arch, plan: Plan, batch: int, fixed: int) -> str:
    need = int((fixed + memory.tightest(_units(arch, plan, batch)).peak) / PLANNED) + 1
    most = largest(batch, lambda images: _schedule(arch, plan, images, fixed) is not None)
    cure = f"try --memory-limit {in_words(need + (1 << 25)).replace(' ', '')}"
    if most > 1:
        cure = f"try --set budget.batch={most}, or {cure.removeprefix('try ')}"
    return (
        f"{arch.name} at batch {batch} needs {in_words(need)} even where every block is computed twice, "
        f"the limit is {in_words(plan.memory_limit)}: {cure}"
    )
