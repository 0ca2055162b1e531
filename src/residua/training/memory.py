"""The memory of a run: what a training step will need here, which units to compute twice, what it took."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from residua.nn import malloc
from residua.nn.memory import Segments
from residua.nn.network import Network
from residua.spec import memory
from residua.spec.amount import format_bytes
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.memory import MemorySchedule, Unit, largest_fitting
from residua.spec.recipe import Plan, Recipe
from residua.training import optim

HOLES = 3.0
"""Bytes that a CPU process holds for each byte of maps where segments are computed twice: between maps of
several sizes stay holes (measured: 1.5 to 2.5)."""
FEW_HOLES = 1.3
"""The same where nothing is computed twice (measured: 1.1 to 1.3)."""
PLANNED = 0.8
"""Share of the limit that the tightest schedule, and any on an accelerator, may fill without its holes."""
CEILING = 0.9
"""Share of the limit from which on free memory goes back to the system, or earlier where one unit needs more
than the rest; not below, for giving it back costs a page fault for every page that is used again, and with
them more time than computing maps twice."""
FIRST_STEP = 64 << 20
"""Bytes of code and kernels that the first step loads on a CPU (measured: 30 to 60 MiB)."""


class DoesNotFitError(MemoryError):
    """Even the tightest schedule needs more than the limit; the message says what would fit."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A schedule that keeps a training step within the limit."""

    segments: Segments
    """Units that are computed twice, for `Network.segments`."""
    ceiling: int
    """For `Network.ceiling`: bytes; 0 on accelerators, whose allocator torch keeps."""
    limit: int
    """Bytes the process, or torch on the accelerator, may hold."""
    predicted: int
    """Bytes at the worst moment, by the words, with the holes of the heap."""
    recomputed_share: float
    """Share of the forward pass that is computed twice."""

    def __str__(self) -> str:
        """One line for the terminal."""
        how = f"{len(self.segments)} segments, {self.recomputed_share:.0%} of the forward pass twice"
        how = how if self.segments else "nothing computed twice"
        return f"at most {format_bytes(self.limit)}, predicted {format_bytes(self.predicted)}; {how}"

    def compared(self, measured: int) -> str:
        """One line that sets what was `measured` beside what was predicted."""
        return f"memory  predicted {format_bytes(self.predicted)}, measured {format_bytes(measured)} at most"


def limit_memory(network: Network, plan: Plan, *, batch: int, other: int = 0, slots: int = 1) -> MemoryPlan:
    """Set `network`'s segments so that steps of `batch` images stay within `plan.memory_limit`.

    The plan has no `auto` left. `other` is what the run will hold besides, in bytes, `slots` the numbers that
    it keeps for each weight beside its gradient. DoesNotFitError says what would fit.
    """
    device = torch.device(plan.device)
    fixed = other + _fixed(network, plan, 1 + slots)
    every = _units(network.arch, plan, batch)
    found = _schedule(every, plan, fixed)
    if found is None:
        raise DoesNotFitError(_refusal(network.arch, plan, batch, fixed))
    ceiling, held = 0, fixed + found.peak
    if device.type == "cpu":
        ceiling = _ceiling(every, plan)
        held = min(fixed + int(_holes(found) * found.peak), ceiling)
    network.segments, network.ceiling = found.segments, ceiling
    return MemoryPlan(found.segments, ceiling, plan.memory_limit, held, found.recomputed_share)


def limit_run_memory(network: Network, recipe: Recipe, *, resident_bytes: int) -> MemoryPlan | None:
    """`limit_memory` for a run of `recipe` with `resident_bytes` of examples; None without a limit."""
    if not recipe.plan.memory_limit:
        return None
    portion = -(-recipe.budget.batch_size // recipe.budget.accumulate)
    slots = optim.values_per_weight(recipe.optim) + (recipe.average.ema_decay > 0)
    return limit_memory(network, recipe.plan, batch=portion, other=resident_bytes, slots=slots)


def retain_freed_memory(plan: Plan) -> AbstractContextManager[None]:
    """While inside, steps on a CPU find the memory of the step before; see `heap.retain_freed_memory`.

    Under a limit blocks of 32 MiB and more still go back at once: the limit does not allow for their holes.
    """
    on_cpu = torch.device(plan.device).type == "cpu"
    return malloc.retain_freed_memory(large=not plan.memory_limit) if on_cpu else nullcontext()


def peak_memory(plan: Plan) -> int:
    """The most bytes held so far: by this process, or by torch on the accelerator."""
    device = torch.device(plan.device)
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else malloc.peak_bytes()


def _fixed(network: Network, plan: Plan, slots: int) -> int:
    """Bytes that do not depend on the batch: what is held already, weights, and what each weight brings."""
    each = slots * 4 + (2 if plan.precision == "bfloat16" else 0)  # autocast keeps a copy of each weight
    brought = each * cost(network.arch).params
    device = torch.device(plan.device)
    if device.type == "cuda":
        here = next(network.parameters()).device.type == "cuda"
        weights = 0 if here else sum(t.numel() * t.element_size() for t in network.state_dict().values())
        return torch.cuda.memory_allocated(device) + weights + brought
    return at_start() + brought


def at_start() -> int:
    """Bytes that this process holds when training begins: now, and with what the first step loads."""
    import torch._dynamo  # noqa: F401 (torch itself does, with the first optimiser: 150 MiB that would come later)

    malloc.release_free_memory()
    return malloc.resident_bytes() + FIRST_STEP


def _schedule(every: Sequence[Unit], plan: Plan, fixed: int) -> MemorySchedule | None:
    """The least computed twice whose holes, too, stay below the ceiling; where none do, the tightest."""
    room, tight = _ceiling(every, plan) - fixed, int(PLANNED * plan.memory_limit) - fixed
    if torch.device(plan.device).type != "cpu":
        return memory.cheapest_within(every, tight)
    free = memory.keep_everything(every)
    if FEW_HOLES * free.peak <= room:
        return free
    if found := memory.cheapest_within(every, int(room / HOLES)):
        return found
    least = memory.smallest_peak(every)
    return least if least.peak <= tight else None


def _ceiling(every: Sequence[Unit], plan: Plan) -> int:
    """Bytes of a CPU process from which on free memory goes back."""
    most = max(unit.reads + unit.inner + unit.transient for unit in every)
    return min(int(CEILING * plan.memory_limit), plan.memory_limit - most)


def _holes(found: MemorySchedule) -> float:
    return HOLES if found.segments else FEW_HOLES


def _units(arch: Arch, plan: Plan, batch: int) -> list[Unit]:
    precision: memory.Precision = "bfloat16" if plan.precision == "bfloat16" else "float32"
    return memory.list_units(arch, batch=batch, precision=precision)


def _refusal(arch: Arch, plan: Plan, batch: int, fixed: int) -> str:
    need = int((fixed + memory.smallest_peak(_units(arch, plan, batch)).peak) / PLANNED) + 1
    most = largest_fitting(
        batch, lambda images: _schedule(_units(arch, plan, images), plan, fixed) is not None
    )
    cure = f"try --memory-limit {format_bytes(need + (1 << 25)).replace(' ', '')}"
    if most > 1:
        cure = f"try --set budget.batch_size={most}, or {cure.removeprefix('try ')}"
    return (
        f"{arch.name} at batch {batch} needs {format_bytes(need)} even where every block is computed twice, "
        f"the limit is {format_bytes(plan.memory_limit)}: {cure}"
    )
