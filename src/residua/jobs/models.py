"""Networks by name, and the changes that can be made to them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args, overload

from residua.errors import ConfigError
from residua.nn.initialise import zero_last_norm
from residua.nn.letters import Norm
from residua.nn.network import Features, Network, build
from residua.spec import change, inflate, zoo
from residua.spec.arch import Arch
from residua.spec.record import nearest
from residua.weights.load import load


class Changes(TypedDict, total=False):
    """Options of `create_model` beside the name; each is a pure change of the `Arch`."""

    num_classes: int
    """Number of outputs."""
    in_chans: int
    """Channels of the image: 3 for RGB, 1 for grey, any other number for multispectral bands."""
    img_size: int
    """Side of the input image in pixels."""
    shortcut: str
    """Option A, B, C (He et al. 2015, 4.1), or scale0.5, gate, exclusive_gate, conv, dropout (He et al. 2016,
    table 1)."""
    order: str
    """Order a, b, c, d or e of norm, activation and addition (He et al. 2016, fig. 4)."""
    opening: str
    """Stem of a pre-activation net: fair, timm or mxnet."""
    drop_path_rate: float
    """Probability with which the last block drops its residual in training (stochastic depth)."""
    frames: int
    """Frames of a video that the network reads together; an image network is inflated."""
    frame_stride: int
    """Distance between two of these frames in the video; 0 spreads them evenly."""
    segments: int
    """Segments of a video whose logits are averaged."""


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
"""Option -> the change, in the order in which changes are applied."""


def list_models(pattern: str = "*") -> list[str]:
    """Names of all networks that match the shell-style `pattern`."""
    return zoo.names(pattern)


def arch_of(name: str, **changes: Unpack[Changes]) -> Arch:
    """The network called `name` with `changes`; None changes nothing.

    Raises:
        ConfigError: The name or a value is unknown; the message offers the nearest ones.
    """
    return apply_changes(zoo.arch(name), **changes)


def apply_changes(arch: Arch, **changes: Unpack[Changes]) -> Arch:
    """`arch` with `changes`; None changes nothing.

    Raises:
        ConfigError: An option or a value is unknown; the message offers the nearest ones.
    """
    for unknown in changes.keys() - CHANGES.keys():
        raise ConfigError(f"no change {unknown!r}: {nearest(unknown, CHANGES)}")
    values = dict(changes)
    for option, change_arch in CHANGES.items():
        if values.get(option) is not None:
            arch = change_arch(arch, values[option])
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
    """Create the network called `name`.

    Args:
        name: One of `list_models()`.
        weights: A file, a saved folder or a run; None initialises the weights (He initialisation).
        features_only: Return the maps of the stages instead of logits, as in timm.
        out_indices: Maps to return: 0 is the stem, then the stages; None returns all.
        norm: `batch`, `sync` (statistics over all processes) or `frozen` (kept as loaded, for detection).
        zero_init_last: Initialise the last norm of every residual branch to zero.
        changes: Options of `Changes`, e.g. `num_classes=10, in_chans=1, order="e"`.

    Returns:
        A Network that maps (N, C, H, W) float, or (N, C, T, H, W) for video, to logits (N, num_classes); with
        `features_only`, a module that returns a list of maps.

    Raises:
        ConfigError: A name, an option or a value is unknown; the message offers the nearest ones.
        CheckpointError: `weights` belong to another network, or are damaged.
    """
    if out_indices is not None and not features_only:
        raise ConfigError(f"out_indices {tuple(out_indices)} without features_only: give features_only=True")
    if norm not in get_args(Norm):
        raise ConfigError(f"no norm {norm!r}: give {', '.join(get_args(Norm))}")
    network = build(arch_of(name, **changes), norm=norm)
    if zero_init_last and not zero_last_norm(network):
        raise ConfigError(f"no residual branch of {name} ends in a norm: leave zero_init_last away")
    if weights is not None:
        load(network, weights)
    return Features(network, out_indices) if features_only else network
