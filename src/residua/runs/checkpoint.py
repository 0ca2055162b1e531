"""What of a training run survives on disk: one self-certifying file per state, the newest two kept."""

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

FORMAT = 1
"""What these files are like; a file of a higher number is of a later residua."""
KEEP = 2
"""States kept: the newest, and one to fall back on."""
MODEL, OPTIM, GROUP = PREFIX, "optim.", "group."
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


def save(
    folder: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    average: Network | None = None,
    *,
    rows: Iterable[Mapping[str, Any]] = (),
) -> Path:
    """Publish the state after `progress.step` updates in `folder`, then drop those before the newest `KEEP`.

    `average` is the mean of the weights, where the run keeps one; `rows` are the epochs that were judged.
    NonFiniteError when a weight is not: such a state is never written. OSError when the disk refuses.
    """
    tensors = _weights(MODEL, network, progress.step)
    if average is not None:
        tensors |= _weights(AVERAGE, average, progress.step)
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
    reached = [state for state in states(folder) if state <= path]  # a newer one is damaged: we fell back
    for old in reached[KEEP:]:
        old.unlink(missing_ok=True)
    return path


def save_best(folder: Path, network: Network, judged: Mapping[str, Any]) -> Path:
    """Publish the weights of `network` alone, with what was `judged` of them, in place of those before.

    NonFiniteError when a weight is not. OSError when the disk refuses.
    """
    path = folder / BEST
    facts = {"kind": "weights", **_facts(network), "judged": dict(judged)}
    publish(path, _weights(MODEL, network, judged["step"]), facts)
    return path


def states(folder: Path) -> list[Path]:
    """State files in `folder`, the newest first: by step, never by clock."""
    return sorted(folder.glob("state-*.safetensors"), reverse=True)


def step_of(path: Path) -> int:
    """The step that the name of a state file tells."""
    return int(path.stem.removeprefix("state-"))


def newest(folder: Path) -> State | None:
    """The newest state in `folder` whose every byte is as it was written; None when none was ever written.

    CheckpointError when there are states and all of them are damaged; Later when a later residua wrote one.
    """
    refused: list[str] = []
    for path in states(folder):
        try:
            tensors, facts = _read(path)
        except NewerFormatError:
            raise
        except CheckpointError as error:
            refused.append(str(error))
        else:
            return State(path, tensors, facts, tuple(refused))
    if refused:
        raise CheckpointError(f"no state in {folder} can be used: {refused[0]}")
    return None


def last(folder: Path) -> State | None:
    """The newest state in `folder`, for those who want no older one; None when none was ever written.

    CheckpointError when it is damaged.
    """
    state = newest(folder)
    if state and state.refused:
        raise CheckpointError(f"{state.refused[0]}, or make it again: residua resume {folder.parent}")
    return state


def weights_at(path: Path) -> Path:
    """Where the weights are that `path` means: the newest state of a run, else `path` itself.

    CheckpointError when that state is damaged.
    """
    folder = Run(path).checkpoints
    state = last(folder) if folder.is_dir() else None
    return state.path if state else path


def restore(state: State, network: Network, optimizer: torch.optim.Optimizer) -> Progress:
    """Fill `network` and `optimizer` from `state`; how far the run had come.

    CheckpointError when it is of another network or another kind of optimiser.
    """
    _fill(network, state)
    now = type(optimizer).__name__
    if (then := state.facts.get("optimizer", now)) != now:
        raise CheckpointError(f"{state.path} is of the optimiser {then}, not {now}: set optim.kind back")
    plain = optimizer.state_dict()
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
            plain["param_groups"][int(number)][entry] = value
    optimizer.load_state_dict({**plain, "state": slots})
    return from_plain(Progress, state.facts["progress"])


def restore_average(state: State, network: Network) -> None:
    """Fill `network` with the mean of the weights in `state`."""
    _fill(network, state, AVERAGE)


def has_best(folder: Path) -> bool:
    """Whether the best weights of a run are in `folder`, every byte as it was written."""
    with suppress(CheckpointError):
        return bool(_read(folder / BEST))
    return False


def first_lost(tensors: Mapping[str, Tensor]) -> str | None:
    """The first of `tensors` that holds NaN or infinity."""
    lost = (
        name
        for name, value in tensors.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    )
    return next(lost, None)


def network_of(path: Path) -> Network:
    """The trained network in the state file at `path`, in eval mode on the CPU.

    CheckpointError if it is none.
    """
    network: Network = weights_of(path, "auto")[0]
    return network


def classifier(path: Path, facts: Mapping[str, Any]) -> Network:
    """The network, without its weights, that the `facts` of the file at `path` spell.

    CheckpointError when they spell a detector, which more than a network makes.
    """
    if facts.get("detector"):
        raise CheckpointError(f"{path} holds a detector, no classifier: evaluate and predict take it")
    return build(from_plain(Arch, facts["arch"]))


def weights_of(
    path: Path, weights: Weights, *, make: Callable[[Path, Mapping[str, Any]], Any] = classifier
) -> tuple[Any, str]:
    """The network that `make` builds with those `weights`, and what they are: `raw`, `ema` or `best`.

    CheckpointError if the file has no such weights.
    """
    tensors, facts = _read(path)
    if "arch" not in facts:
        raise CheckpointError(f"{path} holds no network: give a run or one of its checkpoints")
    network = make(path, facts)
    network.class_names = tuple(facts["classes"])
    averaged = any(name.startswith(AVERAGE) for name in tensors)
    if weights == "ema" and not averaged:
        raise CheckpointError(f"{path} holds no mean of the weights: give --weights raw or best")
    mean = averaged and weights in ("auto", "ema")
    _fill(network, State(path, tensors, facts, ()), AVERAGE if mean else MODEL)
    return network.eval(), "best" if facts.get("kind") == "weights" else "ema" if mean else "raw"


def _facts(network: Network) -> dict[str, Any]:
    return {"format": FORMAT, **network.facts}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `read` reads, if it can be understood. CheckpointError when damaged, Later when not."""
    tensors, facts = read(path)
    if (found := facts.get("format", FORMAT)) > FORMAT:
        raise NewerFormatError(
            f"{path} is of format {found}, this residua knows {FORMAT}: use the one that wrote it"
        )
    return tensors, facts


def _weights(prefix: str, network: nn.Module, step: int) -> dict[str, Tensor]:
    """Everything `network` holds, under names that begin with `prefix`. NonFiniteError when a number is not."""
    tensors = {prefix + name: value for name, value in network.state_dict().items()}
    if lost := first_lost(tensors):
        raise NonFiniteError(f"{lost} is not finite after step {step}: this state is not saved")
    return tensors


def _fill(network: nn.Module, state: State, prefix: str = MODEL) -> None:
    try:
        network.load_state_dict(of_model(state.tensors, prefix))
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise CheckpointError(f"{state.path} is of another network: {lines[-1].strip()}") from None
