"""Training states on disk: one self-certifying file for each state, the newest two kept, and the best
weights.

    save -> state-000000120.safetensors   written in one step with its SHA-256; then older states are deleted
    load_newest                           the newest state without damage; damaged ones are skipped and named
    restore                               fills network and optimiser: training continues bit-identically
    save_best_weights -> best.safetensors weights only, those with the lowest test error

States are ordered by the step in their names, never by clock.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from residua.errors import CheckpointError, ConfigError, NewerFormatError, NonFiniteError
from residua.nn.network import Network, build
from residua.runs.records import read_row
from residua.runs.run import RECIPE, Run
from residua.spec.arch import Arch
from residua.spec.record import check_range, from_plain, to_plain
from residua.weights.facts import FORMAT, provenance_of
from residua.weights.load import AVERAGE, PREFIX, check_size, of_model
from residua.weights.store import publish, read

KEEP = 2
"""States kept: the newest, and one to fall back on when it is damaged."""
MODEL, OPTIM, GROUP = PREFIX, "optim.", "group."
MAX_STEPS = 1 << 53
"""Above every count of a state: what float64 counts exactly."""
MAX_DIGITS = 10
"""More digits than the number of a weight has."""
BEST = "best.safetensors"
"""File of the weights with the lowest test error."""
WeightsName = Literal["auto", "raw", "ema", "best"]
"""Weights of a run: of the last step, their moving average, the best; `auto` is the average where it
exists."""
_OLD_PROGRESS = {"loss": "loss_sum", "wrong": "num_wrong", "seen": "num_images"}
"""Names in format 1."""
_STATE_NAME = re.compile(r"state-(\d{9,})\.safetensors")
_MOMENTUM, _MOMENTS = frozenset({"momentum_buffer"}), frozenset({"exp_avg", "exp_avg_sq"})
_SLOTS = {
    "SGD": (_MOMENTUM,),
    "AdamW": (_MOMENTS | {"step"},),
    "Lamb": (_MOMENTS,),
    "Muon": (_MOMENTUM, _MOMENTS | {"step"}),
}
"""Optimiser -> names of the tensors that it stores for a weight, in one set or another."""


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
        file for file in list_checkpoints(folder) if step_in_name(file) <= progress.step
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
    facts = {"kind": "weights", **_facts(network), "evaluation": dict(evaluation)}
    publish(path, _weights(MODEL, network, evaluation["step"]), facts)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """State files in `folder`, the newest first: by the step in their names, never by clock."""
    states = (path for path in folder.glob("state-*") if _STATE_NAME.fullmatch(path.name))
    return sorted(states, key=step_in_name, reverse=True)


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
            _check_training(facts, path)
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
        CheckpointError: That state is damaged, or as `Run.check_files`.
    """
    run = Run(path)
    if not run.checkpoints.is_dir():
        return path
    run.check_files()
    if chooses_weights(run):
        return run.checkpoints / BEST
    state = load_last(run.checkpoints)
    return state.path if state else path


def chooses_weights(run: Run) -> bool:
    """Whether `run` holds out training examples to choose its weights, so that the best are its result."""
    has_both = (run.path / RECIPE).is_file() and (run.checkpoints / BEST).is_file()
    return has_both and run.recipe.data.inner_val_fraction > 0


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
    for name, value in state.tensors.items():
        if name.startswith(OPTIM):
            index, slot = _split_name(name, OPTIM, state.path)
            slots.setdefault(index, {})[slot] = value
        elif name.startswith(GROUP):
            number, entry = _split_name(name, GROUP, state.path)
            if number >= len(optimizer.param_groups) or entry != "step" or not _is_count(value):
                raise _unfit(state.path, name)
            optimizer_state["param_groups"][number][entry] = value
    _fit_slots(slots, optimizer, state.path)
    optimizer.load_state_dict({**optimizer_state, "state": slots})
    return _progress(state.facts)


def _split_name(name: str, prefix: str, path: Path) -> tuple[int, str]:
    """Number and last part of the name of an optimiser's tensor, e.g. 3 and `step` of `optim.3.step`."""
    number, _, last = name.removeprefix(prefix).partition(".")
    if not (number.isdecimal() and len(number) < MAX_DIGITS):
        raise _unfit(path, name)
    return int(number), last


def _fit_slots(slots: dict[int, dict[str, Tensor]], optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Give the tensors in `slots` the memory format of their weights. CheckpointError when one cannot be of
    its weight."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    known = _SLOTS.get(type(optimizer).__name__)
    for index, tensors in slots.items():
        first = f"{OPTIM}{index}.{next(iter(tensors))}"
        if index >= len(weights) or (known and frozenset(tensors) not in known):
            raise _unfit(path, first)
        for slot, value in tensors.items():
            if slot == "step" and _is_count(value):
                continue
            if slot == "step" or value.shape != weights[index].shape or not value.is_floating_point():
                raise _unfit(path, f"{OPTIM}{index}.{slot}")
            tensors[slot] = torch.empty_like(weights[index], dtype=value.dtype).copy_(value)


def _is_count(value: Tensor) -> bool:
    """Whether `value` can be the number of updates that an optimiser made."""
    return not value.ndim and not value.is_complex() and 0 <= float(value) < MAX_STEPS


def _unfit(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds {name[:100]!r}, which does not fit the optimiser: take an older copy"
    )


def restore_ema(state: Checkpoint, network: Network) -> None:
    """Fill `network` with the moving average of the weights in `state`."""
    _fill(network, state, AVERAGE)


def has_best_weights(folder: Path) -> bool:
    """Whether the best weights are in `folder`, without damage."""
    with suppress(CheckpointError):
        return bool(_read(folder / BEST))
    return False


def first_nonfinite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or infinity; None when all are finite.

    Smallest and largest number tell it without a copy of the tensor.
    """
    for name, value in tensors.items():
        extremes = torch.aminmax(value) if value.is_floating_point() and value.numel() else ()
        if not all(bool(torch.isfinite(extreme)) for extreme in extremes):
            return name
    return None


def build_classifier(path: Path, facts: Mapping[str, Any]) -> Network:
    """The network that the `facts` of the file at `path` describe, without its weights.

    Raises:
        CheckpointError: They describe a detector, which is more than a network.
    """
    if facts.get("detector"):
        raise CheckpointError(f"{path} holds a detector, no classifier: use evaluate or predict")
    arch = from_plain(Arch, facts["arch"])
    check_size(arch, path)
    return build(arch)


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
    network.class_names = tuple(facts.get("classes", ()))
    network.pretrained_from = provenance_of(facts)
    averaged = any(name.startswith(AVERAGE) for name in tensors)
    if weights == "ema" and not averaged:
        raise CheckpointError(f"{path} holds no moving average of the weights: give --weights raw or best")
    if weights == "best" and facts.get("kind") != "weights":
        raise CheckpointError(f"{path} holds no best weights: give its run, or --weights raw")
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


def _check_training(facts: Mapping[str, Any], path: Path) -> None:
    """CheckpointError when the facts of a training state at `path` are wrong."""
    try:
        _progress(facts)
        from_plain(str, facts.get("optimizer", ""), path="optimizer")
        rows = from_plain(tuple[Any, ...], facts.get("rows", []), path="rows")
        for number, row in enumerate(rows):
            if "test_error" not in read_row(row, f"rows[{number}]"):
                raise ConfigError(f"rows[{number}] lacks the field 'test_error'")
    except ConfigError as error:
        raise CheckpointError(f"{path} holds wrong facts: {error}") from None


def _progress(facts: Mapping[str, Any]) -> Progress:
    """The progress of a training state. ConfigError when it is wrong."""
    plain = facts.get("progress")
    renamed = _renamed(plain, _OLD_PROGRESS) if isinstance(plain, dict) else plain
    progress = from_plain(Progress, renamed, path="progress")
    for name in ("step", "num_wrong", "num_images"):
        check_range(f"progress.{name}", getattr(progress, name), 0, MAX_STEPS)
    return progress


def _weights(prefix: str, network: nn.Module, step: int) -> dict[str, Tensor]:
    """The state of `network` under names that begin with `prefix`. NonFiniteError when a value is not
    finite."""
    tensors = {prefix + name: value for name, value in network.state_dict().items()}
    if name := first_nonfinite(tensors):
        raise NonFiniteError(f"{name} is not finite after step {step}: this state is not saved")
    return tensors


def _fill(network: nn.Module, state: Checkpoint, prefix: str = MODEL) -> None:
    weights, own = of_model(state.tensors, prefix), network.state_dict()
    for name in weights.keys() & own.keys():
        if weights[name].is_floating_point() != own[name].is_floating_point() or weights[name].is_complex():
            kinds = f"{weights[name].dtype} instead of {own[name].dtype}"
            raise CheckpointError(f"{state.path} holds {kinds} in {name}: take an older copy")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise CheckpointError(f"{state.path} belongs to another network: {lines[-1].strip()}") from None
