"""What training a detector needs: the network with its initial weights, and the loss function."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from residua.data.transforms import normalise
from residua.errors import CheckpointError, ConfigError
from residua.nn.network import build
from residua.runs import checkpoint
from residua.spec.amount import quantity
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan, Recipe
from residua.tasks.detect.batches import BoxBatch
from residua.tasks.detect.network import DetectionNetwork
from residua.training.network import check_finite
from residua.weights.facts import provenance_of
from residua.weights.load import load, read_weights

DetectionLossFn = Callable[[nn.Module, BoxBatch], tuple[Tensor, Tensor]]
"""From a network in training mode and a batch to the loss and a count, both scalars; see `make_loss_fn`."""


def make_loss_fn(preprocess: Preprocess, plan: Plan) -> DetectionLossFn:
    """The loss of a detector: the sum of its box and class losses, computed as `plan` says.

    Args:
        preprocess: mean and standard deviation of the input colours.
        plan: device, memory format and precision of the forward pass.

    Returns:
        A function of (network, batch) that returns the loss and 0. The 0 stands where classification counts
        wrong images: detection has no such count.
    """
    device = torch.device(plan.device)
    layout = torch.channels_last if plan.memory_format == "channels_last" else torch.contiguous_format

    def loss_fn(network: nn.Module, batch: BoxBatch) -> tuple[Tensor, Tensor]:
        images = normalise(batch.images.to(device, non_blocking=True), preprocess)
        images = images.contiguous(memory_format=layout)
        targets = [
            {
                "boxes": torch.from_numpy(boxes.corners).to(device),
                "labels": torch.from_numpy(boxes.labels).to(device) + 1,
            }
            for boxes in batch.boxes
        ]
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            losses = network(images, torch.from_numpy(batch.sizes), targets)
        first, *others = losses.values()
        return sum(others, first), torch.zeros((), dtype=torch.int64, device=device)

    return loss_fn


def initial_network(
    recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
) -> DetectionNetwork:
    """Build the recipe's detector with its weights before the first step.

    Weights are drawn from the recipe's seed. A file in `recipe.weights` then replaces those that it holds: a
    classifier's weights, ours or another library's, fill the backbone, a detector's weights fill all layers.

    Args:
        recipe: has a detector.
        classes: names of the classes without the background.
        listen: receives one line about what was read from the file.

    Returns:
        The detector on the CPU.

    Raises:
        ConfigError: layers are to stay frozen, and no file gives them trained weights.
        CheckpointError: the file holds another detector, or weights that are NaN or infinite.
    """
    detector = recipe.detector
    assert detector is not None
    if not recipe.weights and (detector.norm == "frozen" or detector.still):
        raise ConfigError(
            f"{detector.name} freezes the norms and the first "
            f"{quantity(detector.still, 'part')} of its backbone: "
            "give trained weights with --weights FILE, or --set detector.norm=batch --set detector.still=0"
        )
    torch.manual_seed(recipe.seed)
    backbone = build(recipe.arch, norm=detector.norm)
    path = checkpoint.weights_file(Path(recipe.weights)) if recipe.weights else None
    tensors, facts = read_weights(path) if path else ({}, {})
    if path and not facts.get("detector"):
        listen(f"{load(backbone, path)}, into the backbone")
    network = DetectionNetwork(backbone, detector, len(classes))
    network.class_names, network.pretrained_from = classes, provenance_of(facts)
    if facts.get("detector"):
        listen(_fill(network, tensors, str(path)))
    check_finite(network, recipe.weights)
    return network


def _fill(network: DetectionNetwork, tensors: Mapping[str, Tensor], path: str) -> str:
    """Copy the `tensors` of another detector that fit; all layers but those of the classes must fit."""
    state = network.state_dict()
    fitting = {
        name: value for name, value in tensors.items() if name in state and state[name].shape == value.shape
    }
    missing = [name for name in state if name not in fitting]
    if wrong := [name for name in missing if name not in tensors or "parts.backbone." in name]:
        raise CheckpointError(
            f"{path} is of another detector: {wrong[0]} is missing or has another shape there"
        )
    network.load_state_dict({**state, **fitting})
    note = f", {len(missing)} re-initialised for other classes" if missing else ""
    return f"{quantity(len(fitting), 'tensor')} of a detector{note}"
