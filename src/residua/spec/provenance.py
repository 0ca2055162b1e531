"""Provenance: where pretrained weights come from; stored with every network that began from them."""

from dataclasses import dataclass

DIGITS = 12
"""Digits of a SHA-256 in a line for people."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """The published weights from which the training of a network began."""

    name: str
    """How they are called: `resnet50.torchvision.v2`, `hf:owner/name`."""
    licence: str
    """SPDX identifier as their owner states it, or `none stated`."""
    sha256: str
    """SHA-256 of their file."""
    training_data: str = ""
    """What they were trained on; empty where that is not known."""
    source: str = ""
    """Where they are published; empty where that is not known."""

    @property
    def text(self) -> str:
        """`resnet50.torchvision.v2, BSD-3-Clause, trained on ImageNet-1k, SHA-256 0123456789ab`."""
        trained = f", trained on {self.training_data}" if self.training_data else ""
        return f"{self.name}, licence {self.licence}{trained}, SHA-256 {self.sha256[:DIGITS]}"
