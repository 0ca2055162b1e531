"""The length of a run, and its learning rate as a pure function of the step and of the finished epochs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from residua.data.sampler import steps_per_epoch
from residua.spec.recipe import Recipe, Schedule


@dataclass(frozen=True, slots=True)
class EpochErrors:
    """Errors of a finished epoch, read from the metrics, so that a resumed run has the same."""

    train: float
    """Training error, in percent."""
    test: float
    """Test error, in percent."""


def run_length(recipe: Recipe, images: int) -> tuple[int, int]:
    """Updates in one epoch, and in all, for so many training images; a probe alone has none."""
    budget = recipe.budget
    per_epoch = steps_per_epoch(images, budget.batch_size, drop_last=budget.drop_last)
    if recipe.probe == "only":
        return per_epoch, 0
    return per_epoch, budget.steps or per_epoch * budget.epochs


def lr_at(
    schedule: Schedule, peak: float, step: int, total: int, *, past: Sequence[EpochErrors] = ()
) -> float:
    """Learning rate of one update: warm-up, then the decay of the schedule.

    Args:
        schedule: Shape and warm-up.
        peak: The learning rate after warm-up.
        step: The update, from 0.
        total: Updates of the run.
        past: Errors of the finished epochs, for plateaus and for a warm-up that ends at an error.

    Returns:
        The learning rate.
    """
    warmup_steps = round(schedule.warmup * total)
    if _is_warming_up(schedule, past):
        return peak * schedule.warmup_lr_factor
    if step < warmup_steps:
        low = peak * schedule.warmup_lr_factor
        return low if schedule.flat_warmup else low + (peak - low) * (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, total - warmup_steps)
    if schedule.shape == "step":
        return peak * 0.1 ** sum(step >= round(drop * total) for drop in schedule.drops)
    if schedule.shape == "plateau":
        return peak * 0.1 ** min(
            count_plateaus(schedule.patience, [errors.test for errors in past]), schedule.max_drops
        )
    if schedule.shape == "cosine":
        return peak * (1 + math.cos(math.pi * progress)) / 2
    return peak * (1 - progress) if schedule.shape == "linear" else peak


def count_plateaus(patience: int, errors: Sequence[float]) -> int:
    """How often `patience` epochs passed without a new lowest error; counting restarts each time."""
    best, waited, count = math.inf, 0, 0
    for error in errors:
        waited = 0 if error < best else waited + 1
        best = min(best, error)
        if waited == patience:
            count, waited = count + 1, 0
    return count


def _is_warming_up(schedule: Schedule, past: Sequence[EpochErrors]) -> bool:
    return schedule.warmup_error > 0 and all(errors.train >= schedule.warmup_error for errors in past)
