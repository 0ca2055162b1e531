"""Released weights by name: where a file is, what it is of, what was published about it, and its licence.

The rows are in catalogue.json beside this file: `owners` holds what the rows of one owner share, `entries`
the rows, each of which may say otherwise. Class names are in `classes`, one a line. Both are read once, when
a name is first looked up.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from residua.errors import ConfigError
from residua.spec.named_network import arch_of, origin_of, split_text
from residua.spec.preprocess import Preprocess
from residua.spec.record import nearest

FILE = Path(__file__).with_name("catalogue.json")
"""The rows."""
CLASSES = Path(__file__).with_name("classes")
"""Folder with a list of class names for each training data, one a line."""
AUTO = ("auto", "true", "imagenet", "default", "pretrained")
"""Words for the best weights of a network, in lower case."""
PERMISSIVE = ("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT")
"""Licences that allow every use, SPDX identifiers."""
EQUAL = 0.05
"""Difference of two accuracies that says nothing, in percent: one file judged twice differs by as much."""
TORCHVISION = {"resnet3d18": "r3d_18"}
"""Our name -> torchvision's name, where they differ."""


@dataclass(frozen=True, slots=True)
class ReleasedWeights:
    """One file of weights that its owner published."""

    name: str
    """`<network>.<owner>.<tag>`: `resnet50.torchvision.v2`, `cifar_resnet20.akamaster`."""
    model: str
    """Our network, with changes where it needs some: `cifar_resnet20:shortcut=B`."""
    dialect: str
    """Whose names the tensors have, a key of `weights.tables.DIALECTS`."""
    file: str
    """Name of the file, also in caches."""
    urls: tuple[str, ...]
    """Addresses, in the order in which they are tried; empty where only a hub has it."""
    hub: str
    """Repository on the Hugging Face hub, `timm/resnet50.a1_in1k`; empty for none."""
    sha256: str
    """SHA-256 of the file, or the beginning that its owner published; empty where none is known."""
    size: int
    """Bytes of the file, for messages only: rounded as published, else the bytes of its tensors, rounded."""
    top1: float | None
    """Published top-1 accuracy in percent; None where none was found."""
    protocol: str
    """How that was measured: `one crop of 224 from 256`."""
    source: str
    """Where that is published."""
    licence: str
    """SPDX identifier, or `none stated`."""
    training_data: str
    """What it was trained on: `ImageNet-1k`."""
    preprocess: Preprocess
    """What the network reads."""
    classes: str
    """Name of the list of its class names, e.g. `imagenet1k`; empty where none is known."""
    verified: str
    """What was verified by us, and how; empty for nothing."""

    @property
    def network(self) -> str:
        """Name of the network without changes: `cifar_resnet20`."""
        return self.name.partition(".")[0]

    @property
    def is_permissive(self) -> bool:
        """Whether the licence allows every use, commercial too."""
        return self.licence in PERMISSIVE


def entries(pattern: str = "*") -> list[ReleasedWeights]:
    """The entries that match a shell-style pattern, in the order of the catalogue; none where none matches.

    Args:
        pattern: Compared with the name (`resnet50.*`), with parts of it (`resnet50`, `timm`, `timm.a1`), and
            with the name on the hub (`*_in1k`).
    """
    return [entry for entry in _catalogue() if _matches(entry, pattern.lower())]


def find(text: str, model: str = "") -> ReleasedWeights:
    """The entry that `text` means.

    Args:
        text: A name of the catalogue, or with `model` the part behind the network (`torchvision.v2`,
            `timm.a1`, `akamaster`); a name of torchvision (`IMAGENET1K_V2`, `ResNet50_Weights.DEFAULT`) or
            timm (`resnet18.a1_in1k`); `auto` or a network, which mean the best of it, as `best` chooses.
        model: The network that gets the weights; empty where `text` says it.

    Raises:
        ConfigError: There is no such entry; the message offers the nearest names.
    """
    word, network = text.strip().lower(), origin_of(model)
    if word in AUTO:
        return _best_or_nearest(text, model)
    known = _spellings()
    for spelling in [f"{network}.{word}", word] if network else [word]:
        if spelling in known:
            return known[spelling]
        if _of_network(origin_of(spelling)):
            return _best_or_nearest(text, text.strip())
        if group := [entry for entry in _catalogue() if entry.name.startswith(f"{spelling}.")]:
            return _highest(_permissive(group) or group, model)
    raise ConfigError(f"no weights {text!r}{_near(word, network)} (`residua weights` lists all)")


def best(model: str, counts: Callable[[ReleasedWeights], object] = lambda _: True) -> ReleasedWeights | None:
    """What `auto` means: the best entry for a network.

    Only entries count whose licence allows every use, and whose network computes what `model` does; changes
    of classes, channels and image size do not matter. Of those the one with the highest published top-1
    wins, at the image size that its Preprocess has: 224 pixels for ImageNet. A difference below 0.05 % says
    nothing: then the first in the catalogue wins, where the owners of a training come before those who copy
    it. Where `model` says a number of classes, entries with that number come first.

    Args:
        model: A network, with changes where wanted: `resnet50`, `cifar_resnet20:shortcut=B`.
        counts: Whether an entry is looked at, for example one whose file is here.

    Returns:
        The entry; None where there is none.

    Raises:
        ConfigError: There is no such network.
    """
    group = _of_network(origin_of(model))
    if not group:
        return None
    name = arch_of(model).name
    same = [entry for entry in _permissive(group) if arch_of(entry.model).name == name and counts(entry)]
    return _highest(same, model) if same else None


def class_names(entry: ReleasedWeights) -> tuple[str, ...]:
    """Names of the classes, in the order of the outputs; empty where they are not known."""
    return _class_list(entry.classes) if entry.classes else ()


def _best_or_nearest(text: str, model: str) -> ReleasedWeights:
    """The best entry of `model`, or of the same network with other changes. ConfigError for none."""
    network = origin_of(model)
    if not network:
        raise ConfigError(f"weights {text!r} of which network? give it, or a whole name: resnet50.timm.a1")
    if entry := best(model):
        return entry
    if group := _of_network(network):
        if permissive := _permissive(group):
            return _highest(permissive, model)
        raise ConfigError(
            f"no weights {text!r}: {network} has some under {group[0].licence} alone: {group[0].name}"
        )
    arch_of(model)
    known = dict.fromkeys(entry.network for entry in _catalogue())
    variants = [name for name in known if name.startswith(f"{network}_")]
    advice = f"did you mean {' or '.join(variants)}?" if variants else nearest(network, known)
    raise ConfigError(f"no weights {text!r}: none of {network} are published: {advice}")


def _near(word: str, network: str) -> str:
    """The end of a message: the names near `word`, of `network` where that is known."""
    if own := [entry.name.partition(".")[2] for entry in _of_network(network)]:
        return f" of {network}: {nearest(word, own)}"
    names = [entry.name for entry in _catalogue()]
    if not network:
        close = nearest(word, names)
        return f": {close}" if close.endswith("?") else ""
    if variants := [name for name in names if name.startswith(f"{network}_")]:
        return f" of {network}: {nearest(f'{network}.{word}', variants)}"
    return f" of {network}: none of this network are known"


def _highest(group: Sequence[ReleasedWeights], model: str) -> ReleasedWeights:
    """The entry of `group` with the highest top-1, as `best` defines it, whatever its licence."""
    classes = split_text(model)[1].get("num_classes")
    group = [entry for entry in group if len(class_names(entry)) == classes] or group
    top = max(entry.top1 or 0.0 for entry in group)
    return next(entry for entry in group if (entry.top1 or 0.0) > top - EQUAL)


def _permissive(group: Iterable[ReleasedWeights]) -> list[ReleasedWeights]:
    return [entry for entry in group if entry.is_permissive]


def _of_network(network: str) -> list[ReleasedWeights]:
    return [entry for entry in _catalogue() if entry.network == network]


def _matches(entry: ReleasedWeights, pattern: str) -> bool:
    network, _, rest = entry.name.partition(".")
    parts = (
        entry.name,
        entry.model,
        network,
        rest,
        *rest.split("."),
        entry.hub,
        entry.hub.rpartition("/")[2],
    )
    return any(fnmatchcase(part, pattern) for part in parts)


@cache
def _spellings() -> Mapping[str, ReleasedWeights]:
    """Every way to write a whole name, in lower case."""
    spellings = {}
    for entry in reversed(_catalogue()):  # of two, the first counts
        for name in _other_names(entry):
            spellings[name.lower()] = entry
    return {**spellings, **{entry.name: entry for entry in _catalogue()}}


def _other_names(entry: ReleasedWeights) -> Sequence[str]:
    """What else an entry is called: by torchvision or timm, and with our name of the network there."""
    if entry.hub:
        name = entry.hub.rpartition("/")[2]
        return entry.hub, name, f"{entry.network}.{name.partition('.')[2]}"
    network, owner, tag = [*entry.name.split("."), ""][:3]
    if owner != "torchvision":
        return ()
    data = {"imagenet1k": "IMAGENET1K", "kinetics400": "KINETICS400"}[entry.classes]
    theirs = f"{TORCHVISION.get(network, network)}_Weights"
    newest = f"{network}.{owner}.v2" not in {other.name for other in _catalogue()} or tag == "v2"
    names = [f"{network}.{data}_{tag}", f"{theirs}.{data}_{tag}"]
    return [*names, f"{theirs}.DEFAULT"] if newest else names


@cache
def _catalogue() -> tuple[ReleasedWeights, ...]:
    """All entries."""
    plain = json.loads(FILE.read_text("utf-8"))
    return tuple(_entry(plain["owners"][row["name"].split(".")[1]] | row) for row in plain["entries"])


def _entry(row: Mapping[str, Any]) -> ReleasedWeights:
    """One entry from its row and what its owner's rows share."""
    crop, resize = row["crop"], row["resize"]
    protocol = row.get("protocol", f"one crop of {crop} from {resize}")
    return ReleasedWeights(
        name=row["name"],
        model=row.get("model", row["name"].partition(".")[0]),
        dialect=row["dialect"],
        file=row["file"],
        urls=(row["address"].format_map(row),) if "address" in row else (),
        hub=row.get("hub", "").format_map(row),
        sha256=row.get("sha256", ""),
        size=row["bytes"],
        top1=row.get("top1"),
        protocol=f"{protocol}; {row['also']}" if "also" in row else protocol,
        source=row["source"],
        licence=row["licence"],
        training_data=row["training_data"],
        preprocess=Preprocess(
            crop,
            resize,
            tuple(row["mean"]),
            tuple(row["std"]),
            interpolation=row.get("interpolation", "bilinear"),
        ),
        classes=row["classes"],
        verified=row["verified"],
    )


@cache
def _class_list(name: str) -> tuple[str, ...]:
    return tuple((CLASSES / f"{name}.txt").read_text("utf-8").splitlines())
