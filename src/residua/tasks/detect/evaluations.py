"""BoxEvaluations: evaluations of detectors as a table, as JSON and as a page without links."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.spec.text_table import TextTable
from residua.tasks.detect import pages
from residua.tasks.detect.evaluation import BoxEvaluation
from residua.tasks.detect.predictions import BoxPredictions
from residua.tasks.detect.score import PROTOCOL_TEXTS, BoxScore

LISTED_CLASSES = 12
"""Most classes in the line below the table."""


@dataclass(frozen=True, eq=False, slots=True)
class BoxEvaluations:
    """`residua.tasks.predict_task.Evaluations` of detectors."""

    evaluations: tuple[BoxEvaluation, ...]
    """One for each detector."""

    @property
    def scores(self) -> list[BoxScore]:
        """Numbers with their protocols, detector by detector."""
        return [score for one in self.evaluations for score in one.scores]

    def table(self) -> TextTable:
        """A row for each score, the classes of each detector, and what the protocols are."""
        several = len(self.evaluations) > 1
        rows = tuple(
            (*((one.network,) if several else ()), *_row(score))
            for one in self.evaluations
            for score in one.scores
        )
        head = ("protocol", "images", "weights", "n", "objects", "mAP", "95 % interval", "AP50", "AP75")
        notes = [_classes_line(one) for one in self.evaluations]
        notes += [
            f"{name}: {PROTOCOL_TEXTS[name]}" for name in dict.fromkeys(s.protocol for s in self.scores)
        ]
        return TextTable(("detector", *head) if several else head, rows, 4 if several else 3, tuple(notes))

    def to_json(self) -> list[dict[str, Any]]:
        """The scores as JSON values, each with the detector's path as `run`; NaN becomes null."""
        return [_score_values(score, one.network) for one in self.evaluations for score in one.scores]

    def predictions(self, topk: int) -> BoxPredictions:
        """The boxes that the first detector predicts in every image."""
        return BoxPredictions.of_evaluation(self.evaluations[0])

    def page(self, command: str) -> str:
        """The predictions of the first detector, under every protocol."""
        return pages.evaluation_page(self.evaluations[0], command=command)

    def next_commands(self, path: Path) -> tuple[str, ...]:
        """Predicting boxes in other images."""
        return (f"residua predict {path} IMAGE --draw DIR",)


def _classes_line(evaluation: BoxEvaluation) -> str:
    score = evaluation.scores[0]
    classes = ", ".join(f"{name} {ap:.1f}" for name, ap in score.classes[:LISTED_CLASSES])
    more = " ..." if len(score.classes) > LISTED_CLASSES else ""
    return f"{evaluation.network}, {score.protocol}, by class: {classes}{more}"


def _row(score: BoxScore) -> tuple[str, ...]:
    parts = dict(score.parts)
    low, high = score.interval or (0.0, 0.0)
    return (
        score.protocol,
        score.split,
        score.weights,
        f"{score.n:,}",
        f"{score.boxes:,}",
        f"{score.value:.2f} %",
        f"{low:.2f} to {high:.2f} %" if score.interval else "–",
        *(f"{parts[name]:.2f} %" if name in parts else "–" for name in ("AP50", "AP75")),
    )


def _score_values(score: BoxScore, network: str) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return round(value, 4) if math.isfinite(value) else None

    return {
        "run": network,
        "views": score.protocol,
        "map": number(score.value),
        "interval": list(score.interval) if score.interval else None,
        "parts": {part: number(value) for part, value in score.parts},
        "classes": {name: number(value) for name, value in score.classes},
        "n": score.n,
        "boxes": score.boxes,
        "split": score.split,
        "weights": score.weights,
    }
