"""Reports of detectors: the page of a finished run, and the page of an evaluation."""

from dataclasses import replace

import numpy as np

from residua.data.scenes import BoxDataset, Scenes
from residua.files import write_file
from residua.recipes.sentences import sentences
from residua.report.chart import Series, plot
from residua.report.page import Code, Figure, Figures, Numbers, Page, Part, Section, Table, Text, render
from residua.report.run_page import architecture_table, evaluation_title, network_and_data, training_section
from residua.runs.run import Run
from residua.spec.amount import quantity
from residua.spec.detector import Detector
from residua.tasks.detect import box_drawing
from residua.tasks.detect.evaluation import BoxEvaluation
from residua.tasks.detect.prediction import BoxPrediction
from residua.tasks.detect.score import PROTOCOL_TEXTS, BoxScore
from residua.tasks.detect.voc_metric import RankedDetections, match_detections, rank_all_classes
from residua.version import __version__

IMAGES = 6
"""Test images on a page."""
MIN_SCORE = 0.5
"""Least score of a box that is drawn."""
CURVE_POINTS = 200
"""Points of a precision-recall curve."""
MAX_CURVES = 6
"""Most classes with a curve: more colours cannot be told apart."""


def write_report(run: Run, dataset: BoxDataset, evaluation: BoxEvaluation) -> None:
    """Write `report.html` into a finished run.

    Args:
        run: the run.
        dataset: its data.
        evaluation: of its last weights on the test images.
    """
    recipe, rows = run.recipe, run.epochs("train_loss")
    assert recipe.detector is not None
    (score,) = replace(evaluation, protocols=("voc",)).scores
    low, high = score.interval or (0.0, 100.0)
    numbers = Numbers(
        (
            (
                f"{score.value:.1f} %",
                f"mAP@.5 (VOC, area), 95 % interval {low:.1f} to {high:.1f}, "
                f"n = {quantity(score.n, 'image')} with "
                f"{quantity(score.boxes, 'object')}",
            ),
            (f"{rows[-1]['train_loss']:.3f}", "training loss in the last epoch, as augmented"),
        )
    )
    sections = (
        Section("Result", (numbers, Figures((_map_error_curve(run), _loss_error_curve(run))))),
        Section("Detections", _images(evaluation)),
        Section("Results by class", _classes(dataset.train, evaluation)),
        Section("The detector", (_detector(recipe.detector), architecture_table(recipe.arch))),
        Section("How it was made", training_section(run, sentences(recipe))),
    )
    page = Page(
        f"{recipe.detector.name} with {network_and_data(run)}",
        f"{dataset.note}. Trained with the recipe {recipe.name}.",
        sections,
        f"Written by residua from {run.path.name}/metrics.jsonl. mAP@.5: {PROTOCOL_TEXTS['voc']}.",
    )
    write_file(run.path / "report.html", render(page))


def evaluation_page(evaluation: BoxEvaluation, *, command: str) -> str:
    """The page of an evaluation.

    Args:
        evaluation: of one detector, under one or more protocols.
        command: repeats the evaluation.

    Returns:
        The page as HTML.
    """
    scores = evaluation.scores
    first = scores[0]
    numbers = Numbers(tuple((f"{score.value:.1f} %", _metric_text(score)) for score in scores))
    rows = tuple(
        (score.protocol, part, f"{value:.2f} %" if np.isfinite(value) else "no object")
        for score in scores
        for part, value in score.parts or (("mAP", score.value),)
    )
    table = Table(("protocol", "metric", "value"), rows, "All metrics of all protocols.", numeric=(2,))
    protocols = tuple(f"{score.protocol}: {PROTOCOL_TEXTS[score.protocol]}." for score in scores)
    sections = (
        Section("Result", (numbers, Text(protocols))),
        Section("Detections", _images(evaluation)),
        Section("Results by class", _classes(None, evaluation)),
        Section("How it was measured", (table, Code(command, "Repeat the evaluation:"))),
    )
    lead = (
        f"{quantity(first.n, 'image')} ({first.split}) with "
        f"{quantity(first.boxes, 'object')}, {first.weights} weights."
    )
    footer = f"Written by residua {__version__}."
    return render(Page(evaluation_title(evaluation.network), lead, sections, footer))


def _metric_text(score: BoxScore) -> str:
    if score.interval is None:
        return f"mAP, {score.protocol}"
    low, high = score.interval
    return f"mAP, {score.protocol}, 95 % interval {low:.1f} to {high:.1f}"


def _map_error_curve(run: Run) -> Figure:
    points = tuple(
        (float(row["epoch"]), float(row["test_map50"])) for row in run.epochs("epoch", "test_map50")
    )
    chart = plot((_series(points),), x="epoch", y="test mAP@.5 (%)", until=(points[-1][0], 100.0))
    best = max(points, key=lambda point: point[1])
    caption = f"Test mAP@.5 by epoch; the best is {best[1]:.1f} % after epoch {best[0]:.0f}."
    return Figure(chart, caption, caption)


def _series(points: tuple[tuple[float, float], ...]) -> Series:
    """A line, or a dot where one epoch is all there is."""
    return Series("", points, "line" if len(points) > 1 else "dots")


def _loss_error_curve(run: Run) -> Figure:
    points = tuple(
        (float(row["epoch"]), float(row["train_loss"])) for row in run.epochs("epoch", "train_loss")
    )
    chart = plot((_series(points),), x="epoch", y="training loss")
    caption = f"Training loss by epoch, the sum of box and class losses; the last is {points[-1][1]:.3f}."
    return Figure(chart, caption, caption)


def _images(evaluation: BoxEvaluation) -> tuple[Part, ...]:
    """Images evenly spread over the split, not a selection of good ones."""
    scenes = evaluation.scenes
    indices = np.unique(np.linspace(0, len(scenes) - 1, IMAGES).astype(int)).tolist()
    figures = tuple(_image(scenes, i, evaluation.predictions[i]) for i in indices)
    caption = (
        f"Boxes with a score of {MIN_SCORE:g} or more. Thick: true positive (IoU of .5 or more with an "
        "object of the class that no box of higher score matches). Thin: false positive. Dashed: missed."
    )
    legend = box_drawing.class_legend(scenes.classes)
    return Figure(legend, caption, f"Colours of {', '.join(scenes.classes)}."), Figures(figures)


def _image(scenes: Scenes, i: int, prediction: BoxPrediction) -> Figure:
    """Image `i` with its true positives, false positives and missed objects."""
    visible, objects = prediction.select(prediction.scores >= MIN_SCORE), scenes.boxes[i]
    objects = objects.select(~objects.ignored)
    is_true, is_matched = np.zeros(len(visible), bool), np.zeros(len(objects), bool)
    for label in np.unique(np.concatenate([visible.labels, objects.labels])).tolist():
        boxes, targets = visible.labels == label, np.flatnonzero(objects.labels == label)
        outcomes, matched = match_detections(visible.select(boxes), objects.select(targets))
        is_true[boxes], is_matched[targets] = outcomes > 0, matched
    pixels, missed = np.asarray(scenes.image(i, "rgb")), objects.select(~is_matched)
    svg = box_drawing.evaluation_svg(pixels, visible, is_true.tolist(), missed, scenes.classes)
    name = scenes.title(i).rpartition("/")[2]
    caption = f"{name}: {int(is_true.sum())} right, {int((~is_true).sum())} wrong, {len(missed)} missed."
    return Figure(svg, caption, caption)


def _classes(train: Scenes | None, evaluation: BoxEvaluation) -> tuple[Part, ...]:
    """AP and object counts of each class, and the precision-recall curves of the most frequent ones."""
    classes, counts = evaluation.scenes.classes, evaluation.scenes.counts()
    ranked = rank_all_classes(evaluation.predictions, evaluation.scenes.boxes, len(classes))
    present = [label for label in range(len(classes)) if counts[label]]
    rows = []
    for label in present:
        in_train = (f"{train.counts()[label]:,}",) if train else ()
        ap = f"{100 * ranked[label].average_precision('area'):.1f} %"
        rows.append((classes[label], ap, f"{counts[label]:,}", *in_train))
    columns = ("class", "AP@.5", "test objects", *(("training objects",) if train else ()))
    table = Table(columns, tuple(rows), "Objects by class.", numeric=tuple(range(1, len(columns))))
    detected = [label for label in present if len(ranked[label].scores)]
    frequent = sorted(detected, key=lambda label: -int(counts[label]))[:MAX_CURVES]
    curves = tuple(_curve(ranked[label], classes[label], label) for label in sorted(frequent))
    if not curves:
        return (table,)
    chart = plot(curves, x="recall (%)", y="precision (%)", until=(100.0, 100.0))
    caption = "Precision-recall curve: the best precision at each recall or above. AP is the area below it."
    return table, Figure(chart, caption, caption)


def _curve(ranked: RankedDetections, name: str, label: int) -> Series:
    recall, precision = ranked.recall_precision()
    indices = np.unique(np.linspace(0, len(recall) - 1, CURVE_POINTS).astype(int))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    points = tuple((100 * float(recall[i]), 100 * float(envelope[i])) for i in indices)
    return Series(name, points, colour=label)


def _detector(detector: Detector) -> Table:
    """The settings of a detector."""
    size = f"shorter side {detector.size}, longer at most {detector.longest}"
    if detector.warps:
        size = f"{detector.size} x {detector.size}, warped"
    anchors = "; ".join(
        f"{' and '.join(f'{side:g}' for side in sides)} px, ratios {', '.join(f'{r:g}' for r in ratios)}"
        for sides, ratios in zip(detector.sizes, detector.ratios, strict=True)
    )
    rows = (
        ("kind", detector.kind),
        ("image size in pixels", size),
        ("strides of the backbone's feature maps", ", ".join(map(str, detector.strides))),
        ("channels of the extra feature maps", ", ".join(map(str, detector.extras)) or "none"),
        ("anchors of each map", anchors),
        ("norms of the backbone", detector.norm),
    )
    return Table(("detector", detector.name), rows, "The detector behind the backbone.")
