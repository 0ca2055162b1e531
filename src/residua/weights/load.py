"""Weights of any source into a network, and out again under that source's names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residua.errors import CheckpointError
from residua.nn.network import Network
from residua.spec.record import nearest
from residua.weights.dialect import Dialect, listed, translate
from residua.weights.inflation import Inflation, inflate_state
from residua.weights.store import is_ours, read, read_foreign
from residua.weights.suspect import refuse_another, refuse_strangers, undecided
from residua.weights.tables import DIALECTS

PREFIX, AVERAGE = "model.", "average."
"""Before the names of the weights, and of their mean, in a checkpoint of ours, which may hold more."""
FILE = "model.safetensors"
"""The weights in a folder that `residua.save` wrote, and in most folders of a hub."""
FIRST = "stem.conv1.weight"
"""The convolution that meets the image."""


def load(
    network: Network,
    weights: Path | str | Mapping[str, Tensor],
    *,
    source: str = "auto",
    inflation: Inflation = "centre",
) -> str:
    """Fills `network` from a file, a saved folder or a state dict and says from what, in one line.

    `122 tensors from torchvision names`, and what was not simply copied: a head for another number of classes
    is left as it was made (`head re-initialised: 1000 -> 10`), a first convolution for another number of
    channels is summed or repeated (`first convolution adapted: 3 -> 1 channels`), windows of a network for
    images get a length in time as `inflation` says (`17 windows inflated over time (centre)`), and a twin of
    the network that names and shapes cannot tell from it is named. CheckpointError, before anything is
    changed, says what does not fit or what the file really is of; ValueError an unknown `source`.
    """
    state, facts = (weights, {}) if isinstance(weights, Mapping) else read_weights(Path(weights))
    refuse_another(facts, network.arch)
    own = network.state_dict()
    dialect = dialect_of(network, state, source=source)
    state, report = _without_dropped(state, dialect)
    ours = translate(state, dialect, own, to="ours")
    report.insert(0, f"{len(state)} tensors from {dialect.name} names")
    ours, longer = inflate_state(ours, own, how=inflation)
    if longer:
        report.append(f"{longer} windows inflated over time ({inflation})")
    head = head_keys(network)
    if _differ_in_classes(ours, own, head):
        report.append(f"head re-initialised: {len(ours[head[0]])} -> {len(own[head[0]])}")
        ours = {key: value for key, value in ours.items() if key not in head}
    if FIRST in ours and _differ_in_channels(ours[FIRST], own[FIRST]):
        there, here = ours[FIRST].shape[1], own[FIRST].shape[1]
        report.append(f"first convolution adapted: {there} -> {here} channels")
        ours = {**ours, FIRST: adapt_channels(ours[FIRST], here)}
    _check_shapes(ours, own, network.arch.name)
    if "arch" not in facts and (doubt := undecided(network.arch)):
        report.append(doubt)
    with torch.no_grad():
        for key, value in ours.items():
            own[key].copy_(value)
    return ", ".join(report)


def save_as(network: Network, source: str) -> dict[str, Tensor]:
    """The network's weights, shared and not copied, as `source` names them. CheckpointError if it cannot."""
    own = network.state_dict()
    return translate(own, _dialect(network, source), own, to="theirs")


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """(out, there, ...) -> (out, channels, ...): summed for 1 channel, else repeated and scaled.

    As timm does it: a grey image shown in three equal channels then gives the same map as before.
    """
    there = weight.shape[1]
    if channels == 1:
        return weight.float().sum(1, keepdim=True).to(weight.dtype)
    windows = [1] * (weight.ndim - 2)
    repeated = weight.float().repeat(1, -(-channels // there), *windows)[:, :channels]
    return (repeated * (there / channels)).to(weight.dtype)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights in a file or a saved folder under the names in it, and the facts of a file of ours.

    Of a training state that keeps the mean of its weights, that mean: it is what was judged. CheckpointError
    as `store.read` and `store.read_foreign`.
    """
    path = path / FILE if (path / FILE).is_file() else path
    if not is_ours(path):
        return read_foreign(path), {}
    tensors, facts = read(path)
    averaged = any(name.startswith(AVERAGE) for name in tensors)
    return of_model(tensors, AVERAGE if averaged else PREFIX), facts


def of_model(tensors: Mapping[str, Tensor], prefix: str = PREFIX) -> dict[str, Tensor]:
    """The weights among the tensors of a file of ours, without their prefix, where it has one."""
    model = {k.removeprefix(prefix): value for k, value in tensors.items() if k.startswith(prefix)}
    return model or dict(tensors)


def dialect_of(network: Network, state: Mapping[str, Tensor], *, source: str = "auto") -> Dialect:
    """The table that `state` is read by: that of `source`, or of the one that shares most names with it.

    CheckpointError when the names are those of another network, ValueError for an unknown `source`.
    """
    own = network.state_dict()
    tables = (
        [_dialect(network, source)] if source != "auto" else [make(network) for make in DIALECTS.values()]
    )
    found = max(tables, key=lambda table: len(set(state).intersection(table.known(own).values())))
    refuse_strangers(set(state) - set(found.known(own).values()))
    return found


def _dialect(network: Network, source: str) -> Dialect:
    if source not in DIALECTS:
        raise ValueError(f"no source {source!r}: {nearest(source, ('auto', *DIALECTS))}")
    return DIALECTS[source](network)


def _without_dropped(state: Mapping[str, Tensor], dialect: Dialect) -> tuple[Mapping[str, Tensor], list[str]]:
    dropped = [name for name in state if dialect.drops and re.fullmatch(dialect.drops, name)]
    if not dropped:
        return state, []
    return {name: state[name] for name in state if name not in dropped}, [
        f"{len(dropped)} left out that judging does not need: {listed(dropped)}"
    ]


def head_keys(network: Network) -> list[str]:
    """Names of the weight and bias of the last linear layer."""
    name = list(network.head._modules)[-1]
    return [key for key in network.state_dict() if key.startswith(f"head.{name}.")]


def _differ_in_classes(ours: Mapping[str, Tensor], own: Mapping[str, Tensor], head: list[str]) -> bool:
    pairs = [(ours[key].shape, own[key].shape) for key in head]
    return bool(pairs) and all(len(a) and a[1:] == b[1:] and a[0] != b[0] for a, b in pairs)


def _differ_in_channels(theirs: Tensor, own: Tensor) -> bool:
    a, b = theirs.shape, own.shape
    return len(a) in (4, 5) and (a[0], *a[2:]) == (b[0], *b[2:]) and 0 < a[1] != b[1]


def _check_shapes(ours: Mapping[str, Tensor], own: Mapping[str, Tensor], model: str) -> None:
    wrong = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in ours.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise CheckpointError(f"weights do not fit {model}: {listed(wrong)}: choose the network they are of")
