"""The network of a run before its first step."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from residua.errors import CheckpointError
from residua.nn.network import Network, build
from residua.runs import checkpoint
from residua.spec.recipe import Recipe
from residua.weights.load import load


def initial(
    recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
) -> Network:
    """The recipe's network with its first weights: those its seed draws, or those of its file.

    `listen` is told in one line what was read from the file. ValueError when its norms are to stay as they
    are and it has no file; CheckpointError when a weight in it is no number.
    """
    if recipe.optim.frozen_norms and not recipe.weights:
        raise ValueError("optim.frozen_norms keeps the statistics of trained weights: give --weights")
    torch.manual_seed(recipe.seed)
    network = build(recipe.arch)
    network.class_names = classes
    if recipe.weights:
        listen(load(network, checkpoint.weights_at(Path(recipe.weights))))
        check_numbers(network, recipe.weights)
    return network


def check_numbers(network: nn.Module, weights: str) -> None:
    """CheckpointError when `network`, filled from the file called `weights`, holds what is no number."""
    if lost := checkpoint.first_lost(network.state_dict()):
        raise CheckpointError(f"{weights} makes {lost} NaN or infinite: give weights that are numbers")
