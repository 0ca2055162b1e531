"""Translation: torch.compile of a network, whole or by block, where it measures faster than it costs."""

import copy
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

Way = tuple[Literal["off", "whole", "blocks"], Literal["on", "off"]]
"""What is translated, and whether as CUDA graphs."""
EAGER: Way = ("off", "off")

MOST_KINDS = 256
"""Kinds of blocks that one network may have; torch's own limit is 8, and layers of more run untranslated."""
MOST_BLOCKS = 60
"""Blocks of a network that is tried as a whole: translation takes longer the longer the code is."""
PAYS = {"cpu": 1800.0, "cuda": 600.0}
"""Seconds that a run must last, untranslated, before the minutes that translations take are tried on it."""
WORTH = 1.05
"""How many times faster than a simpler one a way must be."""
FEW = {"cpu": 100_000, "cuda": 5_000_000}
"""Images of a run, all epochs taken together, that is not worth measuring at all."""
SECONDS = 60.0
"""For timing all ways together, about, beside the minutes that their translation takes."""
STEP = 4.0
"""Seconds of a step that is timed, about, at most: slower ones are timed with fewer images."""
LEAST = 4
"""Images of a step that is timed, or as many as the batch has."""


def choose_compile(network: Network, plan: Plan, *, batch: int, steps: int, rate: float) -> tuple[Plan, str]:
    """`plan` with `compile` and `graphs` decided, and why.

    `rate` is how many images per second were measured without, 0 for not at all.
    """
    off = replace(plan, compile="off", graphs="off")
    if plan.compile != "auto":
        graphs: Literal["on", "off"] = "on" if plan.graphs == "on" else "off"
        return replace(plan, graphs=graphs), f"{plan.compile}, as asked"
    if plan.memory_limit:
        return off, "off: blocks that are computed twice are not translated"
    device = torch.device(plan.device).type
    if device not in PAYS:
        return off, f"off: not tried on {device}"
    if not rate and steps * batch < FEW[device]:
        return off, "off: a short run"
    images = min(batch, max(LEAST, int(rate * STEP))) if rate else batch
    rate = rate or timing.throughputs(measure(network, off, [EAGER], images)[0], images)[EAGER]
    lasts = steps * batch / rate
    if lasts < PAYS[device]:
        return off, f"off: about {lasts / 60:.0f} minutes to go are over before it pays"
    began = time.perf_counter()
    found, refused = measure(network, off, [EAGER, *_ways(network, plan)], images)
    took, rates = time.perf_counter() - began, timing.throughputs(found, images)
    best = timing.fastest(found, worth=WORTH)
    said = ", ".join(f"{_named(way)} {rate:.0f}/s" for way, rate in rates.items())
    said = f"{best[0]}: measured {said}, in {took:.0f} s"
    said += "".join(f"; {_named(way)} cannot be had ({why})" for way, why in refused.items())
    return replace(plan, compile=best[0], graphs=best[1]), said


def _named(way: Way) -> str:
    return f"{way[0]}{' as graphs' * (way[1] == 'on')}"


def _ways(network: Network, plan: Plan) -> list[Way]:
    """What is worth trying."""
    short = len(network.blocks()) <= MOST_BLOCKS
    ways: list[Way] = [("blocks", "off")]
    if short:
        ways.append(("whole", "off"))
    if short and plan.graphs != "off" and torch.device(plan.device).type == "cuda":
        ways.append(("whole", "on"))
    return ways


def measure(
    network: Network, plan: Plan, ways: list[Way], batch: int
) -> tuple[dict[Way, list[float]], dict[Way, str]]:
    """Seconds of training steps in each of `ways`, turn by turn, and why others than EAGER cannot be had."""
    made = {way: step(network, replace(plan, compile=way[0], graphs=way[1]), batch) for way in ways}
    refused = {}
    for way in ways:
        try:
            made[way]()
        except Exception as error:  # no compiler, an old one, too little memory: each raises its own
            if way == EAGER:
                raise
            refused[way] = one_line(error)
            del made[way]
    return timing.time_in_turns(made, worth=WORTH, seconds=SECONDS), refused


def step(network: Network, plan: Plan, batch: int) -> Callable[[], None]:
    """A function that takes a forward and backward step of a copy of `network` as `plan` says, to its end."""
    arch, form = network.arch, layout(plan.memory_format, 5 if network.arch.has_time else 4)
    twin: Network = copy.deepcopy(network).to(plan.device).to(memory_format=form).train()
    compile_network(twin, plan)
    images = torch.zeros(batch, *arch.input_shape, device=plan.device)
    images = images.contiguous(memory_format=layout(plan.memory_format, images.ndim))

    def take() -> None:
        twin.zero_grad(set_to_none=True)  # as the loop does: a graph overwrites the gradients it gave
        with torch.autocast(images.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            said = twin(images)
        logits: Tensor = said[0] if isinstance(said, tuple) else said
        torch.autograd.backward(logits.float().sum())
        if images.is_cuda:
            torch.cuda.synchronize(images.device)

    return take


def compile_network(network: Network, plan: Plan) -> None:
    """Have `network` translated when it is first called, as the plan says; its weights and names stay.

    Equal blocks share one translation: what differs from block to block are their weights, which are inputs.
    """
    mode = "reduce-overhead" if plan.graphs == "on" else None
    if plan.compile == "whole":
        network.compile(mode=mode)
    elif plan.compile == "blocks":
        for block in network.blocks():
            block.compile(mode=mode, recompile_limit=MOST_KINDS)


def uncompiled(plan: Plan) -> AbstractContextManager[object]:
    """While inside, networks run layer by layer: for other shapes and modes than those of training."""
    if plan.compile in ("whole", "blocks"):
        stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return stance
    return nullcontext()
