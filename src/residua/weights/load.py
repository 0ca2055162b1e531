"""Weights of any source into a network, and out again under that source's names."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from residua.nn.network import Network
from residua.spec.record import nearest
from residua.weights.dialect import Dialect, listed, translate
from residua.weights.store import CheckpointError, is_ours, read, read_foreign
from residua.weights.tables import DIALECTS

PREFIX = "model."
"""Before the names of the weights in a checkpoint of ours, which may hold an optimiser's too."""


def load(network: Network, weights: Path | str | Mapping[str, Tensor], *, source: str = "auto") -> str:
    """Fills `network` from a file or a state dict and says from what: `122 tensors from torchvision names`.

    A head for another number of classes is left as it was made: `head re-initialised: 1000 -> 10`.
    CheckpointError, before anything is changed, names what does not fit; ValueError an unknown `source`.
    """
    state = weights if isinstance(weights, Mapping) else _state(Path(weights))
    own = network.state_dict()
    dialect = _nearest_dialect(state, own) if source == "auto" else _dialect(source)
    ours = translate(state, dialect, own, to="ours")
    report = f"{len(state)} tensors from {dialect.name} names"
    head = _head_keys(network)
    if _differ_in_classes(ours, own, head):
        report += f", head re-initialised: {len(ours[head[0]])} -> {len(own[head[0]])}"
        ours = {key: value for key, value in ours.items() if key not in head}
    _check_shapes(ours, own, network.arch.name)
    with torch.no_grad():
        for key, value in ours.items():
            own[key].copy_(value)
    return report


def save_as(network: Network, source: str) -> dict[str, Tensor]:
    """The network's weights, shared and not copied, as `source` names them. CheckpointError if it cannot."""
    own = network.state_dict()
    return translate(own, _dialect(source), own, to="theirs")


def _state(path: Path) -> dict[str, Tensor]:
    if not is_ours(path):
        return read_foreign(path)
    tensors, _ = read(path)
    model = {k.removeprefix(PREFIX): value for k, value in tensors.items() if k.startswith(PREFIX)}
    return model or tensors


def _dialect(source: str) -> Dialect:
    if source not in DIALECTS:
        raise ValueError(f"no source {source!r}: {nearest(source, ('auto', *DIALECTS))}")
    return DIALECTS[source]


def _nearest_dialect(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Dialect:
    """The dialect that shares most names with `state`, the first of equals; `translate` tells if all fit."""
    return max(DIALECTS.values(), key=lambda dialect: _shared(state, own, dialect))


def _shared(state: Mapping[str, Tensor], own: Mapping[str, Tensor], dialect: Dialect) -> int:
    try:
        return len(set(state).intersection(dialect.names(own).values()))
    except CheckpointError:  # it has no words for this network
        return 0


def _head_keys(network: Network) -> list[str]:
    name = list(network.head._modules)[-1]
    return [key for key in network.state_dict() if key.startswith(f"head.{name}.")]


def _differ_in_classes(ours: Mapping[str, Tensor], own: Mapping[str, Tensor], head: list[str]) -> bool:
    pairs = [(ours[key].shape, own[key].shape) for key in head]
    return bool(pairs) and all(len(a) and a[1:] == b[1:] and a[0] != b[0] for a, b in pairs)


def _check_shapes(ours: Mapping[str, Tensor], own: Mapping[str, Tensor], model: str) -> None:
    wrong = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in ours.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise CheckpointError(f"weights do not fit {model}: {listed(wrong)}: choose the network they are of")
