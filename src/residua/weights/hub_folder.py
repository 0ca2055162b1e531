"""A repository of timm on the hub, as a folder: `config.json` says which network its weights are of."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from residua.errors import CheckpointError, ConfigError
from residua.spec.amount import quantity
from residua.spec.arch import Arch
from residua.spec.change import with_preprocess
from residua.spec.named_network import arch_of
from residua.spec.preprocess import Preprocess
from residua.spec.record import check_characters, from_plain, nearest, parse_json
from residua.weights.store import open_file, regular_size

CONFIG = "config.json"
"""What says of a repository which network it holds."""
CONFIG_BYTES = 2**22
"""Most bytes of it; timm's have a few thousand, ours for ResNet-1202 half a million."""
NETWORKS: Mapping[str, str] = {
    **{name: name for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")},
    **{name: name for name in ("resnext50_32x4d", "wide_resnet50_2")},
    **{f"resnetv2_{depth}": f"preresnet{depth}:opening=timm" for depth in (18, 34, 50, 101, 152)},
}
"""timm's name of a network -> ours."""
TAGS: Mapping[str, str] = {
    "resnet18": "a1_in1k",
    "resnet34": "a1_in1k",
    "resnet50": "a1_in1k",
    "resnet101": "a1h_in1k",
    "resnet152": "a1h_in1k",
    "resnext50_32x4d": "a1h_in1k",
    "wide_resnet50_2": "racm_in1k",
    "resnetv2_18": "ra4_e3600_r224_in1k",
    "resnetv2_34": "ra4_e3600_r224_in1k",
    "resnetv2_50": "a1h_in1k",
    "resnetv2_101": "a1h_in1k",
}
"""timm's name of a network -> the weights that timm takes by default (timm 1.0.31)."""


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """What a `config.json` says."""

    arch: Arch
    """The network, with its classes and Preprocess."""
    classes: tuple[str, ...]
    """Names of its classes; empty where they are unknown."""


def timm_repository(name: str) -> str:
    """The repository of timm's weights `resnet18.a1_in1k`, or of those that `resnet18` means.

    Raises:
        ConfigError: None of our networks is that one; the message names the nearest.
    """
    network, dot, tag = name.partition(".")
    if network not in NETWORKS:
        raise ConfigError(f"no network of residua is timm's {network!r}: {nearest(network, NETWORKS)}")
    if not dot and network not in TAGS:
        raise ConfigError(f"timm publishes no weights of {network}: {nearest(network, TAGS)}")
    if not re.fullmatch(r"[\w-]*", tag) or (dot and not tag):
        raise ConfigError(f"timm:{name} names no weights: give timm:{network}.{TAGS.get(network, 'TAG')}")
    return f"timm/{network}.{tag or TAGS[network]}"


def check_config(folder: Path, name: str) -> None:
    """Check that `config.json` names a network of ours or of timm that we have, before weights are read.

    Raises:
        CheckpointError: It names none, or cannot be read.
    """
    if "arch" not in _plain(folder, name):  # which is ours
        read_config(folder, name)


def read_config(folder: Path, name: str) -> KnownNetwork:
    """The network that timm's `config.json` names.

    Args:
        folder: Where the file is.
        name: The repository, for messages.

    Raises:
        CheckpointError: It names no network of ours, or a field is wrong.
    """
    plain = _plain(folder, name)
    theirs = plain.get("architecture")
    if not isinstance(theirs, str) or theirs not in NETWORKS:
        near = nearest(str(theirs), NETWORKS)
        raise CheckpointError(f"{name} is of {str(theirs)[:100]!r}, which no network of residua is: {near}")
    if plain.get("model_args"):
        raise CheckpointError(f"{name} changes {theirs} by model_args, which residua does not know")
    config = plain.get("pretrained_cfg")
    config = {**plain, **(config if isinstance(config, dict) else {})}
    try:
        arch = with_preprocess(arch_of(NETWORKS[theirs]), _preprocess(config))
        arch = replace(arch, classes=from_plain(int, config.get("num_classes", 1000), path="num_classes"))
        labels = config.get("label_names", plain.get("label_names"))
        named = labels if isinstance(labels, list) and all(isinstance(label, str) for label in labels) else []
        classes = tuple(named) if len(named) == arch.classes else ()
        check_characters("label_names", classes)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG} of {name} cannot be used: {error}") from None
    return KnownNetwork(arch, classes)


def licence(folder: Path) -> str:
    """The licence that `config.json` states, or `none stated`."""
    plain = _plain(folder, str(folder))
    config = plain.get("pretrained_cfg")
    stated = config.get("license") if isinstance(config, dict) else plain.get("license")
    return stated[:100] if isinstance(stated, str) and stated else "none stated"


def _plain(folder: Path, name: str) -> dict[str, Any]:
    path = folder / CONFIG
    if regular_size(path) > CONFIG_BYTES:
        raise CheckpointError(f"{path} of {name} has more than {CONFIG_BYTES:,} bytes: do not trust it")
    try:
        with open_file(path) as file:
            plain = parse_json(file.read(CONFIG_BYTES))
    except ConfigError as error:
        raise CheckpointError(f"{path} of {name} cannot be read: {error}") from None
    if not isinstance(plain, dict):
        raise CheckpointError(f"{path} of {name} holds no fields: give a repository of timm or residua")
    return plain


def _preprocess(config: Mapping[str, Any]) -> Preprocess:
    """timm's evaluation: the shorter side becomes size / crop_pct, rounded down, before the crop."""
    channels, _, size = from_plain(tuple[int, int, int], list(config["input_size"]), path="input_size")
    share = from_plain(float, config.get("crop_pct", 0.875), path="crop_pct")
    if not 0 < share <= 1:
        raise ConfigError(f"crop_pct is {share}: {quantity(size, 'pixel')} of a larger image need 0 to 1")
    mean, std = (from_plain(tuple[float, ...], list(config[name]), path=name) for name in ("mean", "std"))
    return Preprocess(
        size,
        max(size, math.floor(size / share)),
        mean,
        std,
        "rgb" if channels == 3 else "grey" if channels == 1 else "bands",
        "bicubic" if config.get("interpolation") == "bicubic" else "bilinear",
    )
