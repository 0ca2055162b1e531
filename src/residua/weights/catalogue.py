"""Released weights by name: where a file is, what it is of, what was published about it, and its licence."""

from dataclasses import dataclass

from residua.spec.preprocess import Preprocess


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
    """Bytes of the file; 0 where it is not known."""
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
