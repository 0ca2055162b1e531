"""The plan: memory format, precision, threads and compilation, chosen for this machine by measuring.

as given      settings without `auto` stay
accelerator   channels_last, bfloat16 where CUDA supports it; not measured
short run     channels_last, float32; not measured (fewer than MIN_STEPS steps)
few channels  contiguous on a CPU, where a network has a layer that torch cannot train in channels_last there
else, a CPU   steps in every combination of format and precision are timed in turns; the simplest wins unless
              another is MIN_SPEEDUP times faster
then          compiling.py decides about torch.compile
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import nn

from residua.nn.device import device_name, resolve_device
from residua.nn.letters import SubsampledConv
from residua.nn.network import Network
from residua.spec.describe import cost
from residua.spec.recipe import Plan
from residua.training import compiling, memory, timing

Placed = TypeVar("Placed", bound=nn.Module)
Format = Literal["contiguous", "channels_last"]
Precision = Literal["float32", "bfloat16"]

MAX_SAMPLE = 32
"""Most images of a timed step."""
SAMPLE_MACS = 2e9
"""Multiply-adds of a timed forward pass, about: enough for all cores, few enough for a second."""
TIMING_SECONDS = 10.0
"""Time for timing all combinations together, about."""
MIN_SPEEDUP = 1.15
"""How many times faster than a simpler combination another must be: bfloat16 is less exact."""
MIN_STEPS = 300
"""Fewest steps of a run for which measuring pays."""


@dataclass(frozen=True, slots=True)
class PlanChoice:
    """A plan without `auto`, and its reasons."""

    plan: Plan
    """The plan."""
    reason: str
    """Why this memory format and precision: one line."""
    compile_reason: str = ""
    """Whether the network is compiled, and why: one line."""


def choose_plan(network: Network, plan: Plan, *, batch: int, steps: int, portions: int = 1) -> PlanChoice:
    """Decide every `auto` of a plan for `network` on this machine.

    Args:
        network: The network that will be trained.
        plan: The plan of the recipe.
        batch: Images of a step.
        steps: Steps of the run.
        portions: Portions in which a batch passes through the network.

    Returns:
        The plan without `auto`, and the reasons.

    Raises:
        ConfigError: The device does not exist here.
    """
    if portions > 1:  # their gradients add up, which a CUDA graph would overwrite
        plan, batch, steps = replace(plan, graphs="off"), -(-batch // portions), steps * portions
    device = resolve_device(plan.device)
    threads = plan.threads or torch.get_num_threads()
    plan = replace(plan, device=str(device), threads=threads)
    note = ""
    if plan.memory_format != "contiguous" and device.type == "cpu" and (layer := _subsampled_conv(network)):
        plan = replace(plan, memory_format="contiguous")
        note = f"; contiguous, because oneDNN fails in channels_last at {layer}, which has few channels"
    with memory.retain_freed_memory(plan):
        plan, reason, rate = _choose_arithmetic(network, plan, batch=batch, steps=steps)
        plan, compile_reason = compiling.choose_compile(network, plan, batch=batch, steps=steps, rate=rate)
    return PlanChoice(plan, reason + note, compile_reason)


def _choose_arithmetic(network: Network, plan: Plan, *, batch: int, steps: int) -> tuple[Plan, str, float]:
    """The plan with format and precision, the reason, and the measured images per second, 0 for none."""
    device = torch.device(plan.device)
    where = f"{device}, {plan.threads} threads" if device.type == "cpu" else device_name(device)
    formats = _formats(network, plan) if plan.memory_format == "auto" else (plan.memory_format,)
    precisions: tuple[Precision, ...] = (
        ("float32", "bfloat16") if plan.precision == "auto" else (plan.precision,)
    )
    if len(formats) == len(precisions) == 1:
        return replace(plan, memory_format=formats[0], precision=precisions[0]), f"{where}, as asked", 0.0
    if device.type != "cpu" or steps < MIN_STEPS:
        use_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision: Precision = precisions[-1] if use_bfloat16 else precisions[0]
        chosen = replace(plan, memory_format=formats[0], precision=precision)
        return chosen, f"{where}, not measured ({'accelerator' if use_bfloat16 else 'short run'})", 0.0
    torch.set_num_threads(plan.threads)
    if plan.memory_limit:  # until the segments are known, which depend on what is measured here
        network.set_grad_checkpointing()
    images, began = min(batch, sample_size(network)), time.perf_counter()
    times = measure(network, batch=images, formats=formats, precisions=precisions)
    took, rates = time.perf_counter() - began, timing.throughputs(times, images)
    best = timing.fastest(times, worth=MIN_SPEEDUP)
    speeds = ", ".join(f"{form} {kind} {rate:.0f}/s" for (form, kind), rate in rates.items())
    chosen = replace(plan, memory_format=best[0], precision=best[1])
    return chosen, f"{where}; measured {speeds}, in {took:.0f} s", rates[best]


def _subsampled_conv(network: Network) -> str:
    """Name of the first layer that oneDNN cannot train in channels_last; empty if there is none."""
    return next((name for name, layer in network.named_modules() if isinstance(layer, SubsampledConv)), "")


def _formats(network: Network, plan: Plan) -> tuple[Format, ...]:
    """The memory formats to try, the likely one first: on CPUs, 3-D convolutions are slower in
    channels_last."""
    if network.arch.has_time and torch.device(plan.device).type == "cpu":
        return "contiguous", "channels_last"
    return "channels_last", "contiguous"


def measure(
    network: Network,
    *,
    batch: int,
    formats: tuple[Format, ...] = ("channels_last", "contiguous"),
    precisions: tuple[Precision, ...] = ("float32", "bfloat16"),
) -> dict[tuple[Format, Precision], list[float]]:
    """Seconds of training steps on the CPU in every combination, turn by turn, the default combination
    first.

    Args:
        network: The network, which is copied.
        batch: Images or clips of a step.
        formats: Memory formats to time, the default one first.
        precisions: Precisions to time, the default one first.

    Returns:
        (memory format, precision) -> seconds of its step in each turn, without the turn that warms up.
    """
    steps = {(form, kind): _step(network, form, kind, batch) for kind in precisions for form in formats}
    return timing.time_in_turns(steps, worth=MIN_SPEEDUP, seconds=TIMING_SECONDS)


def sample_size(network: Network) -> int:
    """Images, or clips, of a timed step; one clip is enough for all cores."""
    least = 1 if network.arch.has_time else 4
    return max(least, min(MAX_SAMPLE, int(SAMPLE_MACS / cost(network.arch).macs)))


def _step(network: Network, form: Format, kind: Precision, batch: int) -> Callable[[], None]:
    """A function that runs one forward and backward step in this format and precision."""
    return compiling.timing_step(network, Plan("cpu", form, kind, compile="off"), batch)
