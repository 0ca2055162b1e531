"""Learning rate as a pure function of the step."""

import math

from residua.spec.recipe import Schedule


def rate_at(schedule: Schedule, peak: float, step: int, total: int) -> float:
    """Rate of update `step` (from 0) of `total`: the warm-up, then the fall from `peak`."""
    warm = round(schedule.warmup * total)
    if step < warm:
        low = peak * schedule.warmup_rate
        return low if schedule.flat_warmup else low + (peak - low) * (step + 1) / (warm + 1)
    done = (step - warm) / max(1, total - warm)
    if schedule.shape == "step":
        return peak * 0.1 ** sum(step >= round(drop * total) for drop in schedule.drops)
    if schedule.shape == "cosine":
        return peak * (1 + math.cos(math.pi * done)) / 2
    return peak * (1 - done) if schedule.shape == "linear" else peak
