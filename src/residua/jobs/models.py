"""Networks by name, as torch modules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack, overload

from residua.errors import ConfigError
from residua.nn.initialise import zero_last_norm
from residua.nn.letters import Norm
from residua.nn.network import Features, Network, build
from residua.spec import zoo
from residua.spec.changes import Changes
from residua.spec.named_network import arch_of
from residua.weights.load import load


def list_models(pattern: str = "*") -> list[str]:
    """Names of all networks that match the shell-style `pattern`."""
    return zoo.names(pattern)


@overload
def create_model(
    name: str,
    weights: str | Path | None = ...,
    *,
    pretrained: bool = ...,
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
    pretrained: bool = ...,
    features_only: Literal[True],
    out_indices: int | Sequence[int] | None = ...,
    norm: Norm = ...,
    zero_init_last: bool = ...,
    **changes: Unpack[Changes],
) -> Features: ...


def create_model(
    name: str,
    weights: str | Path | None = None,
    *,
    pretrained: bool = False,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    norm: Norm = "batch",
    zero_init_last: bool = False,
    **changes: Unpack[Changes],
) -> Network | Features:
    """Create the network that `name` and `changes` describe.

    Args:
        name: One of `list_models()`, with changes where wanted (`resnet34:shortcut=A`), or a JSON file.
        weights: A file, a saved folder or a run; None initialises the weights (He initialisation).
        pretrained: False, for code written for timm or torchvision; weights are given as `weights`.
        features_only: Return the maps of the stages instead of logits, as in timm.
        out_indices: Maps to return: 0 is the stem (before its pool where the first stage has maps of the
            pooled size), then the stages; a number n means the last n, None all.
        norm: `batch`, `sync` (statistics over all processes) or `frozen` (kept as loaded, for detection).
        zero_init_last: Initialise the last norm of every residual branch to zero.
        changes: Options of `Changes`, e.g. `num_classes=10, in_chans=1, order="e"`; they win over those in
            `name`.

    Returns:
        A Network that maps (N, C, H, W) float, or (N, C, T, H, W) for video, to logits (N, num_classes); with
        `features_only`, a module that returns a list of maps.

    Raises:
        ConfigError: A name, an option or a value is unknown; the message offers the nearest ones.
        CheckpointError: `weights` belong to another network, or are damaged.
    """
    if pretrained:
        raise ConfigError(f"residua ships no weights of {name}: give weights=FILE, or pretrained=False")
    if out_indices is not None and not features_only:
        raise ConfigError(f"out_indices {out_indices} without features_only: give features_only=True")
    network = build(arch_of(name, **changes), norm=norm)
    if zero_init_last and not zero_last_norm(network):
        raise ConfigError(f"no residual branch of {name} ends in a norm: leave zero_init_last away")
    if weights is not None:
        load(network, weights)
    return Features(network, out_indices) if features_only else network
