"""Defaults for small datasets: a batch size, a length and an image size that suit few images.

Epochs do not measure training on few images: 20 epochs of 190 images in batches of 64 are 40 updates. Only
the default recipes for images change. A recipe that the user names or writes keeps its numbers, and so does
every setting that the user gives.
"""

import math
from collections.abc import Collection
from dataclasses import replace

from residua.data.sampler import steps_per_epoch
from residua.recipes.modern import finetune
from residua.recipes.quick import photos, small
from residua.spec.amount import quantity
from residua.spec.arch import Arch
from residua.spec.recipe import Recipe

DEFAULTS = {"quick.small": small, "quick.photos": photos, "finetune": finetune}
"""The recipes that change. Other defaults are made for one dataset, or for boxes and clips."""
MIN_UPDATES = 1500
"""Updates that training from scratch gets at least; our choice."""
MAX_EPOCHS = 150
"""Most epochs for that: more passes over the same few images only memorize them. Our choice."""
STEPS_PER_EPOCH = 10
"""Batches of an epoch, at least, as long as a batch keeps MIN_BATCH_SIZE images; our choice."""
MIN_BATCH_SIZE = 8
"""Smallest batch: batch norms need the statistics of several images; our choice."""
CPU_SIZE = 128
"""Side of photographs on a CPU, in pixels: a third of the arithmetic of 224 pixels. Our choice."""
SIZE_STEP = 32
"""Sides are multiples of this: most networks for photographs shrink their input 32 times."""

LENGTH = frozenset(("budget.epochs", "budget.steps"))
"""Settings that give the length."""
SIZE = "arch.preprocess.size"
"""The setting that gives the image size."""


def is_small(recipe: Recipe, count: int) -> bool:
    """Whether `count` training images get fewer than MIN_UPDATES updates from the default `recipe`."""
    if recipe.name not in DEFAULTS:
        return False
    standard = DEFAULTS[recipe.name](recipe.arch, "").budget
    return standard.epochs * (count // standard.batch_size) < MIN_UPDATES


def with_batch(recipe: Recipe, count: int, *, settings: Collection[str]) -> Recipe:
    """`recipe` whose batch suits `count` training images, and which leaves out none of them.

    The learning rate falls in proportion to the batch size (Goyal et al. 2017). Fine-tuning keeps its batch.

    Args:
        recipe: A default recipe, before the user's settings.
        count: Training images.
        settings: Paths of the recipe that the user sets.

    Returns:
        The recipe; unchanged for large datasets, and where the user sets the batch.
    """
    if not is_small(recipe, count) or "budget.accumulate" in settings or recipe.probe != "off":
        return recipe
    budget, lr = replace(recipe.budget, drop_last=False), recipe.optim.lr
    most = max(MIN_BATCH_SIZE, count // STEPS_PER_EPOCH)
    if most < budget.batch_size and "budget.batch_size" not in settings:
        batch_size = max(2, -(-count // steps_per_epoch(count, most, drop_last=False)))
        lr = float(f"{lr * batch_size / budget.batch_size:.2g}")
        budget = replace(budget, batch_size=batch_size)
    return replace(recipe, budget=budget, optim=replace(recipe.optim, lr=lr))


def with_even_batches(recipe: Recipe, count: int, *, settings: Collection[str]) -> Recipe:
    """Fine-tuning whose batches share `count` images evenly, so that an epoch shows few of them twice.

    Args:
        recipe: A default recipe, with the user's settings.
        count: Training images.
        settings: Paths of the recipe that the user sets.

    Returns:
        The recipe, with as many steps an epoch; unchanged for other recipes, and where the user sets the
        batch.
    """
    budget = recipe.budget
    if recipe.probe != "first" or budget.drop_last or "budget.batch_size" in settings:
        return recipe
    steps = steps_per_epoch(count, budget.batch_size, drop_last=False)
    return replace(recipe, budget=replace(budget, batch_size=-(-count // steps)))


def with_length(recipe: Recipe, count: int, *, settings: Collection[str]) -> Recipe:
    """`recipe` with enough epochs for the minimum of updates.

    Args:
        recipe: A default recipe, with the user's settings.
        count: Training images.
        settings: Paths of the recipe that the user sets.

    Returns:
        The recipe; unchanged for large datasets, for fine-tuning, and where the user sets the length.
    """
    if not is_small(recipe, count) or recipe.probe != "off" or LENGTH & frozenset(settings):
        return recipe
    budget = recipe.budget
    steps = steps_per_epoch(count, budget.batch_size, drop_last=budget.drop_last)
    epochs = max(budget.epochs, min(MAX_EPOCHS, math.ceil(MIN_UPDATES / steps)))
    return replace(recipe, budget=replace(budget, epochs=epochs))


def cpu_size(arch: Arch, side: int) -> int:
    """Side in pixels at which `arch` reads few photographs on a CPU.

    Args:
        arch: The network.
        side: Median shorter side of the photographs, in pixels.

    Returns:
        At most CPU_SIZE, the side of the photographs, and the side that the network has.
    """
    fitting = max(SIZE_STEP, min(CPU_SIZE, side // SIZE_STEP * SIZE_STEP))
    return arch.preprocess.size if arch.is_flat else min(arch.preprocess.size, fitting)


def describe(recipe: Recipe, standard: Recipe, count: int, *, settings: Collection[str]) -> str:
    """What was chosen for a small dataset, with the options that choose otherwise; empty for nothing.

    Args:
        recipe: The resolved recipe.
        standard: The same recipe for a large dataset, without the user's settings.
        count: Training images.
        settings: Paths of the recipe that the user sets.
    """
    if not is_small(standard, count):
        return ""
    old, new = standard.budget, recipe.budget
    old_size, size = standard.arch.preprocess.size, recipe.arch.preprocess.size
    chosen = []
    if new.batch_size != old.batch_size and "budget.batch_size" not in settings:
        chosen.append(f"batch size {new.batch_size} (--batch-size)")
    has_rest = count % new.batch_size > 0
    if not new.drop_last and has_rest and "budget.drop_last" not in settings:
        chosen.append("no image left out of an epoch")
    if size != old_size and SIZE not in settings:
        chosen.append(f"{size} instead of {old_size} pixels on a CPU (--image-size)")
    if new.epochs != old.epochs and not LENGTH & frozenset(settings):
        chosen.append(f"{new.epochs} instead of {quantity(old.epochs, 'epoch')} (--epochs or --minutes)")
    return f"{quantity(count, 'training image')}: {', '.join(chosen)}" if chosen else ""
