"""Networks by name."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from residua.nn.initialise import zero_last_norm
from residua.nn.letters import Norm
from residua.nn.network import Features, Network, build
from residua.spec import change, inflate, zoo
from residua.spec.arch import Arch
from residua.spec.record import nearest
from residua.weights.load import load


class Changes(TypedDict, total=False):
    """What may be asked of a network beside its name; each becomes a pure change of its `Arch`."""

    num_classes: int
    """Numbers that come out."""
    in_chans: int
    """Channels of the image: 3 for colour, 1 for grey, any other number for bands."""
    img_size: int
    """Side of the image it is for, in pixels."""
    shortcut: str
    """Option A, B, C, or a study: scale0.5, gate, exclusive_gate, conv, dropout."""
    order: str
    """Order a, b, c, d or e of norm, activation and addition."""
    opening: str
    """Way into a pre-activation net: fair, timm or mxnet."""
    drop_path_rate: float
    """Share of images whose residual the last block drops while training."""
    frames: int
    """Frames of a video that it reads together; a network for images is inflated."""
    frame_stride: int
    """Frames of the video from one of them to the next; 0 spreads them evenly."""
    segments: int
    """Stretches of a video whose logits are averaged."""


CHANGES: Mapping[str, Callable[[Arch, Any], Arch]] = {
    "shortcut": change.with_shortcut,
    "order": change.with_order,
    "opening": change.with_opening,
    "drop_path_rate": change.with_drop_path,
    "in_chans": change.with_channels,
    "img_size": change.with_size,
    "num_classes": change.with_classes,
    "frames": inflate.with_frames,
    "segments": inflate.with_segments,
    "frame_stride": inflate.with_frame_stride,
}
"""Name -> what it does, in the order in which they are done."""


def list_models(pattern: str = "*") -> list[str]:
    """Names of all networks that match the shell-style `pattern`."""
    return zoo.names(pattern)


def arch_of(name: str, **changes: Unpack[Changes]) -> Arch:
    """The network called `name`, changed; what is None is left as it is.

    ValueError offers the nearest names, or says what a change allows.
    """
    return changed(zoo.arch(name), **changes)


def changed(arch: Arch, **changes: Unpack[Changes]) -> Arch:
    """`arch` with `changes`; what is None is left as it is. ValueError as from `arch_of`."""
    for unknown in changes.keys() - CHANGES.keys():
        raise ValueError(f"no change {unknown!r}: {nearest(unknown, CHANGES)}")
    wanted = dict(changes)
    for key, make in CHANGES.items():
        if wanted.get(key) is not None:
            arch = make(arch, wanted[key])
    return arch


@overload
def create_model(
    name: str,
    weights: str | Path | None = ...,
    *,
    features_only: Literal[False] = ...,
    norm: Norm = ...,
    zero_init_last: bool = ...,
    **changes: Unpack[Changes],
) -> Network: ...


@overload
def create_model(
    name: str,
    weights: str | Path | None = ...,
    *,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = ...,
    norm: Norm = ...,
    zero_init_last: bool = ...,
    **changes: Unpack[Changes],
) -> Features: ...


def create_model(
    name: str,
    weights: str | Path | None = None,
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    norm: Norm = "batch",
    zero_init_last: bool = False,
    **changes: Unpack[Changes],
) -> Network | Features:
    """The network called `name`, with fresh weights or those of a file.

    `changes` are those of `Changes`, e.g. `num_classes=10, in_chans=1, order="e"`. `features_only` gives the
    maps of the stages `out_indices` instead of logits, as timm does. `norm` is `batch`, `sync` (statistics
    over all processes) or `frozen` (kept as loaded, for detection). `zero_init_last` starts every residual
    branch that ends in a norm at zero. ValueError offers the nearest names; CheckpointError when `weights`
    are of another network.
    """
    if out_indices is not None and not features_only:
        raise ValueError(f"out_indices {tuple(out_indices)} without features_only: give features_only=True")
    network = build(arch_of(name, **changes), norm=norm)
    if zero_init_last and not zero_last_norm(network):
        raise ValueError(f"no residual branch of {name} ends in a norm: leave zero_init_last away")
    if weights is not None:
        load(network, weights)
    return Features(network, out_indices) if features_only else network
