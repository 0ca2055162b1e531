"""ClassPredictions: the likeliest classes of several images or videos, as rows, JSON and columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from residua.errors import ConfigError, DataError
from residua.spec.amount import quantity
from residua.spec.text_table import TextTable

if TYPE_CHECKING:  # exported networks predict without torch
    from residua.measure.evaluation import Evaluation

UNSURE = "unsure"
"""What tables and folders call an input of which no class is likely enough."""
RankedClasses = tuple[tuple[str, float], ...]
"""Classes with their probabilities, the likeliest first."""


class Ranks(Protocol):
    """A prediction that ranks classes: `Prediction` of an image, `VideoPrediction` of a video."""

    def top(self, k: int = 1) -> list[tuple[str, float]]:
        """The `k` likeliest classes with their probabilities, the likeliest first."""


@dataclass(frozen=True, slots=True, repr=False)
class ClassPredictions:
    """`residua.tasks.predict_task.Predictions` of classes."""

    titles: tuple[str, ...]
    """Path or title of each input."""
    top: tuple[RankedClasses, ...]
    """The likeliest classes of each input; empty for one that cannot be read, or is unsure."""
    failures: Mapping[int, str]
    """Why an input cannot be read, by its index."""
    topk: int
    """Most classes of an input: the pairs of columns in a file."""
    labels: tuple[str, ...] = ()
    """The class of each input, where it is known."""

    @classmethod
    def of(
        cls,
        titles: Sequence[str | Path],
        outputs: Sequence[Ranks | DataError],
        *,
        topk: int,
        least: float | None = None,
    ) -> "ClassPredictions":
        """The likeliest classes of inputs.

        Args:
            titles: Path or title of each input.
            outputs: A prediction or an error of each.
            topk: Most classes of an input.
            least: Lowest probability of a class that is named; None names all.
        """
        top: list[RankedClasses] = []
        failures = {}
        for index, output in enumerate(outputs):
            if isinstance(output, DataError):
                failures[index] = str(output)
                top.append(())
            else:
                top.append(tuple(pair for pair in output.top(topk) if least is None or pair[1] >= least))
        return cls(tuple(map(str, titles)), tuple(top), failures, topk)

    @classmethod
    def of_evaluation(cls, evaluation: "Evaluation", *, topk: int) -> "ClassPredictions":
        """The `topk` likeliest classes of every example of `evaluation`, with its label."""
        images, probabilities = evaluation.split, evaluation.probabilities
        order = np.argsort(-probabilities, 1, kind="stable")[:, :topk]
        return cls(
            tuple(images.title(i) for i in range(len(images))),
            tuple(
                tuple((images.classes[c], float(probabilities[i, c])) for c in row)
                for i, row in enumerate(order)
            ),
            {},
            min(topk, len(images.classes)),
            tuple(images.classes[label] for label in images.labels),
        )

    def __len__(self) -> int:
        return len(self.titles)

    def __repr__(self) -> str:
        unread = f", {len(self.failures)} cannot be read" if self.failures else ""
        return self.table().preview(f"ClassPredictions({quantity(len(self), 'input')}{unread})")

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no prediction, for each input without one."""
        return tuple(self.failures.values())

    @property
    def best_classes(self) -> tuple[str | None, ...]:
        """The likeliest class of each input: empty for an unsure one, None for one that cannot be read."""
        return tuple(
            None if index in self.failures else top[0][0] if top else "" for index, top in enumerate(self.top)
        )

    @property
    def unsure(self) -> int:
        """Inputs of which no class is likely enough."""
        return sum(not top for top in self.top) - len(self.failures)

    def joined(self, others: "Sequence[ClassPredictions]") -> "ClassPredictions":
        """These predictions and `others`, in order."""
        parts, failures, start = (self, *others), dict[int, str](), 0
        for part in parts:
            failures.update({start + index: error for index, error in part.failures.items()})
            start += len(part)
        return ClassPredictions(
            tuple(title for part in parts for title in part.titles),
            tuple(top for part in parts for top in part.top),
            failures,
            self.topk,
            tuple(label for part in parts for label in part.labels),
        )

    def table(self) -> TextTable:
        """A row for each input that could be read."""
        rows = tuple(
            (title, *([f"{name} {100 * p:.1f} %" for name, p in top] or [UNSURE]))
            for index, (title, top) in enumerate(zip(self.titles, self.top, strict=True))
            if index not in self.failures
        )
        return TextTable(("file", *("" for _ in range(self.topk))), rows)

    def columns(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """A row for each input: its label where known, classes and probabilities, and the error."""
        pairs = (f"{part}{k}" for k in range(1, self.topk + 1) for part in ("class", "probability"))
        head = ("file", *(["label"] if self.labels else []), *pairs, "error")
        return head, [self._row(index) for index in range(len(self))]

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values, one for each input."""
        values = []
        for index, (title, top) in enumerate(zip(self.titles, self.top, strict=True)):
            value: dict[str, Any] = {"file": title}
            value["top"] = [{"class": name, "probability": p} for name, p in top]
            if self.labels:
                value["label"] = self.labels[index]
            if index in self.failures:
                value["error"] = self.failures[index]
            values.append(value)
        return values

    def draw(self, place: Path, *, name: str, force: bool) -> str:
        """ConfigError: classes of images are not drawn."""
        raise ConfigError(f"classes of images are not drawn: leave {place} out")

    def _row(self, index: int) -> tuple[Any, ...]:
        top = self.top[index]
        pairs = [*top, *[("", None)] * (self.topk - len(top))]
        label = [self.labels[index]] if self.labels else []
        return (
            self.titles[index],
            *label,
            *(value for pair in pairs for value in pair),
            self.failures.get(index, ""),
        )
