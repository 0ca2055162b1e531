"""The memory of a run: predict what a training step needs, and choose the segments that are computed twice.

With a memory limit, gradient checkpointing keeps a step within it: segments of the network drop their
activations and compute them again in the backward pass. `spec.memory` finds the cheapest segments; this
module adds what the process holds besides (weights, optimiser, libraries, fragmentation of the heap) and on a
CPU sets the ceiling from which free memory goes back to the system.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from residua.nn import malloc
from residua.nn.memory import Segments
from residua.nn.network import Network
from residua.spec import memory
from residua.spec.amount import format_bytes, quantity
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.memory import MemorySchedule, Unit, largest_fitting
from residua.spec.recipe import Plan, Recipe
from residua.training import optim

FRAGMENTATION = 3.0
"""Bytes that a CPU process holds for each byte of activations with gradient checkpointing: activations of
several sizes leave holes in the heap (measured: 1.5 to 2.5)."""
EAGER_FRAGMENTATION = 1.3
"""The same without gradient checkpointing (measured: 1.1 to 1.3)."""
PLANNED_SHARE = 0.8
"""Share of the limit that the tightest schedule, and any on an accelerator, may fill without
fragmentation."""
CEILING_SHARE = 0.9
"""Share of the limit from which free memory goes back to the system; less where one unit needs more than the
rest. Returning memory earlier costs a page fault for every page that is used again, which takes longer than
computing activations twice."""
FIRST_STEP_BYTES = 64 << 20
"""Bytes of code and kernels that the first step loads on a CPU (measured: 30 to 60 MiB)."""


class DoesNotFitError(MemoryError):
    """Even the tightest schedule needs more than the limit; the message names what fits."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A schedule that keeps a training step within the limit."""

    segments: Segments
    """Runs of units that are computed twice, for `Network.segments`."""
    ceiling: int
    """Bytes, for `Network.ceiling`; 0 on accelerators, whose memory torch manages."""
    limit: int
    """Bytes that the process, or torch on the accelerator, may hold."""
    predicted: int
    """Predicted peak in bytes, with fragmentation."""
    recomputed_share: float
    """Share of the forward pass that is computed twice."""

    def __str__(self) -> str:
        """One line for the terminal."""
        how = (
            f"{quantity(len(self.segments), 'segment')}, {self.recomputed_share:.0%} "
            "of the forward pass twice"
        )
        how = how if self.segments else "no gradient checkpointing"
        return f"at most {format_bytes(self.limit)}, predicted {format_bytes(self.predicted)}; {how}"

    def compared(self, measured: int) -> str:
        """One line with the predicted peak and the `measured` one."""
        return f"memory  predicted {format_bytes(self.predicted)}, measured {format_bytes(measured)} at most"


def limit_memory(network: Network, plan: Plan, *, batch: int, other: int = 0, slots: int = 1) -> MemoryPlan:
    """Set the segments of `network` so that training steps stay within `plan.memory_limit`.

    Args:
        network: Its `segments` and `ceiling` are set.
        plan: A plan without `auto`.
        batch: Images that pass through the network together.
        other: Bytes of everything else that the run will hold.
        slots: Numbers stored for each weight besides its gradient: optimiser state, moving average.

    Returns:
        The segments, and the predicted peak.

    Raises:
        DoesNotFitError: No schedule fits; the message names a batch size and a limit that do.
    """
    device = torch.device(plan.device)
    fixed = other + _fixed(network, plan, 1 + slots)
    units = _units(network.arch, plan, batch)
    schedule = _schedule(units, plan, fixed)
    if schedule is None:
        raise DoesNotFitError(_refusal(network.arch, plan, batch, fixed))
    ceiling, predicted = 0, fixed + schedule.peak
    if device.type == "cpu":
        ceiling = _ceiling(units, plan)
        predicted = min(fixed + int(_fragmentation(schedule) * schedule.peak), ceiling)
    network.segments, network.ceiling = schedule.segments, ceiling
    return MemoryPlan(schedule.segments, ceiling, plan.memory_limit, predicted, schedule.recomputed_share)


def limit_run_memory(network: Network, recipe: Recipe, *, resident_bytes: int) -> MemoryPlan | None:
    """`limit_memory` for a run.

    Args:
        network: The network of the run.
        recipe: Batch size, optimiser and memory limit.
        resident_bytes: Bytes of examples that training keeps in memory.

    Returns:
        The segments and the predicted peak; None without a memory limit.

    Raises:
        DoesNotFitError: No schedule fits.
    """
    if not recipe.plan.memory_limit:
        return None
    portion = -(-recipe.budget.batch_size // recipe.budget.accumulate)
    slots = optim.values_per_weight(recipe.optim) + (recipe.average.ema_decay > 0)
    return limit_memory(network, recipe.plan, batch=portion, other=resident_bytes, slots=slots)


def retain_freed_memory(plan: Plan) -> AbstractContextManager[None]:
    """While inside, steps on a CPU reuse the memory of the step before; see `nn.malloc`.

    With a memory limit, blocks of 32 MiB and more still go back at once: the limit leaves no room for their
    fragmentation.
    """
    on_cpu = torch.device(plan.device).type == "cpu"
    return malloc.retain_freed_memory(large=not plan.memory_limit) if on_cpu else nullcontext()


def peak_memory(plan: Plan) -> int:
    """Peak memory so far in bytes: of this process, or of torch on the accelerator."""
    device = torch.device(plan.device)
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else malloc.peak_bytes()


def _fixed(network: Network, plan: Plan, slots: int) -> int:
    """Bytes that do not depend on the batch: held already, weights, gradients and optimiser state."""
    each = slots * 4 + (2 if plan.precision == "bfloat16" else 0)  # autocast keeps a copy of each weight
    per_run = each * cost(network.arch).params
    device = torch.device(plan.device)
    if device.type == "cuda":
        is_placed = next(network.parameters()).device.type == "cuda"
        weights = 0 if is_placed else sum(t.numel() * t.element_size() for t in network.state_dict().values())
        return torch.cuda.memory_allocated(device) + weights + per_run
    return bytes_at_start() + per_run


def bytes_at_start() -> int:
    """Bytes that this process holds when training begins, with the kernels that the first step loads."""
    import torch._dynamo  # noqa: F401 (torch itself does, with the first optimiser: 150 MiB that would come later)

    malloc.release_free_memory()
    return malloc.resident_bytes() + FIRST_STEP_BYTES


def _schedule(units: Sequence[Unit], plan: Plan, fixed: int) -> MemorySchedule | None:
    """The cheapest schedule that stays below the ceiling with its fragmentation; else the tightest, if it
    fits."""
    room, tight = _ceiling(units, plan) - fixed, int(PLANNED_SHARE * plan.memory_limit) - fixed
    if torch.device(plan.device).type != "cpu":
        return memory.cheapest_within(units, tight)
    eager = memory.keep_everything(units)
    if EAGER_FRAGMENTATION * eager.peak <= room:
        return eager
    if schedule := memory.cheapest_within(units, int(room / FRAGMENTATION)):
        return schedule
    least = memory.smallest_peak(units)
    return least if least.peak <= tight else None


def _ceiling(units: Sequence[Unit], plan: Plan) -> int:
    """Bytes of a CPU process from which free memory goes back to the system."""
    largest = max(unit.reads + unit.inner + unit.transient for unit in units)
    return min(int(CEILING_SHARE * plan.memory_limit), plan.memory_limit - largest)


def _fragmentation(schedule: MemorySchedule) -> float:
    return FRAGMENTATION if schedule.segments else EAGER_FRAGMENTATION


def _units(arch: Arch, plan: Plan, batch: int) -> list[Unit]:
    precision: memory.Precision = "bfloat16" if plan.precision == "bfloat16" else "float32"
    return memory.list_units(arch, batch=batch, precision=precision)


def _refusal(arch: Arch, plan: Plan, batch: int, fixed: int) -> str:
    need = int((fixed + memory.smallest_peak(_units(arch, plan, batch)).peak) / PLANNED_SHARE) + 1
    batch_size = largest_fitting(
        batch, lambda images: _schedule(_units(arch, plan, images), plan, fixed) is not None
    )
    remedy = f"try --memory-limit {format_bytes(need + (1 << 25)).replace(' ', '')}"
    if batch_size > 1:
        remedy = f"try --set budget.batch_size={batch_size}, or {remedy.removeprefix('try ')}"
    return (
        f"{arch.name} at batch {batch} needs {format_bytes(need)} even with gradient checkpointing "
        f"of every block, the limit is {format_bytes(plan.memory_limit)}: {remedy}"
    )
