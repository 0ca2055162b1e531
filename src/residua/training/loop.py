"""The training loop: a generator of Moments. It does not print, save or evaluate; its caller does."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from residua.data.batches import Batch
from residua.training.losses import LossFn
from residua.training.nonfinite import AnyProcess, NonFiniteGuard


@dataclass(frozen=True, slots=True)
class Moment:
    """The result of one update. Tensors are on the device, so that reading one waits for it."""

    step: int
    """Updates made so far, this one included."""
    loss: Tensor
    """Mean loss of the batch, before the update."""
    num_wrong: Tensor
    """Images of the batch that are classified wrongly."""
    num_images: int
    """Images in the batch."""
    lr: float
    """Learning rate of this update."""
    nonfinite_step: Tensor
    """The first step, counted like `step`, with a loss or gradient that is not finite; 0 for none."""
    num_skipped: Tensor
    """Updates skipped so far."""


def train(
    network: nn.Module,
    batches: Iterable[Batch],
    loss_fn: LossFn,
    *,
    optimizer: torch.optim.Optimizer,
    lr_at: Callable[[int], float],
    seed: int,
    done: int = 0,
    accumulate: int = 1,
    grad_clip: float = 0.0,
    train_mode: Callable[[nn.Module], object] = nn.Module.train,
    skip: AnyProcess | None = None,
) -> Iterator[Moment]:
    """Update `network` once for each batch and yield a Moment each time. Leave the for-loop to stop.

    Dropout is keyed by (seed, step), so results do not depend on interruptions. From the first loss or
    gradient that is NaN or infinite, weights stay as they are; with `skip`, only that update is left out.

    Args:
        network: The network on its device.
        batches: One batch for each update.
        loss_fn: (network, batch) -> mean loss, number of wrong images.
        optimizer: Its groups may carry a `scale`, which multiplies their learning rate.
        lr_at: Learning rate of the update after so many, from 0.
        seed: Seed of everything random in the network.
        done: Updates made before, in a resumed run.
        accumulate: Portions in which a batch passes through the network.
        grad_clip: Largest norm of the gradient; 0 does not clip.
        train_mode: Puts the network into training mode.
        skip: Combines over processes whether an update is skipped; None never skips.

    Yields:
        The result of each update.
    """
    guard = NonFiniteGuard(optimizer, grad_clip, network, skip=skip)
    train_mode(network)
    for step, batch in enumerate(batches, done):
        lr = lr_at(step)
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("scale", 1.0)
        torch.manual_seed((seed << 32) + step)
        if not network.training:  # the caller may have evaluated since the last step
            train_mode(network)
        optimizer.zero_grad(set_to_none=True)
        guard.begin()
        loss, num_wrong = guard.step(*backward(network, batch, loss_fn, accumulate), step + 1)
        yield Moment(
            step + 1, loss, num_wrong, len(batch.labels), lr, guard.nonfinite_step, guard.num_skipped
        )


def backward(network: nn.Module, batch: Batch, loss_fn: LossFn, portions: int) -> tuple[Tensor, Tensor]:
    """Add the gradient of the mean loss, by portions; returns that loss and the number of wrong images.

    Args:
        network: The network in training mode; the gradient is added to that of its weights.
        batch: The images or clips of one update.
        loss_fn: (network, batch) -> mean loss, number of wrong images.
        portions: Portions in which the batch passes through the network; more need less memory.

    Returns:
        The losses of the portions, averaged by their numbers of images, and the number of wrong images. Both
        are scalars on the device, without gradient.
    """
    losses, counts = [], []
    for portion in batch.chunk(portions):
        loss, num_wrong = loss_fn(network, portion)
        share = len(portion.labels) / len(batch.labels)
        torch.autograd.backward(loss if share == 1 else loss * share)
        losses.append(loss.detach() * share)
        counts.append(num_wrong)
    return sum(losses[1:], losses[0]), sum(counts[1:], counts[0])
