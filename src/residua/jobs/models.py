"""Networks by name, as torch modules, with fresh or pretrained weights."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Unpack, overload

from residua.errors import ConfigError
from residua.events import Event
from residua.jobs.pretrained import describe_preprocess, with_preprocess
from residua.nn.initialise import zero_last_layers
from residua.nn.letters import Norm
from residua.nn.network import Features, Network, build
from residua.progress import ProgressPrinter, python_console
from residua.runs import checkpoint
from residua.spec import zoo
from residua.spec.arch import Arch
from residua.spec.change import with_classes
from residua.spec.changes import Changes
from residua.spec.named_network import apply_changes, arch_of, is_file, origin_of, spell, split_text
from residua.weights import named
from residua.weights.catalogue import AUTO
from residua.weights.fill import fill, known_arch
from residua.weights.named import OpenedWeights

LOG = logging.getLogger("residua")
"""Where a program finds what was read, downloaded and assumed, at level INFO."""
NO_WEIGHTS = ("", None, False)
"""Values of `weights` that draw the weights at random."""


def list_models(pattern: str = "*") -> list[str]:
    """Names of networks, in the papers' order.

    Args:
        pattern: A shell-style pattern, e.g. `iresnet*`.

    Returns:
        All names that match; empty if none does.
    """
    return zoo.names(pattern)


@overload
def create_model(
    name: str = ...,
    weights: str | Path | bool | None = ...,
    *,
    pretrained: bool = ...,
    features_only: Literal[False] = ...,
    norm: Norm = ...,
    zero_init_last: bool = ...,
    **changes: Unpack[Changes],
) -> Network: ...


@overload
def create_model(
    name: str = ...,
    weights: str | Path | bool | None = ...,
    *,
    pretrained: bool = ...,
    features_only: Literal[True],
    out_indices: int | Sequence[int] | None = ...,
    norm: Norm = ...,
    zero_init_last: bool = ...,
    **changes: Unpack[Changes],
) -> Features: ...


def create_model(
    name: str = "",
    weights: str | Path | bool | None = None,
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
        name: One of `list_models()`, with changes where wanted (`resnet34:shortcut=A`), or a JSON file. A
            name of weights is a name of their network (`timm:resnet18`, `resnet50.torchvision.v2`); empty
            takes the network of `weights`.
        weights: Published weights by name (`torchvision.v2`, `timm.a1`, `timm:resnet18.a1_in1k`,
            `hf:OWNER/NAME`; `auto` or True for the best), a file, a saved folder or a run; None initialises
            the weights (He initialisation). They bring what the network reads (`preprocess`) and, for as many
            classes, their names. Names are downloaded once.
        pretrained: The same as `weights="auto"`, as in timm and torchvision.
        features_only: Return the maps of the stages instead of logits, as in timm.
        out_indices: Maps to return: 0 is the stem (before its pool where the first stage has maps of the
            pooled size), then the stages; a number n means the last n, None all.
        norm: `batch`, `sync` (statistics over all processes) or `frozen` (kept as loaded, for detection).
        zero_init_last: Initialise the last norm of every residual branch to zero; in full pre-activation,
            where no norm is last, the last convolution.
        changes: Options of `Changes`, e.g. `num_classes=10, in_chans=1, order="e"`; they win over those in
            `name`.

    Returns:
        A Network that maps (N, C, H, W) float, or (N, C, T, H, W) for video, to logits (N, num_classes); with
        `features_only`, a module that returns a list of maps.

    Raises:
        ConfigError: A name, an option or a value is unknown; the message offers the nearest ones.
        CheckpointError: `weights` belong to another network, or are damaged.
        UnreachableError: `weights` are not on this machine, and cannot be downloaded.
    """
    if out_indices is not None and not features_only:
        raise ConfigError(f"out_indices {out_indices} without features_only: give features_only=True")
    arch, opened = _arch_and_weights(name, _weights_text(name, weights, pretrained=pretrained), changes)
    network = build(arch, norm=norm)
    if zero_init_last and not zero_last_layers(network):
        raise ConfigError(f"{name} has no residual branch: leave zero_init_last away")
    if opened:
        LOG.info(fill(network, opened))
    return Features(network, out_indices) if features_only else network


def _show(event: Event) -> None:
    """Print the progress of a download, as training from Python does."""
    _printer().show(event)


@cache
def _printer() -> ProgressPrinter:
    """One for all events: it prints a line every ten seconds, not for every event."""
    return ProgressPrinter(python_console())


def _weights_text(name: str, weights: str | Path | bool | None, *, pretrained: bool) -> str:
    """The weights that are asked for, as text; empty for none. ConfigError where nothing names a network."""
    text = "" if weights in NO_WEIGHTS else "auto" if weights is True else str(weights)
    if not text and pretrained:
        text = "auto"
    if text.lower() in AUTO and named.names_weights(name):
        return name
    if not name and not text:
        raise ConfigError("no network: give a name, or weights that know theirs, e.g. timm:resnet18")
    return text


def _arch_and_weights(name: str, text: str, changes: Changes) -> tuple[Arch, OpenedWeights | None]:
    """The network, and the weights that `text` means; None without any."""
    knows_network = not name or named.names_weights(name)
    if not text:
        arch = named.arch_of_name(name, listen=_show) if knows_network else arch_of(name)
        return apply_changes(arch, **changes), None
    origin = "" if knows_network or is_file(origin_of(name)) else name
    model = spell(origin, changes) if origin else ""
    opened = named.open_weights(text, model, file_of=checkpoint.weights_file, listen=_show)
    if opened.detector:
        raise ConfigError(f"{opened.title} is a detector: residua.load reads it")
    if knows_network:
        arch = apply_changes(known_arch(opened), **changes)
    else:
        arch, own = arch_of(name, **changes), split_text(name)[1]
        if origin:
            arch = with_preprocess(arch, opened, {**own, **changes})
        if opened.arch and "num_classes" not in {**own, **changes}:
            arch = with_classes(arch, opened.arch.classes)
    for line in (*opened.notes, describe_preprocess(arch, opened, wrote_network=not origin and bool(name))):
        LOG.info(line)
    return arch, opened
