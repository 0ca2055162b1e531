"""Pace: how long the steps and epochs of a run take on this machine, timed on its own first batches.

A copy of the network is trained for a few steps: with the run's images, loader workers, loss, optimizer and
plan. Neither the run nor its random numbers change.
"""

import copy
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from residua.nn import device
from residua.spec.recipe import Recipe
from residua.training import compiling, memory, optim
from residua.training.learn_task import AnyLearnTask
from residua.training.loop import Moment, train
from residua.training.nonfinite import explain_out_of_memory, explain_worker_death
from residua.training.processes.world import SINGLE_PROCESS
from residua.training.schedule import run_length

MIN_STEPS = 3
"""Steps that are timed at least, besides the first."""
MAX_STEPS = 20
"""Steps that are timed at most."""
VALIDATION_SHARE = 0.5
"""Time of an image in validation as a share of its time in training: a forward pass is a third of a step, and
decoding takes as long. Our estimate."""
START_SECONDS = 2.0
"""Until the first step of a run that was not timed, about. Our estimate."""
OTHER_SHARE = 0.15
"""Time for loss, optimizer and loading, as a share of the forward and backward pass. Our estimate."""
SAVE_BYTES = 3e8
"""Bytes of a checkpoint that are written in a second, about. Our estimate."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that the parts of a run take."""

    start: float
    """Until the first step is done: workers start, images are decoded, the network is compiled."""
    step: float
    """One step."""
    epoch_end: float
    """Validation and checkpoints after an epoch."""

    def seconds(self, steps: int, steps_per_epoch: int) -> float:
        """Seconds of a run of so many steps."""
        return self.start + steps * self.step + -(-steps // steps_per_epoch) * self.epoch_end

    def epochs_within(self, seconds: float, steps_per_epoch: int) -> int:
        """Whole epochs that fit into so many seconds; 0 for none."""
        return max(0, int((seconds - self.start) / (steps_per_epoch * self.step + self.epoch_end)))

    def steps_within(self, seconds: float) -> int:
        """Steps that fit into so many seconds, before the end of an epoch; at least 1."""
        return max(1, int((seconds - self.start - self.epoch_end) / self.step))


def measure_pace(
    task: AnyLearnTask, dataset: Any, recipe: Recipe, network: nn.Module, *, seconds: float
) -> Pace:
    """Time the first steps of a run.

    Args:
        task: The task of the data.
        dataset: The opened examples.
        recipe: The recipe, with a plan without `auto`.
        network: The network with its first weights, which is copied.
        seconds: Time for timing, about; at least MIN_STEPS steps are timed.

    Returns:
        The pace of the run in one process.

    Raises:
        DataError: An example cannot be read.
        WorkerDiedError: A loader worker died.
        MemoryError: A batch does not fit into memory.
    """
    recipe = replace(recipe, augment=replace(recipe.augment, grow=(1.0, 0.0)))  # later crops take longest
    learner: Any = device.place_network(copy.deepcopy(network), recipe.plan)
    compiling.compile_network(learner, recipe.plan)
    times: list[float] = []
    began = time.perf_counter()
    with memory.retain_freed_memory(recipe.plan):
        try:
            for moment in _moments(task, dataset, recipe, learner):
                float(moment.loss)  # waits for the device
                times.append(time.perf_counter() - began - sum(times))
                if len(times) > MIN_STEPS and sum(times) > seconds:
                    break
        except RuntimeError as error:
            raise explain_worker_death(error, after=0) from None
    return _pace(dataset, recipe, learner, start=times[0], step=statistics.median(times[1:] or times))


def estimate_pace(dataset: Any, recipe: Recipe, network: nn.Module, *, rate: float) -> Pace:
    """The pace of a run in one process whose forward and backward passes make `rate` images per second."""
    batch_size = min(recipe.budget.batch_size, len(dataset.train))
    step = (1 + OTHER_SHARE) * batch_size / rate
    return _pace(dataset, recipe, network, start=START_SECONDS, step=step)


def _pace(dataset: Any, recipe: Recipe, network: nn.Module, *, start: float, step: float) -> Pace:
    """The pace of a run whose steps take `step` seconds."""
    networks = 2 if recipe.average.ema_decay else 1
    batch_size = min(recipe.budget.batch_size, len(dataset.train))
    validation = networks * VALIDATION_SHARE * step * len(dataset.test) / batch_size
    values = networks + optim.values_per_weight(recipe.optim)
    state_bytes = 4 * values * sum(weights.numel() for weights in network.parameters())
    return Pace(start, step, validation + state_bytes / SAVE_BYTES)


def _moments(task: AnyLearnTask, dataset: Any, recipe: Recipe, learner: Any) -> Iterator[Moment]:
    """The first steps of the run, with a learning rate of 0."""
    steps = min(1 + MAX_STEPS, run_length(recipe, len(dataset.train))[1])
    batches: Any = task.batches(
        dataset,
        recipe,
        first=0,
        steps=steps,
        workers=recipe.data.num_workers,
        world=SINGLE_PROCESS,
        device=recipe.plan.device,
    )
    batch_size = min(recipe.budget.batch_size, len(dataset.train))
    with closing(batches):
        moments = train(
            learner,
            batches,
            task.loss_fn(dataset, recipe, recipe.plan),
            optimizer=optim.make_optimizer(learner, recipe.optim, fused=recipe.plan.fused),
            lr_at=lambda _: 0.0,
            seed=recipe.seed,
            accumulate=recipe.budget.accumulate,
            grad_clip=recipe.optim.grad_clip,
            train_mode=optim.train_mode(recipe.optim),
        )
        yield from explain_out_of_memory(
            moments, share=batch_size, batch=batch_size, device=recipe.plan.device
        )
