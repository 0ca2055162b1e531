"""The verdict on detectors: as a table, as JSON, and as a page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from residua.data.scenes import Scenes
from residua.nn.device import place_network, resolve_device
from residua.spec.recipe import Plan
from residua.tasks.detect import pages
from residua.tasks.detect.answers import Boxed, of_judgement
from residua.tasks.detect.learning import load_trained
from residua.tasks.detect.judging import BoxJudgement, judge
from residua.tasks.detect.score import SAYS, BoxScore, check
from residua.tasks.kind import Told
from residua.training.processes.world import World

NAMED = 12
"""Classes told one by one."""


@dataclass(frozen=True, eq=False, slots=True)
class FoundBoxes:
    """What one detector finds in a set, and how good that is."""

    name: str
    """The run or file, as it was given."""
    judgement: BoxJudgement
    """What was found in each image."""
    scores: tuple[BoxScore, ...]
    """One for each protocol."""


@dataclass(frozen=True, eq=False, slots=True)
class ByBox:
    """What detectors found: `residua.tasks.kind.Verdict` says what each method is for."""

    found: tuple[FoundBoxes, ...]
    """Detector after detector."""

    def onward(self, path: Path) -> tuple[str, ...]:
        """Finding boxes in other images."""
        return (f"residua predict {path} IMAGE --draw DIR",)

    @property
    def scores(self) -> list[BoxScore]:
        """Numbers with their protocols, detector after detector."""
        return [score for one in self.found for score in one.scores]

    def told(self) -> Told:
        """A row for each score; the classes of each detector below, and what the protocols are."""
        several = len(self.found) > 1
        rows = tuple(
            (*((one.name,) if several else ()), *_row(score)) for one in self.found for score in one.scores
        )
        head = ("protocol", "images", "weights", "n", "objects", "mAP", "95 % interval", "AP50", "AP75")
        notes = [_by_class(one) for one in self.found]
        notes += [f"{name}: {SAYS[name]}" for name in dict.fromkeys(s.protocol for s in self.scores)]
        return Told(("detector", *head) if several else head, rows, 4 if several else 3, tuple(notes))

    def plain(self) -> list[dict[str, Any]]:
        """The scores as JSON values, each with the detector's name as `run`; what has no number is null."""
        return [_plain(score, one.name) for one in self.found for score in one.scores]

    def answers(self, topk: int) -> Boxed:
        """What the first detector found in every image."""
        return of_judgement(self.found[0].judgement)

    def page(self, command: str) -> str:
        """What the first detector found, under every protocol."""
        first = self.found[0]
        return pages.evaluation(first.name, first.judgement, first.scores, command=command)


Examples = Callable[[Path, tuple[str, ...]], tuple[Scenes, str]]
"""From a detector and its classes to images with boxes, and the protocol that suits them."""


def found(path: Path, examples: Examples, *, views: Sequence[str], weights: str, world: World) -> FoundBoxes:
    """What the detector at `path` finds in its `examples`, under each of `views`, or those that suit them."""
    network, kind = load_trained(path, weights)
    scenes, usual = examples(path, network.class_names)
    plan = Plan(str(resolve_device("auto")), "channels_last", "float32", torch.get_num_threads())
    judged = judge(place_network(network, plan), scenes, plan=plan, world=world)
    scores = (judged.score(split=scenes.name, weights=kind, views=name) for name in views or _usual(usual))
    return FoundBoxes(str(path), judged, tuple(scores))


def _usual(metric: str) -> tuple[str, ...]:
    first = "voc2007" if metric == "voc2007" else "voc"
    try:
        check(("coco",))
    except ValueError:
        return (first,)
    return ("coco", first) if metric == "coco" else (first, "coco")


def _by_class(one: FoundBoxes) -> str:
    score = one.scores[0]
    each = ", ".join(f"{name} {ap:.1f}" for name, ap in score.classes[:NAMED])
    return f"{one.name}, {score.protocol}, by class: {each}{' ...' if len(score.classes) > NAMED else ''}"


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


def _plain(score: BoxScore, name: str) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return round(value, 4) if math.isfinite(value) else None

    return {
        "run": name,
        "views": score.protocol,
        "map": number(score.value),
        "interval": list(score.interval) if score.interval else None,
        "parts": {part: number(value) for part, value in score.parts},
        "classes": {each: number(value) for each, value in score.classes},
        "n": score.n,
        "boxes": score.boxes,
        "split": score.split,
        "weights": score.weights,
    }
