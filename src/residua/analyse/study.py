"""What a study takes and gives: patients, figures, and numbers as JSON can hold them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

from residua.data.images import Images
from residua.nn.network import Network
from residua.report.chart import LONGEST_NAME as LONGEST
from residua.spec.arch import Arch

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False, slots=True)
class Patient:
    """A network and the images it is studied with."""

    name: str
    """What figures call it."""
    network: Network
    """The network, in eval mode."""
    images: Images | None
    """Images it did not learn from; None for studies that need none."""
    inputs: Tensor
    """The same as it sees them: (N, C, S, S) float."""
    labels: Tensor
    """(N,) their classes."""

    @property
    def arch(self) -> Arch:
        """What it was spelled from."""
        return self.network.arch


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure."""

    svg: str
    """SVG text."""
    caption: str
    """Below it."""
    alternative: str
    """What it shows, for who cannot see it."""


@dataclass(frozen=True, slots=True)
class Study:
    """What one study found."""

    finding: str
    """The result in a sentence, with numbers."""
    drawings: tuple[Drawing, ...]
    """Its figures."""
    numbers: Mapping[str, Any]
    """By network, as JSON values."""
    skipped: tuple[str, ...] = ()
    """Networks it does not fit, and why."""
    name: str = ""
    """What it is called on the command line."""


def each(
    patients: Sequence[Patient], of: Callable[[Patient], Found]
) -> tuple[dict[str, Found], tuple[str, ...]]:
    """What `of` finds by network, and why it finds nothing in the others. ValueError if it fits none."""
    found: dict[str, Found] = {}
    skipped: list[str] = []
    for patient in patients:
        try:
            found[patient.name] = of(patient)
        except ValueError as error:
            if len(patients) == 1:
                raise
            skipped.append(str(error))
    if not found:
        raise ValueError(skipped[0])
    return found, tuple(skipped)


def without_shared(names: Sequence[str]) -> list[str]:
    """`names`, of which figures could not show all letters, without the words that all begin or end with.

    Words are parted by hyphens. No name is left empty, and no two become alike.
    """
    parts = [name.split("-") for name in names]
    if len(set(names)) == len(names) > 1 and max(map(len, names)) > LONGEST:
        for end in (0, -1):
            while all(len(words) > 1 for words in parts) and len({words[end] for words in parts}) == 1:
                for words in parts:
                    words.pop(end)
    return ["-".join(words) for words in parts]


def percent(value: float) -> str:
    """`2.3 %`, which no line break tears apart."""
    return f"{value:.1f}\N{NO-BREAK SPACE}%"


def inks(patients: Sequence[Patient]) -> dict[str, int]:
    """Place of the colour of each network, the same in every figure."""
    return {patient.name: place for place, patient in enumerate(patients)}


def amount(value: float) -> str:
    """A number over many powers of ten, as people read it: `0.69`, `1.6e-16`."""
    return f"{value:.2g}" if value == 0 or 1e-3 <= value < 1e5 else f"{value:.1e}"


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: no tensors, and null for what is not a number."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = [f.name for f in fields(value) if not isinstance(getattr(value, f.name), Tensor)]
        return {name: plain(getattr(value, name)) for name in kept}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
