"""torch.compile of a network, whole or block by block, where measurements show that it pays.

a short run                                   off, not measured
eager run shorter than MIN_SECONDS            off: compiling takes longer than it saves
else                                          time eager, blocks, whole (and CUDA graphs); the simplest that
                                              is MIN_SPEEDUP times faster than a simpler one wins
"""

import copy
import inspect
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from residua.data.decode import one_line
from residua.nn.clips import layout
from residua.nn.network import Network
from residua.spec.recipe import Plan
from residua.training import timing

CompileMode = tuple[Literal["off", "whole", "blocks"], Literal["on", "off"]]
"""What is compiled, and whether as CUDA graphs."""
EAGER: CompileMode = ("off", "off")

MAX_BLOCK_KINDS = 256
"""Different blocks that are compiled in one network; torch's own limit is 8, beyond which blocks run
eagerly."""
MAX_WHOLE_BLOCKS = 60
"""Largest number of blocks of a network that is compiled as a whole, which takes longer the longer the code
is."""
MIN_SECONDS = {"cpu": 1800.0, "cuda": 600.0}
"""Seconds that an eager run must last before compiling, which takes minutes, is tried."""
MIN_SPEEDUP = 1.05
"""How many times faster than a simpler mode a mode must be."""
MIN_IMAGES = {"cpu": 100_000, "cuda": 5_000_000}
"""Images of a run, over all epochs, below which nothing is measured."""
TIMING_SECONDS = 60.0
"""Time for timing all modes together, about, beside the minutes for compiling them."""
STEP_SECONDS = 4.0
"""Longest time of a timed step, about: slower steps are timed with fewer images."""
MIN_STEP_IMAGES = 4
"""Fewest images of a timed step, unless the batch has fewer."""


def choose_compile(network: Network, plan: Plan, *, batch: int, steps: int, rate: float) -> tuple[Plan, str]:
    """Decide `compile` and `graphs` of a plan.

    Args:
        network: The network.
        plan: The plan; its other fields have no `auto` left.
        batch: Images of a step.
        steps: Steps of the run.
        rate: Images per second of eager training; 0 when not measured.

    Returns:
        The plan, and the reason in one line.
    """
    off = replace(plan, compile="off", graphs="off")
    if plan.compile != "auto":
        graphs: Literal["on", "off"] = "on" if plan.graphs == "on" else "off"
        return replace(plan, graphs=graphs), f"{plan.compile}, as asked"
    if plan.memory_limit:
        return off, "off: not used with gradient checkpointing"
    device = torch.device(plan.device).type
    if device not in MIN_SECONDS:
        return off, f"off: not tried on {device}"
    if not rate and steps * batch < MIN_IMAGES[device]:
        return off, "off: a short run"
    images = min(batch, max(MIN_STEP_IMAGES, int(rate * STEP_SECONDS))) if rate else batch
    rate = rate or timing.throughputs(measure(network, off, [EAGER], images)[0], images)[EAGER]
    eager_seconds = steps * batch / rate
    if eager_seconds < MIN_SECONDS[device]:
        return off, f"off: a run of about {eager_seconds / 60:.0f} minutes is too short for it to pay"
    began = time.perf_counter()
    times, failures = measure(network, off, [EAGER, *_compile_modes(network, plan)], images)
    took, rates = time.perf_counter() - began, timing.throughputs(times, images)
    best = timing.fastest(times, worth=MIN_SPEEDUP)
    speeds = ", ".join(f"{_mode_name(mode)} {rate:.0f}/s" for mode, rate in rates.items())
    reason = f"{best[0]}: measured {speeds}, in {took:.0f} s"
    reason += "".join(f"; {_mode_name(mode)} failed ({why})" for mode, why in failures.items())
    return replace(plan, compile=best[0], graphs=best[1]), reason


def _mode_name(mode: CompileMode) -> str:
    return f"{mode[0]}{' as graphs' * (mode[1] == 'on')}"


def _compile_modes(network: Network, plan: Plan) -> list[CompileMode]:
    """The modes that are timed besides eager, from the simplest to the least simple."""
    is_short = len(network.blocks()) <= MAX_WHOLE_BLOCKS
    modes: list[CompileMode] = [("blocks", "off")]
    if is_short:
        modes.append(("whole", "off"))
    if is_short and plan.graphs != "off" and torch.device(plan.device).type == "cuda":
        modes.append(("whole", "on"))
    return modes


def measure(
    network: Network, plan: Plan, modes: list[CompileMode], batch: int
) -> tuple[dict[CompileMode, list[float]], dict[CompileMode, str]]:
    """Time training steps in each mode, turn by turn.

    Args:
        network: The network, which is copied.
        plan: Device, memory format and precision.
        modes: The modes, EAGER among them.
        batch: Images of a step.

    Returns:
        For each mode its seconds in each turn; and for each mode that failed, why.
    """
    steps = {
        mode: timing_step(network, replace(plan, compile=mode[0], graphs=mode[1]), batch) for mode in modes
    }
    failures = {}
    for mode in modes:
        try:
            steps[mode]()
        except Exception as error:  # no compiler, an old one, too little memory: each raises its own
            if mode == EAGER:
                raise
            failures[mode] = one_line(error)
            del steps[mode]
    return timing.time_in_turns(steps, worth=MIN_SPEEDUP, seconds=TIMING_SECONDS), failures


def timing_step(network: Network, plan: Plan, batch: int) -> Callable[[], None]:
    """A function that runs a forward and backward step of a copy of `network` under `plan`, and waits for its
    end.

    Args:
        network: The network, which is copied and stays as it is.
        plan: Device, memory format, precision and compilation, without `auto`.
        batch: Images or clips of a step; all their values are 0.

    Returns:
        A function without arguments. With compilation, its first call compiles the network.
    """
    arch, form = network.arch, layout(plan.memory_format, 5 if network.arch.has_time else 4)
    copied: Network = copy.deepcopy(network).to(plan.device).to(memory_format=form).train()
    compile_network(copied, plan)
    images = torch.zeros(batch, *arch.input_shape, device=plan.device)
    images = images.contiguous(memory_format=layout(plan.memory_format, images.ndim))

    def run_step() -> None:
        copied.zero_grad(
            set_to_none=True
        )  # as the loop does: a CUDA graph overwrites the gradients of its last run
        with torch.autocast(images.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            output = copied(images)
        logits: Tensor = output[0] if isinstance(output, tuple) else output
        torch.autograd.backward(logits.float().sum())
        if images.is_cuda:
            torch.cuda.synchronize(images.device)

    return run_step


def compile_network(network: Network, plan: Plan) -> None:
    """Compile `network` as `plan` says, when it is first called; its weights and their names stay.

    Equal blocks share one compiled function: only their weights differ, and these are its inputs.
    """
    mode = "reduce-overhead" if plan.graphs == "on" else None
    if plan.compile == "whole":
        network.compile(mode=mode)
    elif plan.compile == "blocks":
        limit = _limit_of_kinds()
        for block in network.blocks():
            block.compile(mode=mode, **limit)


def _limit_of_kinds() -> dict[str, int]:
    """Arguments of `compile` that allow MAX_BLOCK_KINDS; torch 2.11 has a setting of the process instead."""
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        return {"recompile_limit": MAX_BLOCK_KINDS}
    torch._dynamo.config.recompile_limit = MAX_BLOCK_KINDS
    return {}


def uncompiled(plan: Plan) -> AbstractContextManager[object]:
    """While inside, networks run eagerly: for other shapes and modes than those of training."""
    if plan.compile in ("whole", "blocks"):
        stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return stance
    return nullcontext()
