"""What a clean suggests for each image, by which rules, and the CSV that a person edits."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from residua.curate.folds import FoldPredictions
from residua.data.images import Images
from residua.data.items import Files
from residua.data.near_duplicates import Group
from residua.data.scan import Scan
from residua.data.table_cells import csv_text, unprotect
from residua.errors import ConfigError
from residua.measure.confident import Confidence, confidence
from residua.measure.outliers import far_out

Action = Literal["keep", "relabel", "drop"]
ACTIONS: tuple[Action, ...] = ("keep", "relabel", "drop")
"""Values of the column `action`."""
COLUMNS = ("path", "label", "suggested", "score", "reason", "action")
"""Columns of the CSV."""
SUMMARY = "clean.json"
"""File beside the CSV: the source, and how its images were predicted."""
FINDINGS = ("unreadable", "label", "duplicate", "near", "outlier")
"""Kinds of finding: unreadable files, label issues, duplicates, near-duplicates, outliers."""

ODDS = 20.0
"""How many times likelier than the label another class must be before anything is suggested. Where one label
in twenty is wrong, less is no more than the odds that it is right. Our choice; without it a network that is
right on half of 4,000 CIFAR-10 images named 1,486 labels, 200 being wrong."""
SURE, LIKELIER = 0.9, 0.5
"""Probability from which on the other class is suggested, else a drop: a wrong new label costs more. Of
10,000 CIFAR-10 images, 500 labels wrong, 242 stay or become wrong at 0.9, and 408 at 0.5. The second holds
where many labels are wrong: a network trained on them is rarely sure, and a small set cannot lose so many
images."""
MAX_DROPS = 0.05
"""Share of the images that SURE may drop. Our choice: with 30 % of 1,433 digits flipped and most label issues
dropped, accuracy was no better for it (the interval's lower end was -9.1 points)."""
MIN_ACCURACY = 50.0
"""Accuracy in percent below which label issues are listed, but no action is suggested. Our choice."""
MIN_ESTIMATE_ACCURACY = 85.0
"""Accuracy in percent from which the share of wrong labels is estimated, since errors of a network look the
same. Of 100 planted sets with 1 to 30 % of the labels flipped, estimates above 85 % were at most 1.3 points
off, from 80 to 85 % up to 18 points, and below up to 34."""


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """A label that is probably wrong (Northcutt et al. 2021)."""

    index: int
    """The image."""
    suggested: int
    """The class it probably has."""
    probability: float
    """Predicted probability of the suggested class."""
    label_probability: float
    """Predicted probability of the label."""
    action: Action
    """What is suggested."""

    def reason(self, classes: tuple[str, ...]) -> str:
        """`more likely cat (97 % against 0.4 %)`."""
        numbers = f"{100 * self.probability:.0f} % against {100 * self.label_probability:.1f} %"
        return f"more likely {classes[self.suggested]} ({numbers})"


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One image, and what is suggested for it: a row of the CSV."""

    path: str
    """Path of the image within the source."""
    label: str
    """Its class."""
    suggested: str
    """The class it would get; its own without a label issue."""
    score: float | None
    """Predicted probability of the label, from 0, surely wrong, to 1; None without a prediction."""
    reason: str
    """Why the image should be reviewed; empty without a reason."""
    action: Action
    """What is suggested."""


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """The label noise of one class."""

    name: str
    """The class."""
    images: int
    """Its images with a prediction."""
    wrong_percent: float | None
    """Estimated share of wrong labels, in percent; None where it cannot be told, as in `CleanResult`."""
    issues: int
    """Its label issues."""
    confused_with: str
    """The class that most of these would get; empty without one."""

    @property
    def wrong_cells(self) -> tuple[str, ...]:
        """`wrong_percent` as the cells of a table: one, or none where it cannot be told."""
        return () if self.wrong_percent is None else (f"{self.wrong_percent:.1f} %",)


@dataclass(frozen=True, eq=False)
class CleanSplit:
    """The images of a source, both splits in one."""

    images: Images
    """Training images, then validation images."""
    train_count: int
    """Number of training images."""
    val_name: str
    """Name of the other split: `val` or `test`."""

    def is_val(self, index: int) -> bool:
        """Whether an image is in the validation split."""
        return index >= self.train_count


@dataclass(frozen=True, eq=False)
class CleanResult:
    """Everything that a clean found. An index is an image's place in `images`."""

    source: str
    """The source, as the user gave it."""
    images: Images
    """Training images, then validation images."""
    train_count: int
    """Number of training images."""
    rows: tuple[ActionRow, ...]
    """One for each image, by index."""
    order: NDArray[np.int64]
    """(N,) indices, those to review first."""
    findings: dict[str, tuple[int, ...]]
    """Kind of finding, of FINDINGS -> indices."""
    confidence: Confidence | None
    """Confident learning on the predicted images; None without predictions."""
    predicted: NDArray[np.int64]
    """(P,) indices of the images with a prediction: the rows of `confidence`."""
    accuracy: float | None
    """Share of the predicted images whose likeliest class is their label, in percent; None without any."""
    notes: tuple[str, ...]
    """How the images were predicted, one line each."""

    @property
    def wrong_percent(self) -> float | None:
        """Estimated share of wrong labels; None without predictions, or below MIN_ESTIMATE_ACCURACY."""
        if self.confidence is None or self.accuracy is None or self.accuracy < MIN_ESTIMATE_ACCURACY:
            return None
        return 100 * self.confidence.wrong_share

    @property
    def estimate(self) -> str:
        """How many labels are wrong, or why that cannot be told, as a sentence; empty without predictions."""
        if self.accuracy is None:
            return ""
        if self.wrong_percent is not None:
            return f"about {self.wrong_percent:.1f} % of the labels are wrong"
        return (
            f"how many labels are wrong cannot be told: the networks are right on {self.accuracy:.1f} %, "
            f"and below {MIN_ESTIMATE_ACCURACY:g} % their own errors look the same"
        )

    @property
    def is_in_files(self) -> bool:
        """Whether every image is a file of its own, so that a manifest can list it."""
        return isinstance(self.images.files, Files)

    def is_val(self, index: int) -> bool:
        """Whether an image is in the validation split."""
        return index >= self.train_count

    def class_summaries(self) -> list[ClassSummary]:
        """Every class, that with the largest share of wrong labels or of issues first; empty without any."""
        if self.confidence is None:
            return []
        labels, classes = self.images.labels[self.predicted], self.images.classes
        wrong, can_tell = 100 * self.confidence.wrong_by_class(), self.wrong_percent is not None
        summaries = []
        for label, name in enumerate(classes):
            of_class = labels == label
            suggested = self.confidence.suggested[of_class & self.confidence.is_label_issue]
            counts = np.bincount(suggested, minlength=len(classes))
            confused_with = classes[int(counts.argmax())] if counts.any() else ""
            percent = float(wrong[label]) if can_tell else None
            summaries.append(
                ClassSummary(name, int(of_class.sum()), percent, int(counts.sum()), confused_with)
            )
        return sorted(
            summaries,
            key=lambda each: (-(each.wrong_percent or 0.0), -each.issues / max(1, each.images), each.name),
        )

    def action_counts(self) -> dict[str, int]:
        """Action -> images for which it is suggested."""
        actions = [row.action for row in self.rows]
        return {action: actions.count(action) for action in ACTIONS}

    def plain(self) -> dict[str, Any]:
        """For JSON; the rows are in the CSV."""
        wrong = self.wrong_percent
        return {
            "source": self.source,
            "images": len(self.images),
            "predicted": len(self.predicted),
            "accuracy": None if self.accuracy is None else round(self.accuracy, 2),
            "wrong_labels_percent": None if wrong is None else round(wrong, 2),
            "notes": list(self.notes),
            "actions": self.action_counts(),
            "findings": {kind: len(indices) for kind, indices in self.findings.items()},
            "classes": [
                {
                    "class": summary.name,
                    "images": summary.images,
                    "wrong_percent": None
                    if summary.wrong_percent is None
                    else round(summary.wrong_percent, 2),
                    "label_issues": summary.issues,
                    "confused_with": summary.confused_with,
                }
                for summary in self.class_summaries()
            ],
        }

    def csv(self) -> str:
        """The table that a person edits, with the images to review first."""
        table: list[tuple[str, ...]] = [COLUMNS]
        for index in self.order.tolist():
            row = self.rows[index]
            score = "" if row.score is None else f"{row.score:.4f}"
            table.append((row.path, row.label, row.suggested, score, row.reason, row.action))
        return csv_text(table)


@dataclass
class _Draft:
    """The columns of the rows while they are filled in."""

    suggested: list[int]
    reasons: list[list[str]]
    actions: list[Action]
    findings: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in FINDINGS})

    @classmethod
    def keep_all(cls, images: Images) -> "_Draft":
        return cls(images.labels.tolist(), [[] for _ in images.labels], ["keep"] * len(images))

    def add(self, index: int, kind: str, reason: str, action: Action = "keep") -> None:
        """One more reason to review an image. `drop` overrides other actions; `keep` overrides none."""
        self.findings[kind].append(index)
        self.reasons[index].append(reason)
        if action == "drop" or self.actions[index] == "keep":
            self.actions[index] = action

    def row(self, images: Images, i: int, score: float) -> ActionRow:
        return ActionRow(
            images.title(i),
            images.classes[images.labels[i]],
            images.classes[self.suggested[i]],
            None if np.isnan(score) else float(score),
            "; ".join(self.reasons[i]),
            self.actions[i],
        )


def suggest_actions(
    source: str,
    split: CleanSplit,
    files: Scan,
    groups: tuple[list[Group], list[Group]],
    predictions: FoldPredictions,
    notes: tuple[str, ...],
) -> CleanResult:
    """Suggest an action for each of N images.

    Args:
        source: The source, as the user gave it.
        split: Its images.
        files: Facts of the N files.
        groups: Duplicates and near-duplicates, as groups of indices.
        predictions: Predictions on the images, by networks that were not trained on them.
        notes: How they were predicted, one line each.
    """
    images = split.images
    draft, scores = _Draft.keep_all(images), np.full(len(images), np.nan)
    for index, why in files.reasons.items():
        draft.add(index, "unreadable", why, "drop")
    predicted = np.flatnonzero(predictions.is_predicted)
    learning, accuracy = None, None
    if len(predicted):
        probabilities, labels = predictions.probabilities[predicted], images.labels[predicted]
        learning = confidence(probabilities, labels)
        accuracy = 100 * float((probabilities.argmax(1) == labels).mean())
        scores[predicted] = learning.score
        for issue in _label_issues(images, predicted, probabilities, learning, act=accuracy >= MIN_ACCURACY):
            draft.suggested[issue.index] = issue.suggested
            draft.add(issue.index, "label", issue.reason(images.classes), issue.action)
        if accuracy < MIN_ACCURACY:
            notes = (*notes, f"right on {accuracy:.0f} %: too weak to suggest other labels; train longer")
    _add_duplicates(draft, split, groups[0], scores)
    _add_near_duplicates(draft, split, groups[1])
    for index in np.flatnonzero(far_out(predictions.distances)).tolist():
        times = f"{predictions.distances[index]:.1f}"
        draft.add(index, "outlier", f"resembles no training image: {times} times the median distance")
    rows = tuple(draft.row(images, i, scores[i]) for i in range(len(images)))
    rank = {"relabel": 0, "drop": 1, "keep": 2}
    ranks = [rank[row.action] if row.reason else 3 for row in rows]
    order = np.lexsort((np.nan_to_num(scores, nan=-1.0), ranks))
    findings = {kind: tuple(indices) for kind, indices in draft.findings.items()}
    return CleanResult(
        source, images, split.train_count, rows, order, findings, learning, predicted, accuracy, notes
    )


def _label_issues(
    images: Images,
    predicted: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    learning: Confidence,
    *,
    act: bool,
) -> list[LabelIssue]:
    """The label issues, least probable label first; without `act` all are kept."""
    rows = np.arange(len(predicted))
    suggested = probabilities[rows, learning.suggested]
    own = probabilities[rows, images.labels[predicted]]
    is_clear = learning.is_label_issue & (suggested >= ODDS * own) & act
    has_few_drops = (is_clear & (suggested < SURE)).sum() <= MAX_DROPS * len(predicted)
    is_relabelled = is_clear & (suggested >= (SURE if has_few_drops else LIKELIER))
    issues = []
    for k in np.argsort(learning.score, kind="stable").tolist():
        if learning.is_label_issue[k]:
            action: Action = "relabel" if is_relabelled[k] else "drop" if is_clear[k] else "keep"
            index, label = int(predicted[k]), int(learning.suggested[k])
            issues.append(LabelIssue(index, label, float(suggested[k]), float(own[k]), action))
    return issues


def _add_duplicates(
    draft: _Draft, split: CleanSplit, groups: list[Group], scores: NDArray[np.float64]
) -> None:
    """Of equal files one is kept: a validation image before others, then the most probable label."""
    labels = split.images.labels
    for group in groups:
        kept_one = max(group, key=lambda i: (split.is_val(i), np.nan_to_num(scores[i], nan=-1.0), -i))
        for index in group:
            if index != kept_one:
                draft.add(index, "duplicate", f"the same file as {_describe(split, index, kept_one)}", "drop")
        if len({int(labels[index]) for index in group}) > 1:
            draft.add(kept_one, "duplicate", "its duplicates have other labels")


def _add_near_duplicates(draft: _Draft, split: CleanSplit, groups: list[Group]) -> None:
    """Near-duplicates are listed; training images are dropped where a validation image looks like them."""
    for group in groups:
        in_val = [index for index in group if split.is_val(index)]
        for index in group:
            other = next(i for i in (*in_val, *group) if i != index)
            is_leak = bool(in_val) and not split.is_val(index)
            reason = f"looks like {_describe(split, index, other)}"
            draft.add(index, "near", reason, "drop" if is_leak else "keep")


def _describe(split: CleanSplit, index: int, other: int) -> str:
    """The title of image `other`, and how it differs from `index` in label and split."""
    images = split.images
    words = [images.title(other)]
    if images.labels[index] != images.labels[other]:
        words.append(f"labelled {images.classes[images.labels[other]]}")
    if split.is_val(index) != split.is_val(other):
        words.append(f"in {split.val_name if split.is_val(other) else 'train'}")
    return ", ".join(words)


def read_actions(file: Path) -> dict[str, tuple[str, Action]]:
    """Read an edited CSV.

    Returns:
        Path of an image -> its label, the new one where it is relabelled, and the action.

    Raises:
        ConfigError: The file is not such a CSV; for an unknown action, a missing label or a repeated path the
            message names the row.
    """
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        hint = "give the clean.csv of a clean"
        raise ConfigError(f"{file} cannot be read ({error.strerror}): {hint}") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    actions: dict[str, tuple[str, Action]] = {}
    try:
        columns = reader.fieldnames or ()
        missing = [name for name in ("path", "label", "suggested", "action") if name not in columns]
        if missing:
            raise ConfigError(f"{file} has no column {', '.join(missing)}: give the clean.csv of a clean")
        for cells in reader:
            row = f"{file} row {reader.line_num}"
            path, label_and_action = _read_row(cells, row)
            if path in actions:
                raise ConfigError(f"{row} lists {path}, which an earlier row lists: keep one")
            actions[path] = label_and_action
    except csv.Error as error:
        raise ConfigError(f"{file} is not a CSV ({error}): save it again as CSV") from None
    return actions


def _read_row(cells: dict[str, str | None], row: str) -> tuple[str, tuple[str, Action]]:
    path, word = unprotect(cells["path"] or ""), (cells["action"] or "").strip().lower()
    action = next((known for known in ACTIONS if known == word), None)
    if action is None or not path:
        raise ConfigError(f"{row} has the action {word!r} for {path!r}: give keep, relabel or drop")
    column = "suggested" if action == "relabel" else "label"
    label = unprotect((cells[column] or "").strip())
    if not label:
        raise ConfigError(f"{row} has an empty column {column}: {action} needs a class there")
    return path, (label, action)
