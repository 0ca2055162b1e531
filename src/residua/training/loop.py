"""One gradient, start to finish. Nothing here prints, saves or evaluates: the caller's for-loop decides."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from residua.data.batches import Batch
from residua.training.losses import LossFn
from residua.training.nonfinite import Agree, Guard


@dataclass(frozen=True, slots=True)
class Moment:
    """What one update did; tensors are still on the device."""

    step: int
    """Updates made so far, this one included."""
    loss: Tensor
    """Mean loss of the batch, before the update."""
    wrong: Tensor
    """Images of the batch whose highest logit was not their label's."""
    images: int
    """Images in the batch."""
    rate: float
    """Learning rate of this update."""
    bad: Tensor
    """The first step whose loss or gradient was not finite, counted like `step`; 0 when there is none."""
    skipped: Tensor
    """Updates left out so far."""


def train(
    network: nn.Module,
    batches: Iterable[Batch],
    judge: LossFn,
    *,
    optimizer: torch.optim.Optimizer,
    lr_at: Callable[[int], float],
    seed: int,
    done: int = 0,
    accumulate: int = 1,
    clip: float = 0.0,
    ready: Callable[[nn.Module], object] = nn.Module.train,
    skip: Agree | None = None,
) -> Iterator[Moment]:
    """Update `network` once per batch and yield a Moment each time; leave the for-loop to stop.

    `lr_at(step)` is the rate of update `step`, from 0; `done` counts those before a resume. All draws are
    keyed by (seed, step), so results do not depend on interruptions. A batch goes through in `accumulate`
    portions; gradients longer than `clip` are shortened; `ready` puts the network into training mode. From
    the first lost number on weights stay as they are, or with `skip`, by which processes agree, this once.
    """
    guard = Guard(optimizer, clip, network, skip=skip)
    ready(network)
    for step, batch in enumerate(batches, done):
        rate = lr_at(step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        torch.manual_seed((seed << 32) + step)
        if not network.training:  # the caller may have evaluated since the last step
            ready(network)
        optimizer.zero_grad(set_to_none=True)
        guard.begin()
        loss, wrong = guard.step(*backward(network, batch, judge, accumulate), step + 1)
        yield Moment(step + 1, loss, wrong, len(batch.labels), rate, guard.bad, guard.skipped)


def backward(network: nn.Module, batch: Batch, judge: LossFn, portions: int) -> tuple[Tensor, Tensor]:
    """Add the gradient of the batch's mean loss, by portions; that loss, and the images it got wrong."""
    losses, wrongs = [], []
    for part in batch.portions(portions):
        loss, wrong = judge(network, part)
        share = len(part.labels) / len(batch.labels)
        torch.autograd.backward(loss if share == 1 else loss * share)
        losses.append(loss.detach() * share)
        wrongs.append(wrong)
    return sum(losses[1:], losses[0]), sum(wrongs[1:], wrongs[0])
