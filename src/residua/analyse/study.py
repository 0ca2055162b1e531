"""What a study is: it measures each network, draws the results of several, and explains how to read them."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from torch import Tensor

from residua.data.images import Images
from residua.data.transforms import denormalise
from residua.errors import ConfigError
from residua.nn.network import Network
from residua.report.chart import LONGEST_NAME, Series
from residua.report.page import Figure
from residua.spec.arch import Arch

if TYPE_CHECKING:
    import numpy as np

Measured = TypeVar("Measured")
"""What a study measures of one network."""

Colours = Mapping[str, int]
"""Index of the colour of each network, the same in every figure of a page."""


class Needs(Enum):
    """What a network must bring to a study."""

    NOTHING = "nothing"
    """A name is enough: the study uses the description, or weights and noise."""
    IMAGES = "images"
    """Images and labels; fresh weights are fine."""
    TRAINING = "images, trained weights"
    """Images and labels; with fresh weights the result says nothing about the network."""


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """A network and the images it is studied with."""

    name: str
    """What figures call it."""
    network: Network
    """The network, in eval mode."""
    images: Images | None
    """Images it was not trained on; None for studies that need none."""
    inputs: Tensor
    """The same images, preprocessed: (N, C, S, S) float."""
    labels: Tensor
    """(N,) int, their classes."""

    @property
    def arch(self) -> Arch:
        """The description of the network."""
        return self.network.arch

    def pixels(self, i: int) -> "np.ndarray":
        """Input `i` as the network sees it, as pixels: (H, W) grey or (H, W, 3) RGB, uint8."""
        pixels: np.ndarray = denormalise(self.inputs[i : i + 1], self.network.preprocess)[0].cpu().numpy()
        return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


@dataclass(frozen=True, eq=False, slots=True)
class Study(Generic[Measured]):
    """One study. Each is a file of this package; `table.py` lists them."""

    name: str
    """What it is called on the command line, and its file."""
    title: str
    """Heading on the page."""
    measures: str
    """What is measured, in a line."""
    source: str
    """The paper it follows; empty for none."""
    needs: Needs
    """What a network must bring."""
    measure: Callable[[Subject], Measured]
    """Result for one network; ConfigError for a network that the study does not fit."""
    draw: Callable[[Mapping[str, Measured], Colours], tuple[Figure, ...]]
    """Figures of the results by network."""
    summarise: Callable[[Mapping[str, Measured]], str]
    """The results by network in a sentence with numbers; empty where only pictures come out."""
    explain: str
    """A paragraph: how to read the figures, and what not to conclude."""
    has_numbers: bool = True
    """Whether results go into `analysis.json`; False where only pictures come out."""


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What one study found in several networks."""

    name: str
    """Name of the study."""
    summary: str
    """The result in a sentence, with numbers."""
    figures: tuple[Figure, ...]
    """Its figures."""
    numbers: Mapping[str, Any]
    """By network, as JSON values."""
    skipped: tuple[str, ...] = ()
    """Why networks were left out, one sentence each."""


def run_study(study: Study[Any], subjects: Sequence[Subject]) -> StudyResult:
    """Measure every network that `study` fits, and draw the results.

    Args:
        study: One of the table.
        subjects: Networks with different names.

    Returns:
        Results of the networks it fits, and why the others are left out.

    Raises:
        ConfigError: it fits none of them.
    """
    measured: dict[str, Any] = {}
    errors: list[ConfigError] = []
    for subject in subjects:
        try:
            measured[subject.name] = study.measure(subject)
        except ConfigError as error:
            errors.append(error)
    if not measured:
        raise errors[0]
    colours = {subject.name: place for place, subject in enumerate(subjects)}
    return StudyResult(
        study.name,
        study.summarise(measured),
        study.draw(measured, colours),
        as_json(measured) if study.has_numbers else {},
        tuple(map(str, errors)),
    )


def no_summary(results: Mapping[str, Any]) -> str:
    """The summary of a study that gives pictures only."""
    return ""


def depth_series(
    values: Mapping[str, Sequence[float]],
    colours: Colours,
    *,
    kind: Literal["line", "dots", "both"] = "line",
) -> tuple[Series, ...]:
    """One series a network: its values over 1, 2, 3 ...

    Args:
        values: Name of each network -> its values, in the order of depth or of size.
        colours: Name -> index of its colour; a network that is missing takes the next colour.
        kind: How each series is drawn.

    Returns:
        The series, in the order of `values`; x is the place of a value from 1.
    """
    return tuple(
        Series(name, tuple((float(place), y) for place, y in enumerate(ys, 1)), kind, colours.get(name, -1))
        for name, ys in values.items()
    )


def distinct_parts(names: Sequence[str]) -> list[str]:
    """`names` without the words that all of them begin or end with, if a figure could not show them whole.

    Words are separated by hyphens, and by a dot before a letter: `cifar_plain56.a-martyn` ends in two words.
    No name becomes empty, and no two become alike.
    """
    parts = [re.split(r"(?=-|\.[a-z])", name) for name in names]
    if len(set(names)) == len(names) > 1 and max(map(len, names)) > LONGEST_NAME:
        for end in (0, -1):
            while all(len(words) > 1 for words in parts) and len({words[end] for words in parts}) == 1:
                for words in parts:
                    words.pop(end)
    return ["".join(words).lstrip("-.") for words in parts]


def by_network(texts: Mapping[str, str]) -> str:
    """`plain 1.01; residual 0.98`."""
    return "; ".join(f"{name} {text}" for name, text in texts.items())


def percent(value: float) -> str:
    """`2.3 %`, with a space at which no line breaks."""
    return f"{value:.1f}\N{NO-BREAK SPACE}%"


def short_number(value: float) -> str:
    """A number that may span many powers of ten: `0.69`, `1.6e-16`."""
    return f"{value:.2g}" if value == 0 or 1e-3 <= value < 1e5 else f"{value:.1e}"


def as_json(value: Any) -> Any:
    """`value` as JSON values: no tensors, and null for nan and infinity."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if not isinstance(getattr(value, f.name), Tensor)]
        return {name: as_json(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
