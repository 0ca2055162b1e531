"""The detector of a run before its first step, and one that was trained before."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from residua.errors import CheckpointError
from residua.nn.network import build
from residua.predict.classifier import file_of
from residua.runs import checkpoint
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.recipe import Recipe
from residua.spec.record import from_plain
from residua.tasks.detect.network import DetectionNetwork
from residua.training.initial import check_numbers
from residua.weights.load import load, read_weights


def initial(
    recipe: Recipe, classes: tuple[str, ...], *, listen: Callable[[str], None] = lambda _: None
) -> DetectionNetwork:
    """The recipe's detector with its first weights: those its seed draws, and those of its file.

    A file holds a classifier's weights, ours or another library's, for the backbone alone, or those of a
    detector. ValueError when parts are to stay as they were loaded, and there is no file.
    """
    detector = recipe.detector
    assert detector is not None
    if not recipe.weights and (detector.norm == "frozen" or detector.still):
        raise ValueError(
            f"{detector.name} keeps the norms and the first {detector.still} parts of trained weights: give "
            "--weights FILE, or --set detector.norm=batch --set detector.still=0"
        )
    torch.manual_seed(recipe.seed)
    backbone = build(recipe.arch, norm=detector.norm)
    path = checkpoint.weights_at(Path(recipe.weights)) if recipe.weights else None
    tensors, facts = read_weights(path) if path else ({}, {})
    if path and not facts.get("detector"):
        listen(f"{load(backbone, path)}, into the backbone")
    made = DetectionNetwork(backbone, detector, len(classes))
    made.class_names = classes
    if facts.get("detector"):
        listen(_taken_over(made, tensors, str(path)))
    check_numbers(made, recipe.weights)
    return made


def trained(path: Path, weights: str = "auto") -> tuple[DetectionNetwork, str]:
    """The detector in a run or a checkpoint, in eval mode on the CPU, and which weights it has.

    CheckpointError when there is none, or a byte of it is not as it was written.
    """
    kind: Any = weights
    found: tuple[DetectionNetwork, str] = checkpoint.weights_of(file_of(path, kind), kind, make=_spelled)
    return found


def _spelled(path: Path, facts: Mapping[str, Any]) -> DetectionNetwork:
    if not facts.get("detector"):
        raise CheckpointError(f"{path} holds no detector: give a run that was trained on boxes")
    detector = from_plain(Detector, facts["detector"])
    return DetectionNetwork(build(from_plain(Arch, facts["arch"]), norm=detector.norm), detector, len(facts["classes"]))


def _taken_over(made: DetectionNetwork, tensors: Mapping[str, torch.Tensor], path: str) -> str:
    """Fill `made` with the `tensors` of another detector that fit; what was read, in one line.

    CheckpointError unless all but the layers that name classes have the same names and shapes.
    """
    own = made.state_dict()
    fit = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    left = [name for name in own if name not in fit]
    if strange := [name for name in left if name not in tensors or "parts.backbone." in name]:
        raise CheckpointError(f"{path} is of another detector: it lacks {strange[0]} as it is here")
    made.load_state_dict({**own, **fit})
    again = f", {len(left)} re-initialised for other classes" if left else ""
    return f"{len(fit)} tensors of a detector{again}"
