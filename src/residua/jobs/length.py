"""The length of a run by the clock: `--minutes`, and how long the default length of a small dataset takes."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from residua.errors import ConfigError
from residua.recipes import few_images
from residua.spec.amount import plural, quantity
from residua.spec.describe import cost
from residua.spec.recipe import Recipe
from residua.training.learn_task import AnyLearnTask
from residua.training.pace import Pace, estimate_pace, measure_pace
from residua.training.schedule import run_length

MAX_MINUTES = 525_600.0
"""Longest run that can be asked for: a year."""
DEFAULT_MINUTES = 30.0
"""Longest run that is chosen for a small dataset, unless the recipe itself is longer; our choice."""
AIM = 0.9
"""Share of the minutes that is planned: other programs may slow the machine."""
SLOW = 5e9
"""Multiply-adds per second of forward and backward passes on a slow machine; our estimate."""
SHORT_SHARE = 1 / 3
"""A run that takes at most this share of DEFAULT_MINUTES on a slow machine is not timed."""
TIMING_SHARE = 0.03
"""Share of a run that timing its steps may take."""
TIMING_SECONDS = 3.0, 30.0
"""Shortest and longest time for timing, about."""


@dataclass(frozen=True, slots=True)
class TimedRecipe:
    """A recipe whose length was chosen by the clock, or whose time is known."""

    recipe: Recipe
    """The recipe with its epochs or steps."""
    note: str = ""
    """How long training takes: a phrase; empty where nothing was timed."""
    is_measured: bool = False
    """Whether the length depends on what was timed."""


def check_minutes(minutes: float | None, settings: Collection[str]) -> None:
    """ConfigError for minutes that are no length, or beside another length."""
    if minutes is None:
        return
    if not 0 < minutes <= MAX_MINUTES:
        raise ConfigError(f"minutes is {minutes:g}: give a number above 0, at most {MAX_MINUTES:.0f}")
    if both := few_images.LENGTH & frozenset(settings):
        raise ConfigError(
            f"minutes is {minutes:g}, and {min(both)} is given too: both say how long to train, give one"
        )


def choose_length(
    recipe: Recipe,
    task: AnyLearnTask,
    dataset: Any,
    network: nn.Module,
    *,
    minutes: float | None,
    is_own: bool,
    rate: float = 0.0,
    processes: int = 1,
    announce: Callable[[str], None] = lambda _: None,
) -> TimedRecipe:
    """`recipe` with as many epochs as its time allows, where a time is given or limits a default length.

    Args:
        recipe: The recipe, with a plan without `auto`.
        task: The task of the data.
        dataset: The opened examples.
        network: The network with its first weights.
        minutes: Minutes that training with its validation may take; None leaves the length to the recipe.
        is_own: Whether the length was chosen for a small dataset, which DEFAULT_MINUTES limits.
        rate: Images per second of the plan, where they were measured; else steps are timed.
        processes: Processes that share each step, with cores or devices of their own.
        announce: Receives a line before steps are timed.

    Returns:
        The recipe.
    """
    count = len(dataset.train)
    if recipe.probe == "only" or (minutes is None and (not is_own or _is_short(recipe, count))):
        return TimedRecipe(recipe)
    shortest, longest = TIMING_SECONDS
    seconds = 60 * (minutes or 0.0)
    if rate and not minutes:
        pace = estimate_pace(dataset, recipe, network, rate=rate)
    else:
        timing = max(shortest, min(longest, TIMING_SHARE * seconds))
        announce(f"timing steps of this run, about {timing:.0f} s")
        pace = measure_pace(task, dataset, recipe, network, seconds=timing)
    pace = replace(pace, step=pace.step / processes)
    if minutes:
        recipe = _within(recipe, pace, AIM * seconds, count)
        steps_per_epoch, steps = run_length(recipe, count)
        took = format_duration(pace.seconds(steps, steps_per_epoch))
        return TimedRecipe(
            recipe, f"about {took} of {minutes:g} {plural(minutes, 'minute')}", is_measured=True
        )
    return _within_default(recipe, pace, count)


def _is_short(recipe: Recipe, count: int) -> bool:
    """Whether the run is far below DEFAULT_MINUTES on any machine, so that timing it would only cost time."""
    steps = run_length(recipe, count)[1]
    macs = 3 * cost(recipe.arch).macs * steps * min(recipe.budget.batch_size, count)
    return macs / SLOW < SHORT_SHARE * 60 * DEFAULT_MINUTES


def _within_default(recipe: Recipe, pace: Pace, count: int) -> TimedRecipe:
    """The default length of a small dataset, cut to DEFAULT_MINUTES, but not below that of the recipe."""
    steps_per_epoch, steps = run_length(recipe, count)
    least = few_images.DEFAULTS[recipe.name](recipe.arch, "").budget.epochs
    whole = pace.seconds(steps, steps_per_epoch)
    epochs = max(least, pace.epochs_within(60 * DEFAULT_MINUTES, steps_per_epoch))
    if epochs >= recipe.budget.epochs:
        return TimedRecipe(recipe, f"about {format_duration(whole)} on this machine")
    cut = replace(recipe, budget=replace(recipe.budget, epochs=epochs))
    took = format_duration(pace.seconds(epochs * steps_per_epoch, steps_per_epoch))
    why = f"{quantity(recipe.budget.epochs, 'epoch')} would take {format_duration(whole)}"
    return TimedRecipe(cut, f"about {took} on this machine ({why})", is_measured=True)


def _within(recipe: Recipe, pace: Pace, seconds: float, count: int) -> Recipe:
    """`recipe` with as many whole epochs as fit into so many seconds, or with some steps of the first."""
    steps_per_epoch, _ = run_length(recipe, count)
    if epochs := pace.epochs_within(seconds, steps_per_epoch):
        return replace(recipe, budget=replace(recipe.budget, epochs=epochs, steps=0))
    steps = min(steps_per_epoch, pace.steps_within(seconds))
    return replace(recipe, budget=replace(recipe.budget, epochs=1, steps=steps))


def format_duration(seconds: float) -> str:
    """`40 seconds`, `7 minutes` or `3.5 hours`."""
    if seconds < 90:
        return quantity(max(1, math.ceil(seconds)), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
