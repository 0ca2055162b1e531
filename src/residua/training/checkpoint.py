"""What of a training run survives on disk: one self-certifying file per state, the newest two kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from residua.measure.evaluate import NotFinite
from residua.nn.network import Network, build
from residua.spec.arch import Arch
from residua.spec.record import from_plain, to_plain
from residua.weights.store import CheckpointError, publish, read

KEEP = 2
"""States kept: the newest, and one to fall back on."""
MODEL, OPTIM, AVERAGE = "model.", "optim.", "average."
BEST = "best.safetensors"
"""The weights whose test error was lowest, in the folder of the states."""
Weights = Literal["auto", "raw", "ema", "best"]
"""Which weights of a run: of the last step, their mean, the best; `auto` is the mean where there is one."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, with the sums of the epoch under way."""

    step: int = 0
    """Updates made."""
    loss: float = 0.0
    """Loss summed over the images of this epoch so far."""
    wrong: int = 0
    """Of these images, how many were classified wrongly."""
    seen: int = 0
    """Images of this epoch so far."""


@dataclass(frozen=True, slots=True)
class State:
    """A state read back from disk."""

    path: Path
    """Its file."""
    tensors: Mapping[str, Tensor]
    """Weights and momenta by name."""
    facts: Mapping[str, Any]
    """Everything else, as JSON values."""
    refused: tuple[str, ...]
    """Newer files that could not be used, one line each."""


def save(folder: Path, network: Network, optimizer: torch.optim.Optimizer, progress: Progress) -> Path:
    """Publish the state after `progress.step` updates in `folder`, then drop those before the newest `KEEP`.

    NotFinite when a weight is not: such a state is never written. OSError when the disk refuses.
    """
    tensors = {MODEL + name: value for name, value in network.state_dict().items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise NotFinite(f"{name} is not finite after step {progress.step}: this state is not saved")
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"{OPTIM}{index}.{slot}"] = value
    facts = {
        "kind": "training state",
        "format": 1,
        "arch": to_plain(network.arch),
        "classes": list(network.class_names),
        "progress": to_plain(progress),
    }
    path = folder / f"state-{progress.step:09d}.safetensors"
    publish(path, tensors, facts)
    reached = [state for state in states(folder) if state <= path]  # a newer one is damaged: we fell back
    for old in reached[KEEP:]:
        old.unlink(missing_ok=True)
    return path


def states(folder: Path) -> list[Path]:
    """State files in `folder`, the newest first: by step, never by clock."""
    return sorted(folder.glob("state-*.safetensors"), reverse=True)


def newest(folder: Path) -> State | None:
    """The newest state in `folder` whose every byte is as it was written; None when none was ever written.

    CheckpointError when there are states and all of them are damaged.
    """
    refused: list[str] = []
    for path in states(folder):
        try:
            tensors, facts = read(path)
        except CheckpointError as error:
            refused.append(str(error))
        else:
            return State(path, tensors, facts, tuple(refused))
    if refused:
        raise CheckpointError(f"no state in {folder} can be used: {refused[0]}")
    return None


def restore(state: State, network: Network, optimizer: torch.optim.Optimizer) -> Progress:
    """Fill `network` and `optimizer` from `state`; how far the run had come."""
    _fill(network, state)
    plain = optimizer.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in state.tensors.items():
        if name.startswith(OPTIM):
            index, slot = name.removeprefix(OPTIM).split(".", 1)
            like = parameters[int(index)]
            slots.setdefault(int(index), {})[slot] = torch.empty_like(like).copy_(value)  # same memory format
    optimizer.load_state_dict({**plain, "state": slots})
    return from_plain(Progress, state.facts["progress"])


def network_of(path: Path, weights: Weights = "auto") -> Network:
    """The trained network in the state file at `path`, in eval mode on the CPU; `weights` other than `best`.

    CheckpointError if it is none, or has no such weights.
    """
    tensors, facts = read(path)
    if "arch" not in facts:
        raise CheckpointError(f"{path} holds no network: give a run or one of its checkpoints")
    network = build(from_plain(Arch, facts["arch"]))
    network.class_names = tuple(facts["classes"])
    averaged = any(name.startswith(AVERAGE) for name in tensors)
    if weights == "ema" and not averaged:
        raise CheckpointError(f"{path} holds no mean of the weights: give --weights raw or best")
    prefix = AVERAGE if averaged and weights in ("auto", "ema") else MODEL
    _fill(network, State(path, tensors, facts, ()), prefix)
    return network.eval()


def _fill(network: nn.Module, state: State, prefix: str = MODEL) -> None:
    weights = {k.removeprefix(prefix): v for k, v in state.tensors.items() if k.startswith(prefix)}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise CheckpointError(f"{state.path} is of another network: {lines[-1].strip()}") from None
