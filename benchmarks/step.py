"""Where the time of a training step goes, by layer, and what fusing norm and ReLU by hand would save.

First the CPU time of a float32 step in channels_last on one thread, by torch.profiler: each row is a part of
the step beside the whole. Then the step in turns with two changes of it, and with itself, which shows what
noise there is: a ReLU whose backward pass writes into the gradient it receives, and a function for a norm and
its ReLU that does the same. Both give the same bits as the network as it is. Pixels are random.
"""

import argparse
import contextlib
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from typing import Any

import torch
import turns
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

from residua import create_model
from residua.nn import malloc, sequence
from residua.nn.network import Network
from residua.nn.sequence import LayerSequence

BATCHES = {"cifar_resnet20": 128, "resnet18": 16}
PARTS = {
    "aten::mkldnn_convolution": "convolutions, forward",
    "aten::convolution_backward": "convolutions, backward",
    "aten::native_batch_norm": "norms, forward",
    "aten::native_batch_norm_backward": "norms, backward",
    "aten::clamp_min_": "ReLUs, forward",
    "aten::threshold_backward": "ReLUs, backward",
    "aten::add_": "sums of the paths, and of their gradients",
    "aten::add": "sums of the paths, and of their gradients",
    "aten::copy_": "copies between formats",
    "aten::max_pool2d_with_indices": "max pool",
    "aten::max_pool2d_with_indices_backward": "max pool",
    "aten::_fused_sgd_": "update",
}
"""Operators of the parts; all others are the rest."""
REST = "all else"
AS_IS, AGAIN = "the network as it is", "the same again"
Step = Callable[[], object]
Saved = Any  # what torch hands to the two passes of a Function


def masked(gradient: Tensor, y: Tensor) -> Tensor:
    """The gradient where `y` is above zero, in its own memory where that has the order of `y`."""
    mask = torch.ops.aten.threshold_backward
    if gradient.stride() != y.stride():
        return mask(gradient, y, 0)
    return mask.grad_input(gradient, y, 0, grad_input=gradient)


class InPlaceReLU(torch.autograd.Function):
    """ReLU in the memory of its input; its gradient in that of the one it receives."""

    @staticmethod
    def forward(ctx: Saved, x: Tensor) -> Tensor:
        y = torch.relu_(x)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Saved, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return masked(gradient, y)


class NormReLU(torch.autograd.Function):
    """Norm by the statistics of the batch and ReLU, of which the output of the norm is not kept."""

    @staticmethod
    def forward(ctx: Saved, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        running = norm.running_mean, norm.running_var
        y, *batch = torch.native_batch_norm(x, weight, bias, *running, True, norm.momentum, norm.eps)
        ctx.save_for_backward(x, weight, y.relu_(), *running, *batch)
        ctx.eps = norm.eps
        return y

    @staticmethod
    def backward(ctx: Saved, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, y, *means_and_deviations = ctx.saved_tensors
        given = masked(gradient, y), x, weight, *means_and_deviations
        return *torch.ops.aten.native_batch_norm_backward(*given, True, ctx.eps, [True] * 3), None


def changed(self: LayerSequence, x: Tensor, *, pairs: bool, may_overwrite: bool = False) -> Tensor:
    """The forward pass of a LayerSequence with InPlaceReLU, and with NormReLU for `pairs`."""
    norm: nn.BatchNorm2d | None = None
    for layer, after in zip_longest(self, [*self][1:]):
        if pairs and isinstance(layer, nn.BatchNorm2d) and isinstance(after, nn.ReLU):
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked.add_(1)
            norm, x = layer, NormReLU.apply(x, layer.weight, layer.bias, layer)
        elif norm is not None:
            norm = None  # its ReLU is done
        else:
            x = InPlaceReLU.apply(x) if may_overwrite and isinstance(layer, nn.ReLU) else layer(x)
        may_overwrite = isinstance(layer, sequence.PRODUCERS)
    return x


def method_of(function: Callable[..., Tensor], **given: bool) -> Callable[..., Tensor]:
    """`function` as a method, with arguments that are fixed; `keep` is not for training."""

    def method(self: LayerSequence, x: Tensor, *, may_overwrite: bool = False, keep: None = None) -> Tensor:
        assert keep is None
        return function(self, x, may_overwrite=may_overwrite, **given)

    return method


FORWARDS = {
    AS_IS: LayerSequence.forward,
    AGAIN: LayerSequence.forward,
    "ReLU in place, backward too": method_of(changed, pairs=False),
    "norm and ReLU as one function": method_of(changed, pairs=True),
}
"""What a LayerSequence runs."""


@contextlib.contextmanager
def forward_is(forward: Callable[..., Tensor]) -> Iterator[None]:
    """While inside, LayerSequences run `forward`."""
    usual = LayerSequence.forward
    LayerSequence.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        LayerSequence.forward = usual  # type: ignore[method-assign]


def step_of(network: Network, batch: int, forward: Callable[..., Tensor]) -> Step:
    """One update of `network`, each time the same batch."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, fused=True)
    images = torch.randn(batch, *network.arch.input_shape).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.int64)

    def step() -> None:
        with forward_is(forward):
            optimizer.zero_grad()
            cross_entropy(network(images), labels).backward()
            optimizer.step()

    return step


def parts_of(step: Step, rounds: int) -> dict[str, float]:
    """Milliseconds of CPU time of each part: medians of `rounds` steps."""
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            step()
        milliseconds = dict.fromkeys((*PARTS.values(), REST), 0.0)
        for event in profiled.key_averages():
            milliseconds[PARTS.get(event.key, REST)] += event.self_cpu_time_total / 1000
        found.append(milliseconds)
    return {part: statistics.median(one[part] for one in found) for part in found[0]}


def cpu_seconds(step: Step) -> float:
    """CPU time of one step, which others who use the machine change least."""
    began = time.process_time()
    step()
    return time.process_time() - began


def rows(args: argparse.Namespace) -> turns.Rows:
    """The parts of a step of each network, then the changes."""
    torch.set_num_threads(1)
    session = turns.Session(args.rounds, 0.0, 0.0)
    for name in args.models:
        network = create_model(name).to(memory_format=torch.channels_last).train()
        batch = args.batch or BATCHES[name]
        steps = {side: step_of(copy.deepcopy(network), batch, forward) for side, forward in FORWARDS.items()}
        step = steps[AS_IS]
        step()
        parts = parts_of(step, args.rounds)
        whole = sum(parts.values())
        for part, milliseconds in parts.items():
            if milliseconds:
                what = f"{name}, batch {batch}, {part}: {milliseconds / whole:.1%}"
                names = {"peer_name": "the whole step", "unit": "CPU ms"}
                yield turns.row(what, milliseconds, whole, **names, less_is_better=True, digits=1)
        timed = {side: partial(cpu_seconds, work) for side, work in steps.items()}
        measured = session.take_turns(timed, unit="CPU s")
        for side in [*steps][1:]:
            what = f"{name}, batch {batch}, {side}"
            yield turns.row_of_rounds(what, measured, side, AS_IS, unit="CPU s", less_is_better=True)
        measured.stop()


def main() -> None:
    """Print the rows."""
    parser = turns.parser(__doc__, rounds=9)
    parser.add_argument("--models", nargs="+", choices=[*BATCHES], default=[*BATCHES])
    parser.add_argument("--batch", type=int, default=0, help="by default 128 and 16")
    args = parser.parse_args()
    with malloc.retain_freed_memory():
        turns.show(rows(args), as_json=args.json)


if __name__ == "__main__":
    main()
