"""The initial network of a run: drawn by its seed, or with the weights of a file."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from residua.errors import CheckpointError, ConfigError
from residua.nn.initialise import whitened_layer
from residua.nn.network import Network, build
from residua.runs import checkpoint
from residua.spec.recipe import Recipe
from residua.weights.facts import provenance_of
from residua.weights.load import FILE, load
from residua.weights.store import read_facts


def initial_network(
    recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
) -> Network:
    """The recipe's network before the first step.

    Args:
        recipe: Network, seed and, for fine-tuning, the file of weights.
        classes: Names of the classes.
        listen: Receives one line about the file that was read.

    Returns:
        The network on the CPU.

    Raises:
        ConfigError: `optim.frozen_norms` without a file of weights, or `optim.whiten_stem` on a network that
            does not begin with a convolution that can whiten.
        CheckpointError: A weight in the file is NaN or infinite.
    """
    if recipe.optim.frozen_norms and not recipe.weights:
        raise ConfigError("optim.frozen_norms keeps the statistics of trained weights: give --weights")
    torch.manual_seed(recipe.seed)
    network = build(recipe.arch)
    network.class_names = classes
    if recipe.optim.whiten_stem:
        whitened_layer(network)  # refused before a run is made
    if recipe.weights:
        file = checkpoint.weights_file(Path(recipe.weights))
        listen(load(network, file))
        check_finite(network, recipe.weights)
        network.pretrained_from = provenance_of(read_facts(file / FILE if file.is_dir() else file))
    return network


def check_finite(network: nn.Module, weights: str) -> None:
    """CheckpointError when a weight of `network` that was read from the file `weights` is NaN or infinite."""
    if name := checkpoint.first_nonfinite(network.state_dict()):
        raise CheckpointError(f"{weights} makes {name} NaN or infinite: give finite weights")
