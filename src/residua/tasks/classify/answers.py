"""Naming what is in many pictures, and what was said of them as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residua.data.images import Images
from residua.errors import DataError
from residua.measure.evaluate import Judgement
from residua.predict.classifier import Classifier, Prediction
from residua.tasks.kind import Told

TOGETHER = 32
"""Pictures computed at once."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for one file."""

    file: str
    """Its path, as it was given."""
    top: tuple[tuple[str, float], ...]
    """The likeliest classes with their probabilities; empty when the file cannot be read."""
    error: str = ""
    """Why there is no answer."""
    label: str = ""
    """The class that it has, where that is known."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        pairs = [{"class": name, "probability": p} for name, p in self.top]
        said = {name: text for name, text in (("label", self.label), ("error", self.error)) if text}
        return {"file": self.file, "top": pairs, **said}


@dataclass(frozen=True, slots=True)
class Named:
    """Classes of several files: `residua.tasks.kind.Answers` says what each method is for."""

    every: tuple[Answer, ...]
    """One for each file."""

    def __len__(self) -> int:
        """Files."""
        return len(self.every)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why there is no answer, for each file without one."""
        return tuple(answer.error for answer in self.every if answer.error)

    def told(self) -> Told:
        """The likeliest classes of every file that could be read."""
        rows = tuple(
            (answer.file, *(f"{name} {100 * p:.1f} %" for name, p in answer.top))
            for answer in self.every
            if not answer.error
        )
        return Told(("file", *("" for _ in range(self._width))), rows)

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """A row for each file: its label where that is known, classes and probabilities, and what failed."""
        is_labelled = any(answer.label for answer in self.every)
        pairs = (f"{part}{k}" for k in range(1, self._width + 1) for part in ("class", "probability"))
        head = ("file", *(["label"] if is_labelled else []), *pairs, "error")
        return head, [self._row(answer, is_labelled=is_labelled) for answer in self.every]

    def plain(self) -> list[dict[str, Any]]:
        """As JSON values, one for each file."""
        return [answer.plain() for answer in self.every]

    def show(self, place: Path, *, name: str, force: bool) -> str:
        """ValueError: a class is nowhere on a picture."""
        raise ValueError(f"classes of pictures are not drawn: {place} is not needed")

    @property
    def _width(self) -> int:
        return max((len(answer.top) for answer in self.every), default=1)

    def _row(self, answer: Answer, *, is_labelled: bool) -> tuple[Any, ...]:
        pairs = [*answer.top, *[("", None)] * (self._width - len(answer.top))]
        label = [answer.label] if is_labelled else []
        return (answer.file, *label, *(value for pair in pairs for value in pair), answer.error)


def named(classifier: Classifier, files: Sequence[Path], *, topk: int) -> Named:
    """The `topk` likeliest classes of `files`, in order; one that is no image says so and stops nothing."""
    found: list[Prediction | DataError] = []
    for start in range(0, len(files), TOGETHER):
        some = files[start : start + TOGETHER]
        try:
            found += classifier.many(some)
        except DataError:
            found += [_one(classifier, file) for file in some]
    return Named(
        tuple(
            Answer(str(file), (), str(result))
            if isinstance(result, DataError)
            else Answer(str(file), tuple(result.top(topk)))
            for file, result in zip(files, found, strict=True)
        )
    )


def of_judgement(images: Images, judged: Judgement, *, topk: int) -> Named:
    """An Answer, with the true class, for each of `images` that were `judged`."""
    likeliest = np.argsort(-judged.probabilities, 1, kind="stable")[:, :topk]
    found = []
    for i, row in enumerate(likeliest):
        top = tuple((images.classes[c], float(judged.probabilities[i, c])) for c in row)
        found.append(Answer(images.title(i), top, label=images.classes[judged.labels[i]]))
    return Named(tuple(found))


def _one(classifier: Classifier, file: Path) -> Prediction | DataError:
    try:
        return classifier(file)
    except DataError as error:
        return error
