"""The report of a run on boxes: one HTML file that a stranger can read offline."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from residua.data.scenes import BoxDataset, Scenes
from residua.files import write_file
from residua.recipes.sentences import sentences
from residua.report.chart import Series, plot
from residua.report.page import Code, Figure, Figures, Numbers, Page, Part, Section, Table, Text, render
from residua.report.run_page import architecture, making
from residua.runs.run import Run
from residua.spec.detector import Detector
from residua.tasks.detect import box_drawing
from residua.tasks.detect.evaluation import BoxEvaluation
from residua.tasks.detect.prediction import BoxPrediction
from residua.tasks.detect.score import PROTOCOL_TEXTS, BoxScore
from residua.tasks.detect.voc_metric import match_detections, rank_all_classes
from residua.version import __version__

PICTURES = 6
"""Test images shown."""
SURE = 0.5
"""Least score of a box that is drawn."""
POINTS = 200
"""Points of a curve of precision."""
MANY = 6
"""Classes whose curves can be told apart."""


def write_report(run: Run, dataset: BoxDataset, evaluation: BoxEvaluation) -> None:
    """Write `report.html` into the finished `run`, whose last weights have `evaluation` on the test images."""
    recipe, rows = run.recipe, run.metrics
    assert recipe.detector is not None
    (score,) = replace(evaluation, protocols=("voc",)).scores
    low, high = score.interval or (0.0, 100.0)
    numbers = Numbers(
        (
            (
                f"{score.value:.1f} %",
                f"mAP@.5 (VOC, area), 95 % interval {low:.1f} to {high:.1f}, n = {score.n:,} images with "
                f"{score.boxes:,} objects",
            ),
            (f"{rows[-1]['train_loss']:.3f}", "training loss in the last epoch, as augmented"),
        )
    )
    sections = (
        Section("Result", (numbers, Figures((_progress(run), _losses(run))))),
        Section("What was found", _pictures(evaluation)),
        Section("Class by class", _classes(dataset.train, evaluation)),
        Section("The detector", (_detector(recipe.detector), architecture(recipe.arch))),
        Section("How it was made", making(run, sentences(recipe))),
    )
    page = Page(
        f"{recipe.detector.name} on {recipe.arch.name}: {run.path.name}",
        f"{dataset.note}. Trained with the recipe {recipe.name}.",
        sections,
        f"Written by residua from {run.path.name}/metrics.jsonl. mAP@.5: {PROTOCOL_TEXTS['voc']}.",
    )
    write_file(run.path / "report.html", render(page))


def evaluation_page(evaluation: BoxEvaluation, *, command: str) -> str:
    """The page of an evaluation under all its protocols; `command` repeats it."""
    scores = evaluation.scores
    first = scores[0]
    numbers = Numbers(tuple((f"{score.value:.1f} %", _measure(score)) for score in scores))
    rows = tuple(
        (score.protocol, part, f"{value:.2f} %" if np.isfinite(value) else "no object")
        for score in scores
        for part, value in score.parts or (("mAP", score.value),)
    )
    table = Table(("protocol", "number", "value"), rows, "Every number of every protocol.", numeric=(2,))
    said = tuple(f"{score.protocol}: {PROTOCOL_TEXTS[score.protocol]}." for score in scores)
    sections = (
        Section("Result", (numbers, Text(said))),
        Section("What was found", _pictures(evaluation)),
        Section("Class by class", _classes(None, evaluation)),
        Section("How it was measured", (table, Code(command, "Measure it again:"))),
    )
    lead = f"{first.n:,} images ({first.split}) with {first.boxes:,} objects, {first.weights} weights."
    footer = f"Written by residua {__version__}."
    return render(Page(f"Evaluation of {Path(evaluation.network).name}", lead, sections, footer))


def _measure(score: BoxScore) -> str:
    if score.interval is None:
        return f"mAP, {score.protocol}"
    low, high = score.interval
    return f"mAP, {score.protocol}, 95 % interval {low:.1f} to {high:.1f}"


def _progress(run: Run) -> Figure:
    points = tuple((float(row["epoch"]), float(row["test_map50"])) for row in run.metrics)
    drawn = plot((_series(points),), x="epoch", y="test mAP@.5 (%)", until=(points[-1][0], 100.0))
    best = max(points, key=lambda point: point[1])
    said = f"mAP@.5 of the test images by epoch; highest {best[1]:.1f} % after epoch {best[0]:.0f}."
    return Figure(drawn, said, said)


def _series(points: tuple[tuple[float, float], ...]) -> Series:
    """A line, or a dot where one epoch is all there is."""
    return Series("", points, "line" if len(points) > 1 else "dots")


def _losses(run: Run) -> Figure:
    points = tuple((float(row["epoch"]), float(row["train_loss"])) for row in run.metrics)
    drawn = plot((_series(points),), x="epoch", y="training loss")
    said = f"Training loss by epoch, boxes and classes together; it ends at {points[-1][1]:.3f}."
    return Figure(drawn, said, said)


def _pictures(evaluation: BoxEvaluation) -> tuple[Part, ...]:
    """Images spread evenly over the split: not a selection of good ones."""
    scenes = evaluation.scenes
    places = np.unique(np.linspace(0, len(scenes) - 1, PICTURES).astype(int)).tolist()
    figures = tuple(_picture(scenes, i, evaluation.predictions[i]) for i in places)
    said = (
        f"Boxes of a score of {SURE:g} or more: thick where right (overlap .5 or more with an object of the "
        "class that no surer box found), thin where wrong, dashed where an object was missed."
    )
    return Figure(
        box_drawing.class_legend(scenes.classes), said, f"Colours of {', '.join(scenes.classes)}."
    ), Figures(figures)


def _picture(scenes: Scenes, i: int, found: BoxPrediction) -> Figure:
    sure, truth = found.chosen(found.scores >= SURE), scenes.boxes[i]
    truth = truth.chosen(~truth.aside)
    right, hit = np.zeros(len(sure), bool), np.zeros(len(truth), bool)
    for label in np.unique(np.concatenate([sure.labels, truth.labels])).tolist():
        mine, objects = sure.labels == label, np.flatnonzero(truth.labels == label)
        said, taken = match_detections(sure.chosen(mine), truth.chosen(objects))
        right[mine], hit[objects] = said > 0, taken
    pixels = np.asarray(scenes.image(i, "rgb"))
    svg = box_drawing.evaluation_svg(pixels, sure, right.tolist(), truth.chosen(~hit), scenes.classes)
    name = scenes.title(i).rpartition("/")[2]
    told = f"{name}: {int(right.sum())} right, {int((~right).sum())} wrong, {int((~hit).sum())} missed."
    return Figure(svg, told, told)


def _classes(learned: Scenes | None, evaluation: BoxEvaluation) -> tuple[Part, ...]:
    """AP and counts of each class, and the curves that AP is the area under."""
    scenes = evaluation.scenes
    classes, shown = scenes.classes, scenes.counts()
    several = rank_all_classes(evaluation.predictions, scenes.boxes, len(classes))
    rows = tuple(
        (name, f"{100 * each.average_precision('area'):.1f} %", f"{shown[label]:,}",
         *((f"{learned.counts()[label]:,}",) if learned else ()))
        for label, (name, each) in enumerate(zip(classes, several, strict=True))
        if shown[label]
    )  # fmt: skip
    head = ("class", "AP@.5", "objects to find", *(("to learn from",) if learned else ()))
    table = Table(head, rows, "Objects by class.", numeric=tuple(range(1, len(head))))
    present = [label for label in range(len(classes)) if shown[label] and len(several[label].scores)]
    largest = sorted(present, key=lambda label: -int(shown[label]))[:MANY]
    series = []
    for label in sorted(largest):
        recall, precision = several[label].recall_precision()
        some = np.unique(np.linspace(0, len(recall) - 1, POINTS).astype(int))
        best = np.maximum.accumulate(precision[::-1])[::-1]
        points = tuple((100 * float(recall[i]), 100 * float(best[i])) for i in some)
        series.append(Series(classes[label], points, colour=label))
    if not series:
        return (table,)
    drawn = plot(tuple(series), x="recall (%)", y="precision (%)", until=(100.0, 100.0))
    said = "Precision at every recall, best at that recall or beyond; AP is the area under it."
    return table, Figure(drawn, said, said)


def _detector(detector: Detector) -> Table:
    """What is behind the backbone."""
    shown = f"{detector.size} x {detector.size}, warped" if detector.warps else (
        f"shorter side {detector.size}, longer at most {detector.longest}"
    )  # fmt: skip
    anchors = "; ".join(
        f"{' and '.join(map(_short, sides))} px, shapes {', '.join(map(_short, shapes))}"
        for sides, shapes in zip(detector.sizes, detector.ratios, strict=True)
    )
    rows = (
        ("kind", detector.kind),
        ("image in pixels", shown),
        ("maps of the backbone, times smaller", ", ".join(map(str, detector.strides))),
        ("maps behind it, channels", ", ".join(map(str, detector.extras)) or "none"),
        ("anchors of each map", anchors),
        ("norms of the backbone", detector.norm),
    )
    return Table(("detector", detector.name), rows, "What finds boxes behind the backbone.")


def _short(number: float) -> str:
    return f"{number:g}"
