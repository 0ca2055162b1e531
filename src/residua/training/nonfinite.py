"""NaN and infinity in training: skip such updates, and name where the first one came from.

    each update    NonFiniteGuard decides on the device, so that the host need not wait for a GPU:
                   loss and gradient finite -> update; else the weights (with `skip`: buffers, too) stay
    now and then   the session reads `nonfinite_step`; if set, it repeats the batch layer by layer
    then           describe_nonfinite names step, layer and images: stop, or roll back

This module also words the two other failures of a step: no memory, and a loader worker that died.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from residua.data import loader
from residua.data.batches import Batch
from residua.data.dataset import Split
from residua.errors import ConfigError, is_out_of_memory
from residua.files import write_file
from residua.runs.run import DIVERGED, Run
from residua.spec.amount import quantity
from residua.training.losses import LossFn
from residua.training.processes.world import World

T = TypeVar("T")

AnyProcess = Callable[[Tensor], Tensor]
"""From a bool tensor of this process to whether it is true on any process, on the device."""

MAX_SKIPS = 10
"""Updates that may be skipped one after the other: with more, the batch is not the cause."""
NAMED_IMAGES = 3
"""Images named in the message; all are listed in diverged.json."""
NOT_REPEATED = "it cannot be repeated"
"""Stands for the layer when a second pass of the batch is finite."""

_WORKER_REMEDY = (
    "`residua resume` continues; if it happens again, free memory, "
    "or set data.num_workers to 0 in recipe.json"
)
# Optimisers whose fused kernels read `found_inf` on the device.
_SKIPPING_OPTIMIZERS = (torch.optim.SGD, torch.optim.AdamW)


class NonFiniteGuard:
    """Clips gradients, and holds updates back from the first NaN or infinite loss or gradient on.

    The decision stays on the device. Only the fused kernels of SGD and AdamW can skip an update there; other
    optimisers are held back on the CPU alone.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        grad_clip: float,
        network: nn.Module,
        *,
        skip: AnyProcess | None = None,
    ) -> None:
        """Guard `optimizer`.

        Args:
            optimizer: Its gradients are those of `network`.
            grad_clip: Largest norm of the gradient; 0 does not clip.
            network: Its buffers are restored when an update is skipped.
            skip: Skip only such updates, on all processes that this function combines; None holds back all
                updates from the first one on.

        Raises:
            ConfigError: `skip` with an optimiser that cannot skip on its accelerator.
        """
        self._optimizer, self._grad_clip, self._skip = optimizer, grad_clip, skip
        self._weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        device = self._weights[0].device
        self.nonfinite_step, self.num_skipped, self._num_in_a_row = torch.zeros(
            3, dtype=torch.int64, device=device
        ).unbind()
        self._skips_on_device = isinstance(optimizer, _SKIPPING_OPTIMIZERS) and bool(
            optimizer.defaults.get("fused")
        )
        if skip and not self._skips_on_device and device.type != "cpu":
            raise ConfigError(
                "optim.on_nonfinite is skip: on an accelerator give optim.kind sgd or adamw, fused"
            )
        if skip and self._skips_on_device:
            _fill_momenta(optimizer)
        self._buffers = list(network.buffers()) if skip else []
        self._copies = [buffer.clone() for buffer in self._buffers]

    def begin(self) -> None:
        """Copy the buffers, before a batch passes through the network."""
        for copy, buffer in zip(self._copies, self._buffers, strict=True):
            copy.copy_(buffer)

    def step(self, loss: Tensor, num_wrong: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Update the weights with their gradients, unless one of them or `loss` is NaN or infinite.

        Args:
            loss: Mean loss of the batch, a scalar.
            num_wrong: Wrong images of the batch.
            number: Number of this step, from 1.

        Returns:
            `loss` and `num_wrong`; both 0 for a skipped update.
        """
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self._grad_clip:
            nn.utils.clip_grads_with_norm_(self._weights, self._grad_clip, norm)
        is_bad = ~(torch.isfinite(norm) & torch.isfinite(loss))
        if self._skip:
            is_bad = self._skip(is_bad)
            loss, num_wrong = torch.where(is_bad, 0, loss), torch.where(is_bad, 0, num_wrong)
            self._num_in_a_row = torch.where(is_bad, self._num_in_a_row + 1, 0)
            self.num_skipped = self.num_skipped + is_bad
            for copy, buffer in zip(self._copies, self._buffers, strict=True):
                buffer.copy_(torch.where(is_bad, copy, buffer))
        is_final = self._num_in_a_row >= MAX_SKIPS if self._skip else is_bad
        self.nonfinite_step = torch.where((self.nonfinite_step == 0) & is_final, number, self.nonfinite_step)
        hold = is_bad | (self.nonfinite_step > 0)
        if self._skips_on_device:
            self._optimizer.found_inf = hold.float()  # type: ignore[attr-defined]
            self._optimizer.grad_scale = None  # type: ignore[attr-defined]
        elif hold.device.type == "cpu" and bool(hold):
            return loss, num_wrong
        self._optimizer.step()
        return loss, num_wrong


def _fill_momenta(optimizer: torch.optim.Optimizer) -> None:
    """Zeros for momenta, which SGD leaves undefined when its first update is skipped."""
    for group in optimizer.param_groups:
        if isinstance(optimizer, torch.optim.SGD) and group["momentum"]:
            for weight in group["params"]:
                optimizer.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))


def first_nonfinite_layer(network: nn.Module, batch: Batch, loss_fn: LossFn, *, seed: int, step: int) -> str:
    """Repeat a step layer by layer to find where NaN or infinity comes from.

    Args:
        network: The network in training mode, with the weights before the step.
        batch: The batch of the step.
        loss_fn: The loss function.
        seed: The seed of `loop.train`.
        step: The step, from 0.

    Returns:
        A clause that names the layer, or NOT_REPEATED.
    """
    network.zero_grad(set_to_none=True)
    with _record_nonfinite_layers(network) as layers:
        torch.manual_seed((seed << 32) + step)
        loss, _ = loss_fn(network, batch)
        if layers:
            return f"the first layer whose output is NaN or infinite is {layers[0]}"
        if not bool(torch.isfinite(loss)):
            return "every layer is finite, the loss alone is not"
        torch.autograd.backward(loss)
    names = [name for name, weight in network.named_parameters() if _is_nonfinite(weight.grad)]
    return f"the gradient of {names[-1]} is the first that is not finite" if names else NOT_REPEATED


def describe_nonfinite(layer: str, batch: Batch, split: Split, *, step: int, run: Run, world: World) -> str:
    """Which step, layer and images led to NaN or infinity. Collective: all processes must call it.

    Args:
        layer: The clause of `first_nonfinite_layer` on this process.
        batch: Its part of the batch.
        split: The training images.
        step: The step, from 1.
        run: All images of the batch are listed in its diverged.json.
        world: The processes; the first that found a layer counts.

    Returns:
        A clause for the error message, equal on every process.
    """
    clauses = world.gather([(layer, batch.indices)])
    where, indices = next((pair for pair in clauses if pair[0] != NOT_REPEATED), clauses[0])
    return world.run_on_main(
        lambda: _list_images(run, replace(batch, indices=indices), split, step=step, layer=where)
    )


def _list_images(run: Run, batch: Batch, split: Split, *, step: int, layer: str) -> str:
    titles = [split.title(i) for i in batch.indices.tolist()]
    facts = {"step": step, "layer": layer, "images": titles}
    write_file(file := run.path / DIVERGED, json.dumps(facts, indent=2))
    first, more = ", ".join(titles[:NAMED_IMAGES]), len(titles) - NAMED_IMAGES
    rest = f" and {more} more, listed in {file}" if more > 0 else ""
    return f"NaN or infinity at step {step}: {layer}; the batch contains {first}{rest}"


def explain_out_of_memory(moments: Iterator[T], *, share: int, batch: int, device: str) -> Iterator[T]:
    """Yield `moments`, and explain a batch that does not fit into memory.

    Args:
        moments: The training loop.
        share: Images of a batch on this process.
        batch: Images of a batch in all.
        device: The device of this process.

    Raises:
        MemoryError: A batch does not fit; the message names a batch size that may.
    """
    try:
        yield from moments
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = f"a batch of {quantity(share, 'image')} does not fit into the memory of {device}"
        remedy = f"train with --set budget.batch_size={max(2, batch // 2)}, or with more processes"
        raise MemoryError(f"{message}: {remedy}") from None


def explain_worker_death(error: RuntimeError, *, after: int) -> RuntimeError:
    """WorkerDiedError when `error` is the death of a loader worker, after so many updates; else `error`."""
    death = loader.find_worker_death(error)
    return death.at(f"after step {after}", cure=_WORKER_REMEDY) if death else error


@contextmanager
def _record_nonfinite_layers(network: nn.Module) -> Iterator[list[str]]:
    """The names of layers with NaN or infinity in their output, in the order of computation."""
    names: list[str] = []
    handles = []
    for name, layer in network.named_modules():
        if next(layer.children(), None) is None:

            def record(_layer: nn.Module, _inputs: object, output: object, name: str = name) -> None:
                if isinstance(output, Tensor) and _is_nonfinite(output):  # anchors come as lists
                    names.append(name)

            handles.append(layer.register_forward_hook(record))
    try:
        yield names
    finally:
        for handle in handles:
            handle.remove()


def _is_nonfinite(value: Tensor | None) -> bool:
    return value is not None and not bool(torch.isfinite(value).all())
