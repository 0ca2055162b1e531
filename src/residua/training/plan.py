"""The plan: memory format, precision, threads and compilation, chosen for this machine by measuring.

as given      settings without `auto` stay
accelerator   channels_last, bfloat16 where CUDA supports it; not measured
short run     channels_last, float32; not measured (fewer than MIN_STEPS steps); fine-tuning: `fast_precision`
few channels  contiguous on a CPU, where a network has a layer that torch cannot train in channels_last there
no units      float32 on a CPU that has no units for bfloat16, and so would emulate it
else, a CPU   steps in the combinations that are left are timed in turns; the simplest wins unless another is
              MIN_SPEEDUP times faster. A later run of the same network on this machine takes the same answer
then          compiling.py decides about torch.compile

Timing takes TIMING_SECONDS at most, and MAX_SHARE of the run as its fastest step so far predicts it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import nn

from residua.measure import timing
from residua.measure.measurements import (
    Measurement,
    describe_subject,
    load_measurement,
    save_measurement,
)
from residua.measure.timing import MAX_RATIO, Timing
from residua.nn.device import device_name, resolve_device, torch_threads
from residua.nn.letters import SubsampledConv
from residua.nn.network import Network
from residua.nn.processor import has_bfloat16_units
from residua.spec.amount import quantity
from residua.spec.describe import cost
from residua.spec.memory import Precision
from residua.spec.recipe import Plan
from residua.training import compiling, memory

Placed = TypeVar("Placed", bound=nn.Module)
Format = Literal["contiguous", "channels_last"]
Way = tuple[Format, Precision]
"""A combination of memory format and precision."""

MAX_SAMPLE = 32
"""Most images of a timed step."""
SAMPLE_MACS = 2e9
"""Multiply-adds of a timed forward pass, about: enough for all cores, few enough for a second."""
TIMING_SECONDS = 6.0
"""Longest time for timing all combinations together."""
MAX_SHARE = 0.03
"""Largest share of the predicted run that timing may take."""
MIN_SPEEDUP = 1.15
"""How many times faster than a simpler combination another must be: bfloat16 is less exact."""
MIN_STEPS = 300
"""Fewest steps of a run for which measuring pays."""
EMULATED = "no bfloat16, which this processor would emulate"


@dataclass(frozen=True, slots=True)
class PlanChoice:
    """A plan without `auto`, and its reasons."""

    plan: Plan
    """The plan."""
    reason: str
    """Why this memory format and precision: one line."""
    compile_reason: str = ""
    """Whether the network is compiled, and why: one line."""
    rate: float = 0.0
    """Measured images per second of forward and backward passes without compilation; 0 for not measured."""


def choose_plan(
    network: Network,
    plan: Plan,
    *,
    batch: int,
    steps: int,
    portions: int = 1,
    max_seconds: float = math.inf,
    announce: Callable[[str], None] = lambda _: None,
) -> PlanChoice:
    """Decide every `auto` of a plan for `network` on this machine.

    Args:
        network: The network that will be trained.
        plan: The plan of the recipe.
        batch: Images of a step.
        steps: Steps of the run.
        portions: Portions in which a batch passes through the network.
        max_seconds: Longest time of the run, which may end before `steps`.
        announce: Receives a line before each measurement: what is measured, and how long that takes at most.

    Returns:
        The plan without `auto`, and the reasons.

    Raises:
        ConfigError: The device does not exist here.
    """
    if portions > 1:  # their gradients add up, which a CUDA graph would overwrite
        plan, batch, steps = replace(plan, graphs="off"), -(-batch // portions), steps * portions
    device = resolve_device(plan.device)
    threads = plan.threads or torch_threads()
    plan = replace(plan, device=str(device), threads=threads)
    note = ""
    if plan.memory_format != "contiguous" and device.type == "cpu" and (layer := _subsampled_conv(network)):
        plan = replace(plan, memory_format="contiguous")
        note = f"; contiguous, because oneDNN fails in channels_last at {layer}, which has few channels"
    with memory.retain_freed_memory(plan):
        plan, reason, rate = _choose_arithmetic(network, plan, batch=batch, steps=steps, announce=announce)
        plan, compile_reason = compiling.choose_compile(
            network,
            plan,
            batch=batch,
            steps=steps,
            rate=rate,
            max_seconds=max_seconds,
            announce=announce,
        )
    return PlanChoice(plan, reason + note, compile_reason, rate)


def fast_precision(plan: Plan, *, steps: int) -> Plan:
    """`plan` of a run too short to measure, with bfloat16 on a CPU that has units for it.

    For fine-tuning, whose features are computed in that precision already: it moves weights little.

    Args:
        plan: The plan of the recipe.
        steps: Steps of the run.
    """
    if plan.precision != "auto" or steps >= MIN_STEPS or resolve_device(plan.device).type != "cpu":
        return plan
    return replace(plan, precision="bfloat16") if has_bfloat16_units() else plan


def _choose_arithmetic(
    network: Network, plan: Plan, *, batch: int, steps: int, announce: Callable[[str], None]
) -> tuple[Plan, str, float]:
    """The plan with format and precision, the reason, and the measured images per second, 0 for none."""
    device = torch.device(plan.device)
    where = f"{device}, {quantity(plan.threads, 'thread')}" if device.type == "cpu" else device_name(device)
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
    if plan.precision == "auto" and emulates_bfloat16():
        precisions, where = ("float32",), f"{where}; {EMULATED}"
    ways: tuple[Way, ...] = tuple((form, kind) for kind in precisions for form in formats)
    if len(ways) == 1:
        return replace(plan, memory_format=ways[0][0], precision=ways[0][1]), where, 0.0
    if plan.memory_limit:  # until the segments are known, which depend on what is measured here
        network.set_grad_checkpointing()
    best, rates, when = _fastest(network, plan, ways, batch=batch, steps=steps, announce=announce)
    speeds = ", ".join(f"{_name(way)} {rate:.0f}/s" for way, rate in rates.items())
    return replace(plan, memory_format=best[0], precision=best[1]), f"{where}; {when} {speeds}", rates[best]


def _fastest(
    network: Network,
    plan: Plan,
    ways: tuple[Way, ...],
    *,
    batch: int,
    steps: int,
    announce: Callable[[str], None],
) -> tuple[Way, dict[Way, float], str]:
    """The fastest way, the images per second of each that was tried, and when that was measured."""
    images, names = min(batch, sample_size(network)), {_name(way): way for way in ways}
    subject = describe_subject(
        "arithmetic",
        network.arch,
        torch.device("cpu"),
        threads=plan.threads,
        batch=batch,
        ways=list(names),
        is_checkpointed=plan.memory_limit > 0,
    )
    known = load_measurement(Measurement, subject)
    if known and known.rates.keys() <= names.keys():
        rates = {names[name]: rate for name, rate in known.rates.items()}
        return names[known.fastest], rates, "measured earlier on this machine:"
    announce(f"timing {' and '.join(names)}, at most {TIMING_SECONDS:.0f} s")
    limit, began = partial(_limit, repeats=steps * batch / images), time.perf_counter()
    timed = measure(network, batch=images, ways=ways, limit=limit)
    took, rates = time.perf_counter() - began, timed.rates(images)
    best = timing.fastest(timed.turns, worth=MIN_SPEEDUP)
    if timed.is_answer:
        speeds = {_name(way): rate for way, rate in rates.items()}
        save_measurement(Measurement(subject, _name(best), speeds))
        return best, rates, f"measured in {took:.0f} s:"
    return best, rates, f"measured in {took:.0f} s, too short a time to prefer another:"


def _limit(step_seconds: float, *, repeats: float) -> float:
    """Seconds for timing before a run that repeats a timed step so many times."""
    return min(TIMING_SECONDS, MAX_SHARE * step_seconds * repeats)


def _name(way: Way) -> str:
    return " ".join(way)


def emulates_bfloat16() -> bool:
    """Whether the CPU computes bfloat16 without units for it, several times slower than float32.

    Where the system does not say, a small convolution is timed: a step of a whole network may take minutes.
    """
    has_units = has_bfloat16_units()
    if has_units is not None:
        return not has_units
    images = torch.zeros(2, 64, 16, 16).contiguous(memory_format=torch.channels_last)
    conv = nn.Conv2d(64, 64, 3, padding=1)

    def step(precision: torch.dtype) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            torch.autograd.backward(conv(images).float().sum())

    steps = {kind: partial(step, kind) for kind in (torch.float32, torch.bfloat16)}
    seconds = [min(timing.seconds_of(work) for _ in range(3)) for work in steps.values()]
    return seconds[1] > MAX_RATIO * seconds[0]


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
    network: Network, *, batch: int, ways: tuple[Way, ...], limit: Callable[[float], float]
) -> Timing[Way]:
    """Seconds of training steps on the CPU in every combination, turn by turn.

    Args:
        network: The network, which is copied.
        batch: Images or clips of a step.
        ways: The combinations, the default one first.
        limit: As in `timing.time_in_turns`.

    Returns:
        The seconds of a step in each combination.
    """
    steps = {way: _step(network, *way, batch) for way in ways}
    return timing.time_in_turns(steps, worth=MIN_SPEEDUP, limit=limit)


def sample_size(network: Network) -> int:
    """Images, or clips, of a timed step; one clip is enough for all cores."""
    least = 1 if network.arch.has_time else 4
    return max(least, min(MAX_SAMPLE, int(SAMPLE_MACS / cost(network.arch).macs)))


def _step(network: Network, form: Format, kind: Precision, batch: int) -> Callable[[], None]:
    """A function that runs one forward and backward step in this format and precision."""
    return compiling.timing_step(network, Plan("cpu", form, kind, compile="off"), batch)
