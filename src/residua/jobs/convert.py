"""Weights of others into a folder of ours and back, held against the peer itself where it is installed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from residua.errors import CheckpointError
from residua.jobs.models import arch_of
from residua.nn.network import Network, build
from residua.predict import folder
from residua.predict.classifier import load_network
from residua.runs.run import Run
from residua.spec import change
from residua.spec.arch import Arch
from residua.version import __version__
from residua.weights.dialect import COUNTER
from residua.weights.load import FILE, FIRST, dialect_of, head_keys, load, read_weights, save_as
from residua.weights.store import is_ours, publish
from residua.weights.suspect import difference

IMAGES = 2
"""Images that both networks are shown; drawn from a normal distribution with seed 0."""
TIMM = {f"preresnet{depth}": f"resnetv2_{depth}" for depth in (18, 34, 50, 101, 152)}
"""Our names of networks that timm calls otherwise."""
TORCHVISION = {"resnet3d18": "r3d_18"}
"""Ours -> torchvision's, where the names differ."""
BARE = {"googlenet": {"aux_logits": False, "init_weights": False}}
"""What torchvision must be told to build the network that judges and no more."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What was read, what was written, and how far the two are apart."""

    read: str
    """What the weights were read from, and all that was not simply copied."""
    model: str
    """Name of the network."""
    source: str
    """Whose names the weights had."""
    written: str
    """Path of the folder or file that was written."""
    tensors: int
    """Tensors in it."""
    peer: str = ""
    """The network of others that was built to compare, with its version; empty when there is none here."""
    difference: float | None = None
    """Largest difference of a logit between the peer and ours on the same images; None without a peer."""


def convert(
    file: str | Path,
    model: str | None = None,
    *,
    source: str = "auto",
    to: str = "",
    out: str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    classes: Sequence[str] = (),
    force: bool = False,
) -> Converted:
    """The weights in `file` as a saved folder, or with `to` as a safetensors file in that source's names.

    A run, a saved folder or a checkpoint of ours knows its network; any other file needs `model`, changed by
    `changes` as in `create_model`, e.g. `{"order": "e"}`. Its head
    and channels are kept as they are; `classes` names its outputs, which are else numbered. FileExistsError
    when `out` is there, unless `force`; CheckpointError when the weights do not fit; ValueError for a wrong
    name.
    """
    path = Path(file)
    target = Path(out) if out else _default(path, to)
    _check_target(target, to, force=force)
    if _is_own(path):
        network, report, names = _read_own(path, model, source)
    else:
        network, report, names = _read(path, model, source, changes or {})
    if classes and to:
        raise ValueError(f"names of classes have no place in a file for {to}: leave --classes out")
    if classes:
        network.class_names = _named(tuple(classes), network.arch)
    if to:
        theirs = save_as(network, to)
        facts = {"kind": "weights", "names": to, "model": network.arch.name, "residua": __version__}
        publish(target, theirs, facts)
        state, _ = read_weights(target)
        other = to
    else:
        folder.save(network, target, force=force)
        network = folder.read(target)
        state, other = (read_weights(path)[0], names) if names != "residua" else ({}, names)
    peer, called = build_peer(other, network.arch)
    found = None if peer is None else _apart(peer, state, network)
    return Converted(report, network.arch.name, names, str(target), len(network.state_dict()), called, found)


def build_peer(source: str, arch: Arch) -> tuple[nn.Module | None, str]:
    """The network of `source` that computes what `arch` does, with fresh weights, and its name with version.

    None and an empty name when `source` is no installed library, or has no such network.
    """
    if source == "torchvision":
        return _from_torchvision(arch)
    return _from_timm(arch) if source == "timm" else (None, "")


def _default(path: Path, to: str) -> Path:
    return Path(f"{path.stem}-{to}.safetensors" if to else f"{path.stem}-residua")


def _check_target(target: Path, to: str, *, force: bool) -> None:
    if not to:
        folder.check_free(target, force=force)
        return
    if target.suffix != ".safetensors":
        raise ValueError(f"{target} would hold weights: give a name that ends in .safetensors")
    if not target.parent.is_dir():
        raise ValueError(f"{target.parent} is no folder: make it first, or write elsewhere")
    if target.exists() and not force:
        raise FileExistsError(f"{target} is there already: give --force to replace it")


def _is_own(path: Path) -> bool:
    """Whether `path` says itself which network it is of."""
    if path.is_dir():
        saved = folder.is_saved(path) and is_ours(path / FILE)
        return saved or Run(path).checkpoints.is_dir()
    return is_ours(path) and "arch" in read_weights(path)[1]


def _read_own(path: Path, model: str | None, source: str) -> tuple[Network, str, str]:
    network = load_network(path)
    if model not in (None, network.arch.name) or source not in ("auto", "residua"):
        raise ValueError(f"{path} is residua's own, of {network.arch.name}: leave --model and --from out")
    return network, f"{len(network.state_dict())} tensors of {network.arch.name}", "residua"


def _read(path: Path, model: str | None, source: str, changes: Mapping[str, Any]) -> tuple[Network, str, str]:
    state, _ = read_weights(path)
    if model is None:
        raise ValueError(f"{path} does not say which network it is of: give --model NAME")
    arch = arch_of(model, **changes)
    with torch.device("meta"):
        drawn = build(arch)
    dialect = dialect_of(drawn, state, source=source)
    names = dialect.known(drawn.state_dict())
    head, first = (state.get(names.get(key, "")) for key in (head_keys(drawn)[0], FIRST))
    if head is not None and head.ndim:
        arch = change.with_classes(arch, len(head))
    if first is not None and first.ndim in (4, 5):
        arch = change.with_channels(arch, first.shape[1])
    network = build(arch)
    report = load(network, state, source=source)
    network.class_names = tuple(str(index) for index in range(arch.classes))
    return network.eval(), report, dialect.name


def _named(classes: tuple[str, ...], arch: Arch) -> tuple[str, ...]:
    if len(classes) != arch.classes:
        raise ValueError(f"{len(classes)} class names for {arch.classes} outputs: give one for each")
    return classes


def _from_torchvision(arch: Arch) -> tuple[nn.Module | None, str]:
    import torchvision
    from torchvision import models

    name = TORCHVISION.get(arch.name, arch.name)
    if name not in models.list_models() or arch.channels != 3 or not _is_plain(arch):
        return None, ""
    made = models.get_model(name, weights=None, num_classes=arch.classes, **BARE.get(name, {}))
    return made, f"torchvision {torchvision.__version__} {name}"


def _is_plain(arch: Arch) -> bool:
    """Whether `arch` computes what its name does, of the same images or clips."""
    plain = arch_of(arch.name)
    return plain.clip == arch.clip and not difference(plain, arch)


def _from_timm(arch: Arch) -> tuple[nn.Module | None, str]:
    try:
        import timm
    except ModuleNotFoundError:
        return None, ""
    name = TIMM.get(arch.name, arch.name)
    opened = arch_of(arch.name, opening="timm") if arch.name in TIMM else arch_of(arch.name)
    if not timm.is_model(name) or difference(opened, arch):
        return None, ""
    made: nn.Module = timm.create_model(name, num_classes=arch.classes, in_chans=arch.channels)
    return made, f"timm {timm.__version__} {name}"


def _apart(peer: nn.Module, state: Mapping[str, Tensor], network: Network) -> float:
    """Largest difference of a logit. CheckpointError when the peer itself does not take the weights."""
    wanted = peer.state_dict()
    missing = [name for name in wanted if name not in state and not name.endswith(COUNTER)]
    if missing:
        raise CheckpointError(f"the peer misses {missing[0]} in the weights: give weights of this network")
    peer.load_state_dict({**wanted, **{name: state[name] for name in wanted if name in state}})
    count = 1 if network.arch.clip else IMAGES
    images = torch.randn(count, *network.arch.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return float((peer.eval()(images) - network.eval()(images)).abs().max())
