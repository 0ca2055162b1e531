"""The first convolution of a run with `optim.whiten_stem`, fitted to its training images."""

import math
from dataclasses import replace

from residua.data.dataset import Dataset
from residua.data.transforms import normalise
from residua.nn.initialise import whiten_stem
from residua.nn.network import Network
from residua.spec.augment import Augment
from residua.spec.recipe import Recipe
from residua.training.learn_task import AnyLearnTask
from residua.training.processes.world import SINGLE_PROCESS

PIXELS = 5_000 * 32 * 32
"""Pixels of the training images whose patches are read: 5,000 of CIFAR-10 (Jordan 2024)."""


def whiten_from_images(network: Network, task: AnyLearnTask, dataset: Dataset, recipe: Recipe) -> None:
    """Let the first convolution whiten patches of unchanged training images, the same on every process.

    Args:
        network: On the device of the recipe.
        task: The task of the dataset.
        dataset: The images.
        recipe: The recipe of the run.

    Raises:
        ConfigError: The network cannot whiten.
    """
    batches = task.batches(
        dataset,
        replace(recipe, augment=Augment("none", pad=0, flip=0.0)),
        first=0,
        steps=math.ceil(PIXELS / network.preprocess.size**2 / recipe.budget.batch_size),
        workers=0,
        world=SINGLE_PROCESS,
        device=recipe.plan.device,
    )
    views = (batch.images.to(recipe.plan.device) for batch in batches)
    whiten_stem(network, (normalise(view, network.preprocess) for view in views))
