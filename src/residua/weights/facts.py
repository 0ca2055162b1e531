"""Facts: what a file of ours holds as JSON beside its tensors. Every reader of such a file checks them.

The digest proves that no byte changed since the file was written, not who wrote it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.errors import CheckpointError, ConfigError
from residua.spec.arch import Arch
from residua.spec.detector import Detector
from residua.spec.provenance import Provenance
from residua.spec.record import check_characters, from_plain

FORMAT = 2
"""Version of the format; a file with a higher number was written by a later residua."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that decide how a file is read; a file may hold others."""

    format: int = FORMAT
    """Version of the format."""
    kind: str = ""
    """`training state`, `weights` or `network`."""
    arch: Arch | None = None
    """The network."""
    classes: tuple[str, ...] = ()
    """Names of the classes; empty where they are unknown."""
    detector: Detector | None = None
    """Detection head behind the network; None without one."""
    pretrained_from: Provenance | None = None
    """The published weights from which its training began; None without any."""


def check_facts(facts: Any, path: Path) -> dict[str, Any]:
    """The facts of the file at `path`, after a check of their types.

    Args:
        facts: Their JSON value.
        path: The file, for messages.

    Raises:
        CheckpointError: A fact is wrong; the message names it. Those of a later format are not checked.
    """
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path} holds facts without names: write it with residua")
    version = facts.get("format", FORMAT)
    if type(version) is int and version > FORMAT:
        return facts
    try:
        known = from_plain(Facts, facts, path="facts", others=True)
        check_characters("facts.classes", known.classes)
    except ConfigError as error:
        raise CheckpointError(f"{path} holds wrong facts: {error}") from None
    if known.arch and "classes" not in facts:
        raise CheckpointError(f"{path} holds wrong facts: they lack the field 'classes'")
    if known.arch and known.classes and not known.detector and len(known.classes) != known.arch.classes:
        names = f"facts.classes has {len(known.classes)} names of {known.arch.classes}"
        raise CheckpointError(f"{path} holds wrong facts: {names}")
    return facts


def provenance_of(facts: Mapping[str, Any]) -> Provenance | None:
    """The published weights from which the training of the network of `facts` began; None without any."""
    plain = facts.get("pretrained_from")
    return from_plain(Provenance, plain, others=True) if plain else None
