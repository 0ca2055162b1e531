"""Naming what is in many pictures, and writing it down."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residua.data.decode import DataError
from residua.data.images import Images
from residua.deliver.engine import Classifier, Prediction
from residua.measure.evaluate import Judgement
from residua.training.run import write

TOGETHER = 32
"""Pictures computed at once."""
SUFFIXES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for one file."""

    file: str
    """Its path, as it was given."""
    top: tuple[tuple[str, float], ...]
    """The likeliest classes with their probabilities; empty when the file is no image."""
    error: str = ""
    """Why there is no answer."""
    label: str = ""
    """The class that it has, where that is known."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        pairs = [{"class": name, "probability": p} for name, p in self.top]
        said = {name: text for name, text in (("label", self.label), ("error", self.error)) if text}
        return {"file": self.file, "top": pairs, **said}


def predictions(classifier: Classifier, files: Sequence[Path], *, topk: int) -> Iterator[Answer]:
    """An Answer for each of `files`, in order; one that is no image says so and stops nothing."""
    for start in range(0, len(files), TOGETHER):
        some = files[start : start + TOGETHER]
        try:
            found: list[Prediction | DataError] = list(classifier.many(some))
        except DataError:
            found = [_one(classifier, file) for file in some]
        for file, result in zip(some, found, strict=True):
            if isinstance(result, DataError):
                yield Answer(str(file), (), str(result))
            else:
                yield Answer(str(file), tuple(result.top(topk)))


def check_out(out: Path | None, *, force: bool, suffixes: Sequence[str] = SUFFIXES) -> None:
    """ValueError for an unknown suffix or a missing folder; FileExistsError unless `force`."""
    if out is None:
        return
    if out.suffix not in suffixes:
        raise ValueError(f"{out} ends in {out.suffix!r}: give {', '.join(suffixes)}")
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} is no folder: make it first, or write elsewhere")
    if out.exists() and not force:
        raise FileExistsError(f"{out} is there already: give --force to replace it")


def of_judgement(images: Images, judged: Judgement, *, topk: int) -> list[Answer]:
    """An Answer, with the true class, for each of `images` that were `judged`."""
    likeliest = np.argsort(-judged.probabilities, 1, kind="stable")[:, :topk]
    found = []
    for i, row in enumerate(likeliest):
        top = tuple((images.classes[c], float(judged.probabilities[i, c])) for c in row)
        found.append(Answer(images.title(i), top, label=images.classes[judged.labels[i]]))
    return found


def save(out: Path, answers: Sequence[Answer]) -> None:
    """Write `answers` to `out`, in the form of its suffix.

    ValueError when Parquet needs a missing package.
    """
    width = max((len(answer.top) for answer in answers), default=1)
    is_labelled = any(answer.label for answer in answers)
    head = [
        "file",
        *(["label"] if is_labelled else []),
        *(f"{part}{k}" for k in range(1, width + 1) for part in ("class", "probability")),
        "error",
    ]
    rows = [_row(answer, width, is_labelled=is_labelled) for answer in answers]
    save_table(out, head, rows, plain=[answer.plain() for answer in answers])


def save_table(
    out: Path, head: Sequence[str], rows: Sequence[Sequence[Any]], *, plain: Sequence[dict[str, Any]]
) -> None:
    """Write `rows` under `head` to `out`, .csv or .parquet, or what they mean, `plain`, to .jsonl.

    ValueError when Parquet needs a missing package.
    """
    if out.suffix == ".jsonl":
        write(out, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in plain))
        return
    if out.suffix == ".csv":
        table = io.StringIO(newline="")
        csv.writer(table).writerows([head, *rows])
        write(out, table.getvalue())
        return
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise ValueError("Parquet needs pyarrow: pip install pyarrow, or write .csv or .jsonl") from None
    columns = dict(zip(head, zip(*rows, strict=True) if rows else [()] * len(head), strict=True))
    columns["file"] = tuple(name.encode("utf-8", "backslashreplace").decode() for name in columns["file"])
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)
    write(out, buffer.getvalue())


def _one(classifier: Classifier, file: Path) -> Prediction | DataError:
    try:
        return classifier(file)
    except DataError as error:
        return error


def _row(answer: Answer, width: int, *, is_labelled: bool) -> list[Any]:
    pairs = [*answer.top, *[("", None)] * (width - len(answer.top))]
    label = [answer.label] if is_labelled else []
    return [answer.file, *label, *(value for pair in pairs for value in pair), answer.error]
