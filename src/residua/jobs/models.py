"""Networks by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from residua.nn.features import Features
from residua.nn.network import Network, build
from residua.spec import change, zoo
from residua.spec.arch import Arch


def list_models(pattern: str = "*") -> list[str]:
    """Names of all networks that match the shell-style `pattern`."""
    return zoo.names(pattern)


def arch_of(name: str, *, num_classes: int | None, in_chans: int | None, shortcut: str | None) -> Arch:
    """The network called `name`, changed.

    ValueError offers the nearest names, or says what a change allows.
    """
    arch = zoo.arch(name)
    if shortcut is not None:
        arch = change.with_shortcut(arch, shortcut)
    if in_chans is not None:
        arch = change.with_channels(arch, in_chans)
    return arch if num_classes is None else change.with_classes(arch, num_classes)


def create_model(
    name: str,
    weights: str | Path | None = None,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    shortcut: str | None = None,
) -> Network:
    """The network called `name`, with fresh weights or those of a file.

    `num_classes` and `in_chans` (3 for colour, 1 for grey) replace what the paper's network has;
    `shortcut` is option A, B or C (He et al. 2015, 4.1). ValueError offers the nearest names;
    CheckpointError when `weights` are of another network.
    """
    network = build(arch_of(name, num_classes=num_classes, in_chans=in_chans, shortcut=shortcut))
    if weights is not None:
        from residua.weights.load import load

        load(network, weights)
    return network


def create_features(name: str, out_indices: Sequence[int] | None = None, **changes: Any) -> nn.Module:
    """The maps of chosen stages of `create_model(name, **changes)`, for detection and the like."""
    return Features(create_model(name, **changes), out_indices)
