"""torch.compile of a network, whole or block by block, where measurements show that it pays.

off, whole, blocks   as asked
auto                 as an earlier measurement on this machine says; else off, unless the run is long enough
                     to win back ten times the minutes that compiling takes: then eager, blocks, whole (and
                     CUDA graphs) are compiled and timed before the first step

The simplest mode that is MIN_SPEEDUP times faster than a simpler one wins, if over the run it wins back
MIN_RETURN times the seconds that compiling it took.
"""

import copy
import inspect
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from residua.data.decode import one_line
from residua.measure import timing
from residua.measure.measurements import (
    Measurement,
    describe_subject,
    load_measurement,
    save_measurement,
)
from residua.measure.timing import Timing, seconds_of
from residua.nn.clips import layout
from residua.nn.network import Network
from residua.spec.recipe import Plan

CompileMode = tuple[Literal["off", "whole", "blocks"], Literal["on", "off"]]
"""What is compiled, and whether as CUDA graphs."""
EAGER: CompileMode = ("off", "off")
_MODES: tuple[CompileMode, ...] = (EAGER, ("blocks", "off"), ("whole", "off"), ("whole", "on"))

MAX_BLOCK_KINDS = 256
"""Different blocks that are compiled in one network; torch's own limit is 8, beyond which blocks run
eagerly."""
MAX_WHOLE_BLOCKS = 60
"""Largest number of blocks of a network that is compiled as a whole, which takes longer the longer the code
is."""
BLOCK_SECONDS = {"cpu": 10.0, "cuda": 6.0}
"""Seconds to compile one block, forward and backward, about: on two cores, and beside a GPU."""
EXPECTED_GAIN = 0.1
"""Share of the run that compiling is expected to save, before it was measured."""
MIN_RETURN = 10.0
"""How many times the seconds of compiling a run must save."""
MANY_IMAGES = 10_000_000
"""Images of a run of unknown speed, over all epochs, below which not even an eager step is timed."""
MIN_SPEEDUP = 1.05
"""How many times faster than a simpler mode a mode must be."""
TIMING_SECONDS = 30.0
"""Longest time for timing all modes together, beside the minutes for compiling them."""
MAX_SHARE = 0.03
"""Largest share of the predicted run that timing all modes may take."""
STEP_SECONDS = 4.0
"""Longest time of a timed step, about: slower steps are timed with fewer images."""
MIN_STEP_IMAGES = 4
"""Fewest images of a timed step, unless the batch has fewer."""


def choose_compile(
    network: Network,
    plan: Plan,
    *,
    batch: int,
    steps: int,
    rate: float,
    max_seconds: float = math.inf,
    announce: Callable[[str], None] = lambda _: None,
) -> tuple[Plan, str]:
    """Decide `compile` and `graphs` of a plan.

    Args:
        network: The network.
        plan: The plan; its other fields have no `auto` left.
        batch: Images of a step.
        steps: Steps of the run.
        rate: Images per second of eager training; 0 when not measured.
        max_seconds: Longest time of the run, which may end before `steps`.
        announce: Receives a line before something is compiled.

    Returns:
        The plan, and the reason in one line.
    """
    off = replace(plan, compile="off", graphs="off")
    if plan.compile != "auto":
        graphs: Literal["on", "off"] = "on" if plan.graphs == "on" else "off"
        return replace(plan, graphs=graphs), f"{plan.compile}, as asked"
    if obstacle := _obstacle(plan):
        return off, f"off: {obstacle}"
    modes, images = [EAGER, *_compile_modes(network, plan)], float(steps * batch)
    subject = _subject(network, off, modes, batch)
    if (known := load_measurement(Measurement, subject)) and _is_whole(known, modes):
        images = min(images, max_seconds * known.rates[_mode_name(EAGER)])
        return _decide(plan, known, images, "measured earlier on this machine:")
    if not rate and images < MANY_IMAGES:
        return off, "off: a short run"
    seconds = BLOCK_SECONDS[torch.device(plan.device).type] * _blocks_to_compile(network, modes)
    sample = min(batch, max(MIN_STEP_IMAGES, int(rate * STEP_SECONDS))) if rate else batch
    rate = rate or _eager_rate(network, off, sample)
    images = min(images, max_seconds * rate)
    run_seconds = images / rate
    if run_seconds * EXPECTED_GAIN < MIN_RETURN * seconds:
        return off, f"off: a run of about {_duration(run_seconds)} is too short for it to pay"
    names = ", ".join(map(_mode_name, modes[1:]))
    announce(f"compiling {names} to time them: about {_duration(seconds)}")
    timed, failures, first = measure(network, off, modes, sample, repeats=images / sample)
    rates = {_mode_name(mode): rate for mode, rate in timed.rates(sample).items()}
    best = _mode_name(timing.fastest(timed.turns, worth=MIN_SPEEDUP))
    measured = Measurement(subject, best, rates, first)
    if timed.is_answer and not failures:
        save_measurement(measured)
    chosen, reason = _decide(plan, measured, images, "measured")
    return chosen, reason + "".join(f"; {_mode_name(mode)} failed ({why})" for mode, why in failures.items())


def _obstacle(plan: Plan) -> str:
    """Why a run under `plan` cannot be compiled; empty where it can."""
    if plan.memory_limit:
        return "not used with gradient checkpointing"
    device = torch.device(plan.device).type
    return "" if device in BLOCK_SECONDS else f"not tried on {device}"


def _decide(plan: Plan, measured: Measurement, images: float, when: str) -> tuple[Plan, str]:
    """The plan for a run of so many `images`, and the reason."""
    speeds = ", ".join(f"{name} {rate:.0f}/s" for name, rate in measured.rates.items())
    reason, best = f"{when} {speeds}", measured.fastest
    eager = _mode_name(EAGER)
    if best != eager:
        cost = measured.first_seconds[best]
        saved = images / measured.rates[eager] - images / measured.rates[best]
        reason += f"; compiling takes {_duration(cost)} and saves {_duration(saved)}"
        best = best if saved >= MIN_RETURN * cost else eager
    mode = next(mode for mode in _MODES if _mode_name(mode) == best)
    return replace(plan, compile=mode[0], graphs=mode[1]), f"{mode[0]}: {reason}"


def _is_whole(known: Measurement, modes: list[CompileMode]) -> bool:
    """Whether a measurement has all that `_decide` needs."""
    names = {_mode_name(mode) for mode in modes}
    return known.rates.keys() == names and known.first_seconds.keys() == names - {_mode_name(EAGER)}


def _subject(network: Network, plan: Plan, modes: list[CompileMode], batch: int) -> str:
    """All that the speed of compiled steps depends on."""
    return describe_subject(
        "compiling",
        network.arch,
        torch.device(plan.device),
        threads=plan.threads,
        batch=batch,
        ways=[_mode_name(mode) for mode in modes],
        arithmetic=[plan.memory_format, plan.precision],
    )


def _blocks_to_compile(network: Network, modes: list[CompileMode]) -> int:
    """How many blocks are compiled for all `modes`: each kind once, or all of them."""
    blocks = [repr(block) for block in network.blocks()]
    return sum(len(set(blocks)) if kind == "blocks" else len(blocks) for kind, _ in modes if kind != "off")


def _eager_rate(network: Network, plan: Plan, images: int) -> float:
    """Images per second of an eager step."""
    step = timing_step(network, plan, images)
    return images / min(seconds_of(step) for _ in range(2))


def _duration(seconds: float) -> str:
    """`40 s`, `3 minutes` or `9 hours`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.0f} hours"


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
    network: Network, plan: Plan, modes: list[CompileMode], batch: int, *, repeats: float
) -> tuple[Timing[CompileMode], dict[CompileMode, str], dict[str, float]]:
    """Time training steps in each mode, turn by turn.

    Args:
        network: The network, which is copied.
        plan: Device, memory format and precision.
        modes: The modes, EAGER first.
        batch: Images of a step.
        repeats: How many times as long as such a step the run is.

    Returns:
        For each mode its seconds in each turn; for each mode that failed, why; and by name the seconds that
        compiling each other mode took.
    """
    steps = {
        mode: timing_step(network, replace(plan, compile=mode[0], graphs=mode[1]), batch) for mode in modes
    }
    failures, first = {}, {}
    for mode in modes:
        try:
            first[_mode_name(mode)] = seconds_of(steps[mode])
        except Exception as error:  # no compiler, an old one, too little memory: each raises its own
            if mode == EAGER:
                raise
            failures[mode] = one_line(error)
            del steps[mode]
    del first[_mode_name(EAGER)]
    timed = timing.time_in_turns(steps, worth=MIN_SPEEDUP, limit=partial(_limit, repeats=repeats))
    return timed, failures, first


def _limit(step_seconds: float, *, repeats: float) -> float:
    """Seconds for timing before a run that repeats a timed step so many times."""
    return min(TIMING_SECONDS, MAX_SHARE * step_seconds * repeats)


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
