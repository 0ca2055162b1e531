"""How long a run is, and its learning rate as a pure function of the step and of the epochs that are over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from residua.data.sampler import steps_per_epoch
from residua.spec.recipe import Recipe, Schedule


@dataclass(frozen=True, slots=True)
class Errors:
    """What one finished epoch came to; they are read from the metrics, so a resumed run sees the same."""

    train: float
    """Training error, in percent."""
    test: float
    """Test error, in percent."""


def length(recipe: Recipe, images: int) -> tuple[int, int]:
    """Updates in one epoch and in all."""
    each = steps_per_epoch(images, recipe.budget.batch_size)
    return each, recipe.budget.steps or each * recipe.budget.epochs


def lr_at(schedule: Schedule, peak: float, step: int, total: int, *, past: Sequence[Errors] = ()) -> float:
    """Rate of update `step` (from 0) of `total`, after the epochs `past`: warm-up, then the fall."""
    warm = round(schedule.warmup * total)
    if _still_warms(schedule, past):
        return peak * schedule.warmup_lr_factor
    if step < warm:
        low = peak * schedule.warmup_lr_factor
        return low if schedule.flat_warmup else low + (peak - low) * (step + 1) / (warm + 1)
    done = (step - warm) / max(1, total - warm)
    if schedule.shape == "step":
        return peak * 0.1 ** sum(step >= round(drop * total) for drop in schedule.drops)
    if schedule.shape == "plateau":
        return peak * 0.1 ** min(
            plateaus(schedule.patience, [errors.test for errors in past]), schedule.max_drops
        )
    if schedule.shape == "cosine":
        return peak * (1 + math.cos(math.pi * done)) / 2
    return peak * (1 - done) if schedule.shape == "linear" else peak


def plateaus(patience: int, errors: Sequence[float]) -> int:
    """How many times `patience` epochs went by without a new lowest error; each time counting begins anew."""
    best, waited, found = math.inf, 0, 0
    for error in errors:
        waited = 0 if error < best else waited + 1
        best = min(best, error)
        if waited == patience:
            found, waited = found + 1, 0
    return found


def _still_warms(schedule: Schedule, past: Sequence[Errors]) -> bool:
    return schedule.warmup_error > 0 and all(errors.train >= schedule.warmup_error for errors in past)
