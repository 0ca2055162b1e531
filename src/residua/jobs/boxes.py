"""What people do with trained detectors: judging them on sets of boxes, and finding boxes in pictures."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from residua.data.decode import DataError
from residua.data.sources import absolute
from residua.jobs.opened import reopen
from residua.jobs.predict import save_table
from residua.spec.recipe import Plan
from residua.tasks.detect import drawing
from residua.tasks.detect.finder import Finder
from residua.tasks.detect.first import trained
from residua.tasks.detect.found import Detections
from residua.tasks.detect.judging import BoxJudgement, judge
from residua.tasks.detect.scenes import Scenes, matched
from residua.tasks.detect.score import BoxScore, check
from residua.tasks.detect.sources import find as find_source
from residua.training.plan import place
from residua.training.run import Run
from residua.training.world import ALONE, World, device
from residua.weights.store import is_ours, read


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
class BoxAnswer:
    """What was found in one file."""

    file: str
    """Its path, as it was given."""
    found: Detections | None
    """The boxes; None when the file is no image."""
    classes: tuple[str, ...]
    """Names of the classes."""
    error: str = ""
    """Why there is no answer."""

    def plain(self) -> dict[str, Any]:
        """As JSON values: boxes as left, top, right, bottom in pixels of the upright image."""
        if self.found is None:
            return {"file": self.file, "boxes": [], "error": self.error}
        return {
            "file": self.file,
            "boxes": [_plain(self.found, i, self.classes) for i in range(len(self.found))],
        }


def finds_boxes(path: Path) -> bool:
    """Whether the run or the checkpoint at `path` is a detector's. CheckpointError for a damaged file."""
    if (recipe := path / "recipe.json").is_file():
        try:
            return bool(json.loads(recipe.read_text("utf-8")).get("detector"))
        except ValueError:
            return False  # whoever reads it says what is wrong
    return path.is_file() and is_ours(path) and bool(read(path)[1].get("detector"))


def find(
    paths: Sequence[Path],
    *,
    data: str | None,
    protocols: Sequence[str] = (),
    weights: str = "auto",
    world: World = ALONE,
) -> list[FoundBoxes]:
    """What each detector finds in `data`, or in the images that its run kept apart, under each protocol.

    ValueError for an unknown protocol or where no images are said; DataError, CheckpointError as they come.
    """
    check(protocols)
    return [_one(path, data, protocols, weights, world) for path in paths]


def answers(finder: Finder, files: Sequence[Path], *, least: float) -> Iterator[BoxAnswer]:
    """A BoxAnswer for each of `files`, in order; one that is no image says so and stops nothing."""
    for file in files:
        try:
            yield BoxAnswer(str(file), finder(file, least=least), finder.classes)
        except DataError as error:
            yield BoxAnswer(str(file), None, finder.classes, str(error))


def save(out: Path, found: Sequence[BoxAnswer]) -> None:
    """Write `found` to `out`, in the form of its suffix: a row for each box, or a JSON line for each file."""
    head = ("file", "class", "score", "left", "top", "right", "bottom", "error")
    rows: list[tuple[Any, ...]] = []
    for answer in found:
        boxes = answer.plain()["boxes"]
        rows += [(answer.file, box["class"], box["score"], *box["box"], "") for box in boxes]
        rows += [] if boxes else [(answer.file, "", None, None, None, None, None, answer.error)]
    save_table(out, head, rows, plain=[answer.plain() for answer in found])


def names(answers: Sequence[BoxAnswer]) -> list[str]:
    """What the picture of each answer is called: as its file, with `.png`, numbered where two are alike."""
    taken: dict[str, int] = {}
    found = []
    for answer in answers:
        stem = Path(answer.file).stem
        taken[stem] = taken.get(stem, 0) + 1
        found.append(f"{stem}.png" if taken[stem] == 1 else f"{stem}-{taken[stem]}.png")
    return found


def draw(folder: Path, finder: Finder, answers: Sequence[BoxAnswer], *, force: bool) -> int:
    """A PNG in `folder` for every answer, with its boxes; how many. FileExistsError unless `force`."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [(answer, folder / name) for answer, name in zip(answers, names(answers), strict=True)]
    if there := [path for _, path in pairs if path.exists() and not force]:
        raise FileExistsError(f"{there[0]} is there already: give --force to replace it")
    good = [(answer, path) for answer, path in pairs if answer.found is not None]
    for answer, path in good:
        assert answer.found is not None
        drawing.painted(finder.image(answer.file), answer.found, answer.classes).save(path)
    return len(good)


def of_judgement(judged: BoxJudgement) -> list[BoxAnswer]:
    """A BoxAnswer for each image that was judged."""
    scenes = judged.scenes
    return [BoxAnswer(scenes.title(i), found, scenes.classes) for i, found in enumerate(judged.found)]


def _one(path: Path, data: str | None, protocols: Sequence[str], weights: str, world: World) -> FoundBoxes:
    network, kind = trained(path, weights)
    scenes, usual = _scenes(path, data, network.class_names)
    plan = Plan(str(device("auto")), "channels_last", "float32", torch.get_num_threads())
    judged = judge(place(network, plan), scenes, plan=plan, world=world)
    asked = protocols or _usual(usual)
    scores = tuple(judged.score(split=scenes.name, weights=kind, views=name) for name in asked)
    return FoundBoxes(str(path), judged, scores)


def _usual(metric: str) -> tuple[str, ...]:
    first = "voc2007" if metric == "voc2007" else "voc"
    try:
        check(("coco",))
    except ValueError:
        return (first,)
    return ("coco", first) if metric == "coco" else (first, "coco")


def _scenes(path: Path, data: str | None, classes: tuple[str, ...]) -> tuple[Scenes, str]:
    """The images meant, and the protocol that suits them: those a run kept apart, or those of `data`."""
    run = Run(path)
    recipe = run.recipe if (path / "recipe.json").is_file() else None
    if data is None and recipe is None:
        raise ValueError(f"{path} does not say which images to judge by: give --data voc:DIR or coco:DIR")
    if recipe and (data is None or absolute(data) == recipe.data.source):
        sets = reopen(run)
        return sets.test, sets.metric
    marked = find_source(absolute(str(data)))
    scenes = marked.test or marked.train
    if marked.faults:
        raise DataError(
            f"{len(marked.faults)} boxes of {data} cannot be used, e.g. {marked.faults[0].key}: "
            f"{marked.faults[0].reason}; `residua data check {data}` lists them: remove them"
        )
    return matched(scenes, classes), marked.metric


def _plain(found: Detections, i: int, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "class": classes[int(found.labels[i])],
        "score": round(float(found.scores[i]), 4),
        "box": [round(float(side), 2) for side in found.corners[i]],
    }
