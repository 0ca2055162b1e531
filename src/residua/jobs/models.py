"""Networks by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

from residua.nn.features import Features
from residua.nn.network import Network, build
from residua.spec import change, zoo
from residua.spec.arch import Arch
from residua.weights.load import load


def list_models(pattern: str = "*") -> list[str]:
    """Names of all networks that match the shell-style `pattern`."""
    return zoo.names(pattern)


def arch_of(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    shortcut: str | None = None,
    order: str | None = None,
) -> Arch:
    """The network called `name`, changed.

    ValueError offers the nearest names, or says what a change allows.
    """
    arch = zoo.arch(name)
    if shortcut is not None:
        arch = change.with_shortcut(arch, shortcut)
    if order is not None:
        arch = change.with_order(arch, order)
    if in_chans is not None:
        arch = change.with_channels(arch, in_chans)
    return arch if num_classes is None else change.with_classes(arch, num_classes)


@overload
def create_model(
    name: str,
    weights: str | Path | None = ...,
    *,
    num_classes: int | None = ...,
    in_chans: int | None = ...,
    shortcut: str | None = ...,
    order: str | None = ...,
    features_only: Literal[False] = ...,
) -> Network: ...


@overload
def create_model(
    name: str,
    weights: str | Path | None = ...,
    *,
    num_classes: int | None = ...,
    in_chans: int | None = ...,
    shortcut: str | None = ...,
    order: str | None = ...,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = ...,
) -> Features: ...


def create_model(
    name: str,
    weights: str | Path | None = None,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    shortcut: str | None = None,
    order: str | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
) -> Network | Features:
    """The network called `name`, with fresh weights or those of a file.

    `num_classes` and `in_chans` (3 for colour, 1 for grey) replace what the paper's network has;
    `shortcut` is option A, B or C (He et al. 2015, 4.1). `features_only` gives the maps of the stages
    `out_indices` instead of logits, as timm does. ValueError offers the nearest names; CheckpointError
    when `weights` are of another network.
    """
    if out_indices is not None and not features_only:
        raise ValueError(f"out_indices {tuple(out_indices)} without features_only: give features_only=True")
    arch = arch_of(name, num_classes=num_classes, in_chans=in_chans, shortcut=shortcut, order=order)
    network = build(arch)
    if weights is not None:
        load(network, weights)
    return Features(network, out_indices) if features_only else network
