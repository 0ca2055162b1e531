"""A network as a folder: `config.json` says what it is, `model.safetensors` holds its weights."""

import json
from pathlib import Path
from typing import Any

from residua.errors import CheckpointError, ConfigError
from residua.files import check_is_free, write_file
from residua.nn.network import Network, build
from residua.spec import zoo
from residua.spec.arch import Arch
from residua.spec.named_network import original_name, split_text
from residua.spec.record import check_characters, from_plain, parse_json, to_plain
from residua.spec.walk import block_repeats
from residua.version import __version__
from residua.weights.dialect import listed
from residua.weights.facts import provenance_of
from residua.weights.hub_folder import CONFIG, CONFIG_BYTES
from residua.weights.load import FILE, check_size, head_keys, load, read_weights
from residua.weights.store import open_file, publish, regular_size

FORMAT = 1
"""Version of the layout of `config.json` and of the metadata beside the weights."""
TIMM_PREFIX = "residua_"
"""Prefix of the names under which `residua.timm` registers networks in timm."""


def save(network: Network, folder: str | Path, *, force: bool = False) -> Path:
    """Write a network, its preprocessing and class names to a folder, which `residua.load` reads.

    Args:
        network: With a last layer.
        folder: Created where it does not exist.
        force: Replace a network that is saved there.

    Returns:
        The folder.

    Raises:
        FileExistsError: The folder holds a saved network, and `force` is false.
        ValueError: The network has no last layer.
        OSError: The files cannot be written.
    """
    folder = Path(folder)
    if not head_keys(network):
        raise ValueError(f"{network.arch.name} has no last layer: reset_classifier(n) makes one")
    check_folder_is_free(folder, force=force)
    folder.mkdir(parents=True, exist_ok=True)
    publish(folder / FILE, network.state_dict(), {"kind": "network", "format": FORMAT, **network.facts})
    write_file(
        folder / CONFIG, json.dumps(config(network), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )
    return folder


def check_folder_is_free(folder: Path, *, force: bool) -> None:
    """FileExistsError when `folder` is a file, or holds a saved network that `force` does not replace."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: give a folder")
    check_is_free(folder / CONFIG, folder / FILE, force=force)


def is_saved(folder: Path) -> bool:
    """Whether `folder` holds a network as `save` writes it."""
    return (folder / CONFIG).is_file() and (folder / FILE).is_file()


def read(folder: Path) -> Network:
    """The network in `folder`, in eval mode on the CPU.

    CheckpointError when a byte of its weights is not as it was written, or `config.json` is not of them.
    """
    plain = _plain(folder / CONFIG)
    state, facts = read_weights(folder / FILE)
    if facts and facts.get("arch") != plain["arch"]:
        raise CheckpointError(f"{folder / CONFIG} is not of the weights beside it: take both from one place")
    try:
        arch = from_plain(Arch, plain["arch"])
        check_size(arch, folder / FILE)
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG} spells no network: {error}") from None
    network = build(arch)
    own = network.state_dict()
    if wrong := [name for name, value in state.items() if name in own and value.shape != own[name].shape]:
        raise CheckpointError(f"{folder / CONFIG} is not of the weights beside it: {listed(wrong)} differ")
    network.class_names = _classes(plain, arch, folder)
    network.pretrained_from = provenance_of(facts)
    load(network, state, source="residua")
    return network.eval()


def config(network: Network) -> dict[str, Any]:
    """What `config.json` holds: the whole network as words, and the fields that timm reads."""
    arch = network.arch
    return {
        "format": FORMAT,
        "library_name": "residua",
        "library_version": __version__,
        "architecture": TIMM_PREFIX + original_name(arch.name),
        "model_args": _changes(arch.name),
        "num_classes": arch.classes,
        "num_features": network.num_features,
        "pretrained_cfg": timm_config(arch),
        "label_names": list(network.class_names),
        "arch": to_plain(arch),
        **({"pretrained_from": to_plain(network.pretrained_from)} if network.pretrained_from else {}),
    }


def _changes(name: str) -> dict[str, Any]:
    """The changes in the name of a listed network, as options of timm's `create_model`."""
    return dict(split_text(name)[1]) if original_name(name) in zoo.NAMES else {}


def timm_config(arch: Arch) -> dict[str, Any]:
    """What timm calls the pretrained configuration of `arch`, without weights.

    Args:
        arch: A network with a last layer.

    Returns:
        The fields of timm's `pretrained_cfg`, as JSON values.
    """
    preprocess, layer = arch.preprocess, "linear" if arch.is_flat else "conv"
    side = block_repeats(arch)[-2].layers[-1].size
    return {
        "input_size": list(arch.input_shape),
        "fixed_input_size": arch.is_flat,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "interpolation": preprocess.interpolation,
        "crop_pct": preprocess.size / preprocess.resize,
        "crop_mode": "center",
        "num_classes": arch.classes,
        "pool_size": None if arch.is_flat else [side, side],
        "first_conv": f"stem.{layer}1",
        "classifier": f"head.linear{arch.head.word.count('L')}",
    }


def _plain(path: Path) -> dict[str, Any]:
    if (size := regular_size(path)) > CONFIG_BYTES:
        raise CheckpointError(f"{path} has {size:,} bytes: give at most {CONFIG_BYTES:,}")
    try:
        with open_file(path) as file:
            plain = parse_json(file.read(CONFIG_BYTES))
    except ConfigError as error:  # not text, or not JSON
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(plain, dict) or "arch" not in plain:
        raise CheckpointError(f"{path} spells no network of residua: `residua convert` reads others' weights")
    if plain.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {plain.get('format')!r}: this residua reads {FORMAT}")
    return plain


def _classes(plain: dict[str, Any], arch: Arch, folder: Path) -> tuple[str, ...]:
    names = plain.get("label_names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{folder / CONFIG} has label_names that are no list of texts: write them so")
    if names and len(names) != arch.classes:
        raise CheckpointError(f"{folder / CONFIG} names {len(names)} of {arch.classes} classes: name each")
    try:
        check_characters("label_names", names)
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG} cannot be used: {error}") from None
    return tuple(names)
