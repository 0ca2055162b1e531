"""Training states on disk: one self-certifying file for each state, the newest two kept, and the best
weights.

    save -> state-000000120.safetensors   written in one step with its SHA-256; then older states are deleted
    load_newest                           the newest state without damage; damaged ones are skipped and named
    restore                               fills network and optimiser: training continues bit-identically
    save_best_weights -> best.safetensors weights only, those with the lowest test error

States are ordered by the step in their names, never by clock.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from residua.errors import CheckpointError, NewerFormatError, NonFiniteError
from residua.nn.network import Network, build
from residua.runs.run import Run
from residua.spec.arch import Arch
from residua.spec.record import from_plain, to_plain
from residua.weights.load import AVERAGE, PREFIX, of_model
from residua.weights.store import publish, read

FORMAT = 2
"""Version of the format; a file with a higher number was written by a later residua."""
KEEP = 2
"""States kept: the newest, and one to fall back on when it is damaged."""
MODEL, OPTIM, GROUP = PREFIX, "optim.", "group."
BEST = "best.safetensors"
"""File of the weights with the lowest test error."""
WeightsName = Literal["auto", "raw", "ema", "best"]
"""Weights of a run: of the last step, their moving average, the best; `auto` is the average where it
exists."""
_OLD_PROGRESS = {"loss": "loss_sum", "wrong": "num_wrong", "seen": "num_images"}
"""Names in format 1."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps made, and the sums over the current epoch."""

    step: int = 0
    """Updates made."""
    loss_sum: float = 0.0
    """Loss summed over the images of the current epoch."""
    num_wrong: int = 0
    """Images of the current epoch that were classified wrongly."""
    num_images: int = 0
    """Images of the current epoch so far."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training state read from disk."""

    path: Path
    """Its file."""
    tensors: Mapping[str, Tensor]
    """Weights and optimiser state by name."""
    facts: Mapping[str, Any]
    """Everything else, as JSON values."""
    damaged: tuple[str, ...]
    """Newer files that are damaged, one line each."""


def save(
    folder: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    ema: Network | None = None,
    *,
    rows: Iterable[Mapping[str, Any]] = (),
) -> Path:
    """Write the state after `progress.step` updates, then delete all but the newest `KEEP` states.

    Args:
        folder: The folder of states.
        network: Its weights and running statistics.
        optimizer: Its state.
        progress: Steps made, and the sums over the current epoch.
        ema: The moving average of the weights, where the run has one.
        rows: Metrics of the finished epochs.

    Returns:
        The file.

    Raises:
        NonFiniteError: A weight is NaN or infinite; no file is written.
        OSError: The disk is full or read-only; older states stay.
    """
    tensors = _weights(MODEL, network, progress.step)
    if ema is not None:
        tensors |= _weights(AVERAGE, ema, progress.step)
    for number, group in enumerate(optimizer.param_groups):
        if isinstance(group.get("step"), Tensor):  # LAMB counts by the group
            tensors[f"{GROUP}{number}.step"] = group["step"]
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"{OPTIM}{index}.{slot}"] = value
    facts = {
        "kind": "training state",
        **_facts(network),
        "optimizer": type(optimizer).__name__,
        "progress": to_plain(progress),
        "rows": list(rows),
    }
    path = folder / f"state-{progress.step:09d}.safetensors"
    publish(path, tensors, facts)
    older = [
        file for file in list_checkpoints(folder) if file <= path
    ]  # newer ones are damaged: we fell back
    for file in older[KEEP:]:
        file.unlink(missing_ok=True)
    return path


def save_best_weights(folder: Path, network: Network, evaluation: Mapping[str, Any]) -> Path:
    """Write the weights of `network` in place of the best weights before.

    Args:
        folder: The folder of states.
        network: The network whose test error is the lowest so far.
        evaluation: `step`, `weights` (raw or ema) and `test_error` in percent.

    Returns:
        The file.

    Raises:
        NonFiniteError: A weight is NaN or infinite.
        OSError: The disk is full or read-only.
    """
    path = folder / BEST
    facts = {"kind": "weights", **_facts(network), "judged": dict(evaluation)}
    publish(path, _weights(MODEL, network, evaluation["step"]), facts)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """State files in `folder`, the newest first."""
    return sorted(folder.glob("state-*.safetensors"), reverse=True)


def step_in_name(path: Path) -> int:
    """The step in the name of a state file."""
    return int(path.stem.removeprefix("state-"))


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest state in `folder` without damage; None when none was ever written.

    Raises:
        CheckpointError: All states are damaged.
        NewerFormatError: A later residua wrote one.
    """
    damaged: list[str] = []
    for path in list_checkpoints(folder):
        try:
            tensors, facts = _read(path)
        except NewerFormatError:
            raise
        except CheckpointError as error:
            damaged.append(str(error))
        else:
            return Checkpoint(path, tensors, facts, tuple(damaged))
    if damaged:
        raise CheckpointError(f"no state in {folder} can be used: {damaged[0]}")
    return None


def load_last(folder: Path) -> Checkpoint | None:
    """The newest state in `folder`, without falling back to an older one; None when none was ever written.

    Raises:
        CheckpointError: It is damaged.
    """
    state = load_newest(folder)
    if state and state.damaged:
        raise CheckpointError(f"{state.damaged[0]}, or make it again: residua resume {folder.parent}")
    return state


def weights_file(path: Path) -> Path:
    """The file of weights that `path` stands for: the newest state of a run, else `path` itself.

    Raises:
        CheckpointError: That state is damaged.
    """
    folder = Run(path).checkpoints
    state = load_last(folder) if folder.is_dir() else None
    return state.path if state else path


def restore(state: Checkpoint, network: Network, optimizer: torch.optim.Optimizer) -> Progress:
    """Fill `network` and `optimizer` from `state`.

    Args:
        state: A training state, as `load_newest` returns it.
        network: Its weights and running statistics are replaced.
        optimizer: Its state is replaced. It has the parameters of `network`, in the order of the one saved.

    Returns:
        The steps made, and the sums over the epoch that was interrupted.

    Raises:
        CheckpointError: The state belongs to another network or another kind of optimiser.
    """
    _fill(network, state)
    now = type(optimizer).__name__
    if (then := state.facts.get("optimizer", now)) != now:
        raise CheckpointError(f"{state.path} belongs to the optimiser {then}, not {now}: set optim.kind back")
    optimizer_state = optimizer.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in state.tensors.items():
        if name.startswith(OPTIM):
            index, slot = name.removeprefix(OPTIM).split(".", 1)
            like = parameters[int(index)]
            same = value.shape == like.shape  # then in the same memory format; else it is a count
            slots.setdefault(int(index), {})[slot] = torch.empty_like(like).copy_(value) if same else value
        elif name.startswith(GROUP):
            number, entry = name.removeprefix(GROUP).split(".", 1)
            optimizer_state["param_groups"][int(number)][entry] = value
    optimizer.load_state_dict({**optimizer_state, "state": slots})
    return from_plain(Progress, _renamed(state.facts["progress"], _OLD_PROGRESS))


def restore_ema(state: Checkpoint, network: Network) -> None:
    """Fill `network` with the moving average of the weights in `state`."""
    _fill(network, state, AVERAGE)


def has_best_weights(folder: Path) -> bool:
    """Whether the best weights are in `folder`, without damage."""
    with suppress(CheckpointError):
        return bool(_read(folder / BEST))
    return False


def first_nonfinite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or infinity; None when all are finite."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return name
    return None


def load_network(path: Path) -> Network:
    """The trained network in the state file at `path`, in eval mode on the CPU.

    Raises:
        CheckpointError: The file is damaged or holds no network.
    """
    network: Network = load_weights(path, "auto")[0]
    return network


def build_classifier(path: Path, facts: Mapping[str, Any]) -> Network:
    """The network that the `facts` of the file at `path` describe, without its weights.

    Raises:
        CheckpointError: They describe a detector, which is more than a network.
    """
    if facts.get("detector"):
        raise CheckpointError(f"{path} holds a detector, no classifier: use evaluate or predict")
    return build(from_plain(Arch, facts["arch"]))


def load_weights(
    path: Path, weights: WeightsName, *, make: Callable[[Path, Mapping[str, Any]], Any] = build_classifier
) -> tuple[Any, str]:
    """A trained network from the state file at `path`, in eval mode on the CPU.

    Args:
        path: The file.
        weights: Which weights to load.
        make: Builds the network from the path and the facts of the file.

    Returns:
        The network, and which weights it has: `raw`, `ema` or `best`.

    Raises:
        CheckpointError: The file is damaged, or lacks those weights.
    """
    tensors, facts = _read(path)
    if "arch" not in facts:
        raise CheckpointError(f"{path} holds no network: give a run or one of its checkpoints")
    network = make(path, facts)
    network.class_names = tuple(facts["classes"])
    averaged = any(name.startswith(AVERAGE) for name in tensors)
    if weights == "ema" and not averaged:
        raise CheckpointError(f"{path} holds no moving average of the weights: give --weights raw or best")
    use_ema = averaged and weights in ("auto", "ema")
    _fill(network, Checkpoint(path, tensors, facts, ()), AVERAGE if use_ema else MODEL)
    return network.eval(), "best" if facts.get("kind") == "weights" else "ema" if use_ema else "raw"


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _facts(network: Network) -> dict[str, Any]:
    return {"format": FORMAT, **network.facts}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of the file. CheckpointError when damaged, NewerFormatError when of a later
    format."""
    tensors, facts = read(path)
    if (version := facts.get("format", FORMAT)) > FORMAT:
        raise NewerFormatError(
            f"{path} has format {version}, this residua knows {FORMAT}: use the version that wrote it"
        )
    return tensors, facts


def _weights(prefix: str, network: nn.Module, step: int) -> dict[str, Tensor]:
    """The state of `network` under names that begin with `prefix`. NonFiniteError when a value is not
    finite."""
    tensors = {prefix + name: value for name, value in network.state_dict().items()}
    if name := first_nonfinite(tensors):
        raise NonFiniteError(f"{name} is not finite after step {step}: this state is not saved")
    return tensors


def _fill(network: nn.Module, state: Checkpoint, prefix: str = MODEL) -> None:
    try:
        network.load_state_dict(of_model(state.tensors, prefix))
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise CheckpointError(f"{state.path} belongs to another network: {lines[-1].strip()}") from None
