"""One gradient, start to finish. Nothing here prints, saves or evaluates: the caller's for-loop decides."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from residua.data.batches import Batch
from residua.data.views import normalise
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan

Objective = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]


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


def objective(preprocess: Preprocess, plan: Plan, smoothing: float) -> Objective:
    """(network, batch) -> (mean cross-entropy, number of wrong images), in the plan's arithmetic."""
    layout = torch.channels_last if plan.memory_format == "channels_last" else torch.contiguous_format
    device = torch.device(plan.device)

    def judge(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        labels = batch.labels.to(device, non_blocking=True)
        images = normalise(batch.images.to(device, non_blocking=True), preprocess)
        images = images.contiguous(memory_format=layout)
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            logits = network(images)
        loss = cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        return loss, (logits.detach().argmax(1) != labels).sum()

    return judge


def train(
    network: nn.Module,
    batches: Iterable[Batch],
    judge: Objective,
    *,
    optimizer: torch.optim.Optimizer,
    rate_at: Callable[[int], float],
    seed: int,
    done: int = 0,
) -> Iterator[Moment]:
    """Update `network` once per batch and yield a Moment each time; leave the for-loop to stop.

    `rate_at(step)` is the rate of update `step`, from 0; `done` counts the updates before a resume.
    Dropout and every other draw of torch is keyed by (seed, step), so results do not depend on where a
    run was interrupted.
    """
    for step, batch in enumerate(batches, done):
        rate = rate_at(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed((seed << 32) + step)
        if not network.training:  # the caller may have evaluated since the last step
            network.train()
        optimizer.zero_grad(set_to_none=True)
        loss, wrong = judge(network, batch)
        torch.autograd.backward(loss)
        optimizer.step()
        yield Moment(step + 1, loss.detach(), wrong, len(batch.labels), rate)
