"""What a clean found, as values: one Row an image, a summary a class, and the CSV that a person edits."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from residua.data.images import Images
from residua.data.items import Files
from residua.measure.confident import Confidence

Action = Literal["keep", "relabel", "drop"]
ACTIONS: tuple[Action, ...] = ("keep", "relabel", "drop")
"""What may be done with an image, as the column `action` says it."""
COLUMNS = ("path", "label", "suggested", "score", "reason", "action")
"""Columns of the CSV."""
SUMMARY = "clean.json"
"""Beside the CSV: which images it speaks of, and how they were judged."""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One image, and what is suggested for it."""

    path: str
    """What the image is called."""
    label: str
    """Its class."""
    suggested: str
    """The class it would get; its own where nothing speaks against it."""
    score: float | None
    """How sure its label is, from 0, surely wrong, to 1; None where no network was asked."""
    reason: str
    """Why it should be looked at; empty where there is no reason."""
    action: Action
    """What is suggested."""


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """What was found of one class."""

    name: str
    """Its name."""
    images: int
    """Images that were judged."""
    wrong: float
    """Estimated share of wrong labels, in percent."""
    suspects: int
    """Images suggested for another class."""
    taken_for: str
    """The class that most of these would get; empty without one."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """All that a clean found in a source."""

    source: str
    """The source, as it was given."""
    images: Images
    """Its images, those to learn from first."""
    learn: int
    """How many of them are to learn from; the others are to judge by."""
    rows: tuple[ActionRow, ...]
    """One for each image, in their order."""
    order: NDArray[np.int64]
    """Places of the images, those to look at first."""
    kinds: dict[str, tuple[int, ...]]
    """Places by what was found: `label`, `unreadable`, `duplicate`, `near`, `outlier`."""
    confidence: Confidence | None
    """What the predictions say of the labels; None without predictions."""
    judged: NDArray[np.int64]
    """Places of the images that were judged: rows of what `confidence` holds."""
    accuracy: float | None
    """Share of the judged images whose likeliest class is their label, in percent."""
    how: tuple[str, ...]
    """How they were judged, a line each."""

    @property
    def in_files(self) -> bool:
        """Whether the images are files of their own, which a manifest can list."""
        return isinstance(self.images.files, Files)

    def summaries(self) -> list[ClassSummary]:
        """Every class, the one with the largest share of wrong labels first."""
        found = self.confidence
        if found is None:
            return []
        labels, classes = self.images.labels[self.judged], self.images.classes
        wrong = 100 * found.wrong_by_class()
        made = []
        for label, name in enumerate(classes):
            mine = labels == label
            to = np.bincount(found.suggested[mine & found.suspects], minlength=len(classes))
            taken = classes[int(to.argmax())] if to.any() else ""
            made.append(ClassSummary(name, int(mine.sum()), float(wrong[label]), int(to.sum()), taken))
        return sorted(made, key=lambda one: (-one.wrong, one.name))

    def counts(self) -> dict[str, int]:
        """Images by what is suggested."""
        actions = [row.action for row in self.rows]
        return {action: actions.count(action) for action in ACTIONS}

    def plain(self) -> dict[str, Any]:
        """As JSON values; the rows are in the CSV."""
        found = self.confidence
        return {
            "source": self.source,
            "images": len(self.images),
            "judged": len(self.judged),
            "accuracy": None if self.accuracy is None else round(self.accuracy, 2),
            "wrong_labels_percent": None if found is None else round(100 * found.wrong_share, 2),
            "how": list(self.how),
            "actions": self.counts(),
            "found": {kind: len(places) for kind, places in self.kinds.items()},
            "classes": [
                {
                    "class": one.name,
                    "images": one.images,
                    "wrong_percent": round(one.wrong, 2),
                    "suspects": one.suspects,
                    "taken_for": one.taken_for,
                }
                for one in self.summaries()
            ],
        }

    def csv(self) -> str:
        """The table that a person edits, those to look at first."""
        table = io.StringIO(newline="")
        lines = csv.writer(table)
        lines.writerow(COLUMNS)
        for place in self.order.tolist():
            row = self.rows[place]
            score = "" if row.score is None else f"{row.score:.4f}"
            lines.writerow((row.path, row.label, row.suggested, score, row.reason, row.action))
        return table.getvalue()


def read_actions(file: Path) -> dict[str, tuple[str, Action]]:
    """What an edited CSV says of each path: the label and what to do; a relabelled one has its new label.

    ValueError names the row of an unknown action, a missing label, or a path that comes twice.
    """
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}): give the clean.csv of a clean") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    found: dict[str, tuple[str, Action]] = {}
    try:
        known = reader.fieldnames or ()
        missing = [name for name in ("path", "label", "suggested", "action") if name not in known]
        if missing:
            raise ValueError(f"{file} has no column {', '.join(missing)}: give the clean.csv of a clean")
        for cells in reader:
            where = f"{file} row {reader.line_num}"
            path, done = _action(cells, where)
            if path in found:
                raise ValueError(f"{where} lists {path}, which an earlier row lists: keep one")
            found[path] = done
    except csv.Error as error:
        raise ValueError(f"{file} is no CSV ({error}): save it again as CSV") from None
    return found


def _action(cells: dict[str, str | None], where: str) -> tuple[str, tuple[str, Action]]:
    path, word = cells["path"] or "", (cells["action"] or "").strip().lower()
    action = next((known for known in ACTIONS if known == word), None)
    if action is None or not path:
        raise ValueError(f"{where} has the action {word!r} for {path!r}: give keep, relabel or drop")
    column = "suggested" if action == "relabel" else "label"
    label = (cells[column] or "").strip()
    if not label:
        raise ValueError(f"{where} has nothing in the column {column}: {action} needs a class there")
    return path, (label, action)
