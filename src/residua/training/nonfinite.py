"""Guard: lets an update through only while every number is one, and finds where the first one was lost."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from residua.data import loader
from residua.data.batches import Batch
from residua.runs.run import Run, write
from residua.training.losses import LossFn
from residua.training.processes.world import World
from residua.training.task import Split

T = TypeVar("T")

Agree = Callable[[Tensor], Tensor]
"""Makes of what this process claims, a bool on the device, what all processes do."""

IN_A_ROW = 10
"""Updates that may be left out one after the other: with more it is not one batch that is bad."""
FEW = 3
"""Images named in the message."""

GO_ON = (
    "`residua resume` goes on; if it comes again, free memory, or set data.num_workers to 0 in recipe.json"
)
"""What to do when a process died that reads."""
NOT_AGAIN = "it cannot be repeated"
"""What is said of a batch in which every number is one."""

HOLDS = (torch.optim.SGD, torch.optim.AdamW)
"""Optimisers whose fused kernel can be told on the device to leave everything as it is."""


class Guard:
    """Clips gradients, and holds updates back from the first loss or gradient on that is not finite.

    The decision stays on the device, so that the host need not wait: `bad` is the first such step, else 0. An
    optimiser that cannot be told there is held back on the CPU alone. With `skip`, only the lost updates are
    left out, and `bad` is the step at which `IN_A_ROW` of them have followed each other.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, clip: float, network: nn.Module, *, skip: Agree | None = None
    ) -> None:
        """Guard `optimizer`, and shorten gradients to `clip`, 0 for never.

        `skip` makes of what this process lost what all did. ValueError when the optimiser cannot be told.
        """
        self._optimizer, self._clip, self._skip = optimizer, clip, skip
        self._weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        device = self._weights[0].device
        self.bad, self.skipped, self._row = torch.zeros(3, dtype=torch.int64, device=device).unbind()
        self._told = isinstance(optimizer, HOLDS) and bool(optimizer.defaults.get("fused"))
        if skip and not self._told and device.type != "cpu":
            raise ValueError(
                "optim.on_nonfinite is skip: on an accelerator give optim.kind sgd or adamw, fused"
            )
        if skip and self._told:
            _fill_momenta(optimizer)
        self._buffers = list(network.buffers()) if skip else []
        self._kept = [buffer.clone() for buffer in self._buffers]

    def begin(self) -> None:
        """A batch is about to go through the network."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    def step(self, loss: Tensor, wrong: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Update the weights with their gradients, those of `loss`; this is step `number`, from 1.

        What counts of `loss` and `wrong`: nothing of an update that is left out.
        """
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        length = nn.utils.get_total_norm(gradients)
        if self._clip:
            nn.utils.clip_grads_with_norm_(self._weights, self._clip, length)
        lost = ~(torch.isfinite(length) & torch.isfinite(loss))
        if self._skip:
            lost = self._skip(lost)
            loss, wrong = torch.where(lost, 0, loss), torch.where(lost, 0, wrong)
            self._row = torch.where(lost, self._row + 1, 0)
            self.skipped = self.skipped + lost
            for kept, buffer in zip(self._kept, self._buffers, strict=True):
                buffer.copy_(torch.where(lost, kept, buffer))
        final = self._row >= IN_A_ROW if self._skip else lost
        self.bad = torch.where((self.bad == 0) & final, number, self.bad)
        held = lost | (self.bad > 0)
        if self._told:
            self._optimizer.found_inf = held.float()  # type: ignore[attr-defined]
            self._optimizer.grad_scale = None  # type: ignore[attr-defined]
        elif held.device.type == "cpu" and bool(held):
            return loss, wrong
        self._optimizer.step()
        return loss, wrong


def _fill_momenta(optimizer: torch.optim.Optimizer) -> None:
    """Zeros for momenta that SGD would leave undefined where its first update is left out."""
    for group in optimizer.param_groups:
        if isinstance(optimizer, torch.optim.SGD) and group["momentum"]:
            for weight in group["params"]:
                optimizer.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))


def first_bad_layer(network: nn.Module, batch: Batch, judge: LossFn, *, seed: int, step: int) -> str:
    """Where numbers are lost when `batch` goes through as it did at update `step`, from 0: one clause."""
    network.zero_grad(set_to_none=True)
    with _watched(network) as lost:
        torch.manual_seed((seed << 32) + step)
        loss, _ = judge(network, batch)
        if lost:
            return f"the first layer that says NaN or infinity is {lost[0]}"
        if not bool(torch.isfinite(loss)):
            return "every layer is finite, the loss alone is not"
        torch.autograd.backward(loss)
    wild = [name for name, weight in network.named_parameters() if _is_lost(weight.grad)]
    return f"the gradient of {wild[-1]} is the first that is not finite" if wild else NOT_AGAIN


def told(run: Run, batch: Batch, images: Split, *, step: int, layer: str) -> str:
    """What went wrong in `batch` at `step`, from 1, as a clause; all of its images go into the run's file."""
    titles = [images.title(i) for i in batch.indices.tolist()]
    found = {"step": step, "layer": layer, "images": titles}
    write(file := run.path / "diverged.json", json.dumps(found, indent=2))
    few, more = ", ".join(titles[:FEW]), len(titles) - FEW
    others = f" and {more} more, listed in {file}" if more > 0 else ""
    return f"numbers were lost at step {step}: {layer}; in the batch were {few}{others}"


def fitting(moments: Iterator[T], *, share: int, batch: int, device: str) -> Iterator[T]:
    """`moments`; MemoryError, with a batch that may fit, when `share` images of a `batch` do not."""
    try:
        yield from moments
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        said = f"a batch of {share} images does not fit into the memory of {device}"
        less = f"train with --set budget.batch_size={max(2, batch // 2)}, or with more processes"
        raise MemoryError(f"{said}: {less}") from None


def of_worker(error: RuntimeError, *, after: int) -> RuntimeError:
    """WorkerDiedError where `error` is about a process that reads, after so many updates; else `error`."""
    died = loader.of_worker(error)
    return died.at(f"after step {after}", cure=GO_ON) if died else error


def agreed(layer: str, batch: Batch, images: Split, *, step: int, run: Run, world: World) -> str:
    """What went wrong at `step`, as `told` by the first process in whose share of the batch it did."""
    found = world.gather([(layer, batch.indices)])
    where, indices = next((pair for pair in found if pair[0] != NOT_AGAIN), found[0])
    return world.share(lambda: told(run, replace(batch, indices=indices), images, step=step, layer=where))


@contextmanager
def _watched(network: nn.Module) -> Iterator[list[str]]:
    """The names of layers whose outputs were not finite, in the order in which they answered."""
    lost: list[str] = []
    handles = []
    for name, layer in network.named_modules():
        if next(layer.children(), None) is None:

            def look(_layer: nn.Module, _given: object, said: object, name: str = name) -> None:
                if isinstance(said, Tensor) and _is_lost(said):  # anchors come as lists
                    lost.append(name)

            handles.append(layer.register_forward_hook(look))
    try:
        yield lost
    finally:
        for handle in handles:
            handle.remove()


def _is_lost(value: Tensor | None) -> bool:
    return value is not None and not bool(torch.isfinite(value).all())
