"""Foreign weights to a residua folder and back, compared with the other library where it is installed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from residua.errors import CheckpointError, ConfigError
from residua.events import Event
from residua.files import check_output_path
from residua.jobs.pretrained import describe_preprocess, with_preprocess
from residua.nn.network import Network, build
from residua.predict import folder
from residua.predict.predictor import load_network
from residua.runs.run import Run
from residua.spec import zoo
from residua.spec.amount import quantity
from residua.spec.arch import Arch
from residua.spec.changes import Changes
from residua.spec.describe import first_difference
from residua.spec.named_network import apply_changes, arch_of, is_file, origin_of, original_name, split_text
from residua.version import __version__
from residua.weights import named
from residua.weights.catalogue import TORCHVISION
from residua.weights.dialect import COUNTER
from residua.weights.fill import check_network, known_arch, sure_report
from residua.weights.load import FILE, check_size, load, read_weights, save_as
from residua.weights.named import OpenedWeights
from residua.weights.recognise import fit_to
from residua.weights.store import is_ours, publish

IMAGES = 2
"""Inputs on which both networks are compared, drawn from a normal distribution with seed 0."""
TIMM = {f"preresnet{depth}": f"resnetv2_{depth}" for depth in (18, 34, 50, 101, 152)}
"""Our name -> timm's name, where they differ."""
TORCHVISION_OPTIONS = {"googlenet": {"aux_logits": False, "init_weights": False}}
"""Arguments of torchvision's constructor that leave auxiliary heads out."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was read, what was written, and the largest difference between the two networks."""

    read: str
    """What the weights were read from, and every tensor that was not simply copied."""
    model: str
    """Name of the network."""
    source: str
    """The naming scheme of the weights: `torchvision`, `timm`, ..."""
    written: str
    """Path of the folder or file that was written."""
    tensors: int
    """Tensors in it."""
    peer: str = ""
    """The other library's network that was compared, with its version; empty when none is installed."""
    difference: float | None = None
    """Largest absolute difference of a logit between the peer and ours; None without a peer."""
    notes: tuple[str, ...] = ()
    """What is known of weights of others: licence, network, and what it reads or is assumed to read."""


def convert(
    file: str | Path,
    model: str | None = None,
    *,
    source: str = "auto",
    to: str = "",
    out: str | Path | None = None,
    changes: Changes | None = None,
    classes: Sequence[str] = (),
    force: bool = False,
    listen: Callable[[Event], None] = lambda _: None,
) -> Conversion:
    """Convert weights to a saved folder, or with `to` to a safetensors file in another library's names.

    Args:
        file: Weights of others, as a file or by name (`resnet50.torchvision.v2`, `timm:resnet18`), or a run,
            a saved folder or a checkpoint of residua.
        model: The network by name, or the path of a JSON file; needed for a file that several networks fit.
        source: Naming scheme of foreign weights, e.g. `torchvision`; `auto` recognises it.
        to: Naming scheme to write; empty writes a residua folder.
        out: Folder or file to create; by default named after `file`.
        changes: Further changes of the network, e.g. `{"order": "e"}`.
        classes: Class names; by default those of published weights, else the outputs are numbered.
        force: Replace an existing output.
        listen: Receives the progress of a download.

    Returns:
        What was read and written, and the largest difference to the other library's network.

    Raises:
        ConfigError: A name cannot be used.
        CheckpointError: The weights do not fit the network.
        UnreachableError: Weights by name are not on this machine, and cannot be downloaded.
        FileExistsError: The output exists, without `force`.
    """
    path, notes = Path(file), tuple[str, ...]()
    target = Path(out) if out else _default(path, to)
    _check_target(target, to, force=force)
    if _is_ours(path):
        network, report, names = _read_ours(path, model, source, changes or {})
    else:
        opened = named.open_weights(str(file), model or "", listen=listen)
        network, report, names = _read_foreign(opened, model, source, changes or {})
        pixels = describe_preprocess(
            network.arch, opened, wrote_network=bool(model and is_file(origin_of(model)))
        )
        path, notes = opened.path, (*opened.notes, f"pixels: {pixels}")
    if classes and to:
        raise ConfigError(f"a file for {to} holds no class names: leave --classes out")
    if classes:
        network.class_names = _checked_class_names(tuple(classes), network.arch)
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
    peer, peer_name = build_peer(other, network.arch)
    difference = None if peer is None else _largest_difference(peer, state, network)
    tensors = len(network.state_dict())
    return Conversion(report, network.arch.name, names, str(target), tensors, peer_name, difference, notes)


def build_peer(source: str, arch: Arch) -> tuple[nn.Module | None, str]:
    """The network of another library that computes what `arch` computes.

    Args:
        source: `torchvision` or `timm`.
        arch: Our network.

    Returns:
        The network with fresh weights and its name with version; None and "" when the library is not
        installed or has no such network.
    """
    if source == "torchvision":
        return _from_torchvision(arch)
    return _from_timm(arch) if source == "timm" else (None, "")


def _default(path: Path, to: str) -> Path:
    name = path.stem if path.suffix.lower() in named.SUFFIXES else path.name
    name = name.replace(":", "-")
    return Path(f"{name}-{to}.safetensors" if to else f"{name}-residua")


def _check_target(target: Path, to: str, *, force: bool) -> None:
    if not to:
        folder.check_folder_is_free(target, force=force)
        return
    check_output_path(target, force=force, suffixes=(".safetensors",))


def _is_ours(path: Path) -> bool:
    """Whether `path` is residua's own and so names its network."""
    if path.is_dir():
        saved = folder.is_saved(path) and is_ours(path / FILE)
        return saved or Run(path).checkpoints.is_dir()
    return path.exists() and is_ours(path) and "arch" in read_weights(path)[1]


def _read_ours(path: Path, model: str | None, source: str, changes: Changes) -> tuple[Network, str, str]:
    network = load_network(path)
    named = network.arch.name if model is None else arch_of(model, **changes).name
    if named != network.arch.name or (changes and model is None) or source not in ("auto", "residua"):
        raise ConfigError(f"{path} is residua's own, of {network.arch.name}: leave --model and --from out")
    return network, f"{quantity(len(network.state_dict()), 'tensor')} of {network.arch.name}", "residua"


def _read_foreign(
    weights: OpenedWeights, model: str | None, source: str, changes: Changes
) -> tuple[Network, str, str]:
    state, _ = read_weights(weights.path)
    if model is None:
        arch = apply_changes(known_arch(weights), **changes)
    else:
        arch = arch_of(model, **changes)
        if not is_file(origin_of(model)):
            arch = with_preprocess(arch, weights, {**split_text(model)[1], **changes})
    arch, dialect = fit_to(arch, state, source=source)
    check_network(weights, arch)
    check_size(arch, weights.path)
    network = build(arch)
    report = sure_report(load(network, state, source=source), weights)
    is_known = len(weights.classes) == arch.classes
    network.class_names = weights.classes if is_known else tuple(map(str, range(arch.classes)))
    network.pretrained_from = weights.provenance
    return network.eval(), report, dialect.name


def _checked_class_names(classes: tuple[str, ...], arch: Arch) -> tuple[str, ...]:
    if len(classes) != arch.classes:
        raise ConfigError(
            f"{quantity(len(classes), 'class name')} for "
            f"{quantity(arch.classes, 'output')}: give one for each"
        )
    return classes


def _from_torchvision(arch: Arch) -> tuple[nn.Module | None, str]:
    import torchvision
    from torchvision import models

    name = original_name(arch.name)
    name = TORCHVISION.get(name, name)
    if name not in models.list_models() or arch.channels != 3 or not _is_plain(arch):
        return None, ""
    peer = models.get_model(name, weights=None, num_classes=arch.classes, **TORCHVISION_OPTIONS.get(name, {}))
    return peer, f"torchvision {torchvision.__version__} {name}"


def _is_plain(arch: Arch) -> bool:
    """Whether `arch` is unchanged from the network of its name, apart from classes and channels."""
    name = original_name(arch.name)
    if name not in zoo.NAMES:
        return False
    plain = zoo.arch(name)
    return plain.clip == arch.clip and not first_difference(plain, arch)


def _from_timm(arch: Arch) -> tuple[nn.Module | None, str]:
    try:
        import timm
    except ModuleNotFoundError:
        return None, ""
    listed = original_name(arch.name)
    if listed not in zoo.NAMES:
        return None, ""
    name = TIMM.get(listed, listed)
    opened = arch_of(listed, opening="timm") if listed in TIMM else zoo.arch(listed)
    if not timm.is_model(name) or first_difference(opened, arch):
        return None, ""
    peer: nn.Module = timm.create_model(name, num_classes=arch.classes, in_chans=arch.channels)
    return peer, f"timm {timm.__version__} {name}"


def _largest_difference(peer: nn.Module, state: Mapping[str, Tensor], network: Network) -> float:
    """Largest absolute difference of a logit. CheckpointError when the weights do not fit the peer."""
    expected = peer.state_dict()
    missing = [name for name in expected if name not in state and not name.endswith(COUNTER)]
    if missing:
        raise CheckpointError(
            f"the weights lack {missing[0]}, which the peer needs: give weights of this network"
        )
    peer.load_state_dict({**expected, **{name: state[name] for name in expected if name in state}})
    count = 1 if network.arch.clip else IMAGES
    images = torch.randn(count, *network.arch.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return float((peer.eval()(images) - network.eval()(images)).abs().max())
