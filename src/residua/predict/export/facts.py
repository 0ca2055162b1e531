"""ExportFacts: what an exported file says of itself; it is read without torch.

The facts are one JSON text. An ONNX file has it in its metadata under the key `residua`, an OpenVINO file in
its `rt_info` under the same key, an archive of torch as an extra file of that name.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from residua.errors import CheckpointError, ConfigError
from residua.spec.arch import Arch
from residua.spec.preprocess import Preprocess
from residua.spec.record import check_characters, from_plain, parse_json, to_json

KEY = "residua"
"""Name of the facts in a file."""
FORMAT = 1
"""Version of the facts."""
Takes = Literal["inputs", "images"]
"""What an exported graph reads: `inputs` are normalised float32 (n, C, S, S), `images` are uint8 images
(n, H, W, C) of any size, which the graph resizes, crops and normalises itself."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """The network, its preprocessing and its classes, as they stand in an exported file."""

    arch: Arch
    """The network, spelled out."""
    preprocess: Preprocess
    """The path from a decoded image to the input of the network."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the outputs."""
    digest: str
    """SHA-256 of the weights from which the file was made, hexadecimal."""
    takes: Takes = "inputs"
    """What the graph reads."""
    precision: Literal["float32", "int8"] = "float32"
    """Type of the weights and activations of the convolutions."""
    calibration: str = ""
    """How an int8 file was calibrated and what it costs, on one line; empty for float32."""
    licence: str = ""
    """Licence of the weights from which training began; empty where there were none."""
    origin: str = ""
    """Which weights those were, on one line; empty where there were none."""
    machine: str = ""
    """What a file of machine code needs: torch, system, instruction sets; empty where any machine can."""
    made_with: str = ""
    """Versions of residua and of the libraries that made the file."""
    format: int = FORMAT
    """Version of these facts."""

    def to_text(self) -> str:
        """The facts as JSON."""
        return to_json(self)

    @classmethod
    def from_text(cls, text: str, *, path: object) -> "ExportFacts":
        """The facts of the file at `path`.

        Raises:
            CheckpointError: The text holds no facts of this version, or they contradict each other.
        """
        try:
            plain: Any = parse_json(text)
            if not isinstance(plain, dict) or plain.get("format") != FORMAT:
                version = plain.get("format") if isinstance(plain, dict) else "none"
                raise ConfigError(f"format {version!r} instead of {FORMAT}")
            facts = from_plain(cls, plain)
            check_characters("the text", [facts.to_text()])
        except (ConfigError, ValueError) as error:
            raise CheckpointError(f"{path} has facts that cannot be read: {error}: export it again") from None
        if len(facts.classes) != facts.arch.classes:
            named = f"{len(facts.classes)} of {facts.arch.classes} classes"
            raise CheckpointError(f"{path} names {named}: export it again")
        return facts

    def changed(self, **fields: Any) -> "ExportFacts":
        """The same facts with other values of `fields`."""
        return replace(self, **fields)
