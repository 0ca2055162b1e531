"""The plan: memory format, precision and threads, measured on the machine at hand, chosen and said."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import nn

from residua.nn.device import device_name, resolve_device
from residua.nn.network import Network
from residua.spec.describe import cost
from residua.spec.recipe import Plan
from residua.training import compiling, memory, timing

Placed = TypeVar("Placed", bound=nn.Module)
Format = Literal["contiguous", "channels_last"]
Precision = Literal["float32", "bfloat16"]

SAMPLE = 32
"""Images per measured step, at most."""
WORK = 2e9
"""Multiply-adds of a measured forward pass, about: enough to fill the cores, little enough for a second."""
SECONDS = 10.0
"""For timing all arithmetics together, about: no turn begins later, once there were enough."""
WORTH = 1.15
"""How many times faster than a simpler one an arithmetic must be: bfloat16 is less exact."""
SHORT = 300
"""Runs of fewer steps are over before a measurement pays."""


@dataclass(frozen=True, slots=True)
class PlanChoice:
    """A plan without `auto`, and why."""

    plan: Plan
    """What will be done."""
    reason: str
    """Why this arithmetic: one line for the terminal."""
    translation: str = ""
    """Whether the network is compiled, and why: one line."""


def choose_plan(network: Network, plan: Plan, *, batch: int, steps: int, portions: int = 1) -> PlanChoice:
    """`plan` with every `auto` decided for `network` on this machine.

    `portions` of a batch go through one after the other. ValueError when its device is not here.
    """
    if portions > 1:  # whose gradients add up, where a graph would overwrite them
        plan, batch, steps = replace(plan, graphs="off"), -(-batch // portions), steps * portions
    device = resolve_device(plan.device)
    threads = plan.threads or torch.get_num_threads()
    found = replace(plan, device=str(device), threads=threads)
    with memory.retain_freed_memory(found):
        found, reason, rate = _arithmetic(network, found, batch=batch, steps=steps)
        found, translation = compiling.choose_compile(network, found, batch=batch, steps=steps, rate=rate)
    return PlanChoice(found, reason, translation)


def _arithmetic(network: Network, plan: Plan, *, batch: int, steps: int) -> tuple[Plan, str, float]:
    """`plan` with format and precision, why, and the images per second that were measured, 0 for none."""
    formats = _formats(network, plan) if plan.memory_format == "auto" else (plan.memory_format,)
    precisions: tuple[Precision, ...] = (
        ("float32", "bfloat16") if plan.precision == "auto" else (plan.precision,)
    )
    device = torch.device(plan.device)
    where = f"{device}, {plan.threads} threads" if device.type == "cpu" else device_name(device)
    if len(formats) == len(precisions) == 1:
        return replace(plan, memory_format=formats[0], precision=precisions[0]), f"{where}, as asked", 0.0
    if device.type != "cpu" or steps < SHORT:
        quick = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision: Precision = precisions[-1] if quick else precisions[0]
        chosen = replace(plan, memory_format=formats[0], precision=precision)
        return chosen, f"{where}, not measured ({'accelerator' if quick else 'short run'})", 0.0
    torch.set_num_threads(plan.threads)
    if plan.memory_limit:  # until the schedule is known, which depends on what is measured here
        network.set_grad_checkpointing()
    images, began = min(batch, sample_size(network)), time.perf_counter()
    found = measure(network, batch=images, formats=formats, precisions=precisions)
    took, rates = time.perf_counter() - began, timing.throughputs(found, images)
    best = timing.fastest(found, worth=WORTH)
    said = ", ".join(f"{form} {kind} {rate:.0f}/s" for (form, kind), rate in rates.items())
    chosen = replace(plan, memory_format=best[0], precision=best[1])
    return chosen, f"{where}; measured {said}, in {took:.0f} s", rates[best]


def _formats(network: Network, plan: Plan) -> tuple[Format, ...]:
    """What may be chosen, the likely one first: on CPUs convolutions of clips are slower channels last."""
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
    """Seconds of training steps on the CPU in every combination, turn by turn, the default one first."""
    steps = {(form, kind): _step(network, form, kind, batch) for kind in precisions for form in formats}
    return timing.time_in_turns(steps, worth=WORTH, seconds=SECONDS)


def sample_size(network: Network) -> int:
    """Images, or clips, that make a measured step; one clip fills the cores."""
    least = 1 if network.arch.has_time else 4
    return max(least, min(SAMPLE, int(WORK / cost(network.arch).macs)))


def _step(network: Network, form: Format, kind: Precision, batch: int) -> Callable[[], None]:
    """A function that takes one forward and backward step in this arithmetic."""
    return compiling.step(network, Plan("cpu", form, kind, compile="off"), batch)
