"""The report of a run on images, one HTML file without links, and the parts that other pages share."""

from dataclasses import replace

import numpy as np

from residua.data.images import ImageDataset, Images
from residua.files import write_file
from residua.measure.evaluation import Evaluation
from residua.predict.run_summary import first_weights_text
from residua.recipes.sentences import sentences
from residua.report.bars import IntervalRow, interval_chart
from residua.report.heat_maps import confusion_matrix
from residua.report.page import Figure, Numbers, Page, Part, Picture, Pictures, Section, Table, Text, render
from residua.report.run_page import (
    architecture_table,
    error_figure,
    network_and_data,
    training_section,
)
from residua.runs.probe_record import HEAD, read_probe
from residua.runs.run import Run
from residua.spec.amount import quantity
from residua.spec.describe import cost
from residua.tasks.classify.probe_text import neighbours_text, probe_text

WORST = 12
"""Pictures of the most confident mistakes on a page."""
WIDE = 160
"""Longest side of a picture of one frame, in pixels."""
PAIR_PICTURES = 36
"""Pictures on a page that the cells of its confusion matrix link to, at most three a cell."""
MANY = 40
"""Above this many classes a confusion matrix cannot be read."""


def write_report(run: Run, dataset: ImageDataset, evaluation: Evaluation) -> None:
    """Write `report.html` into a finished run.

    Args:
        run: The run.
        dataset: Its data.
        evaluation: Of its last weights on the test images.
    """
    recipe, rows = run.recipe, run.epochs("train_error")
    score = evaluation.score
    low, high = 100 - score.interval[1], 100 - score.interval[0]
    best = next((row for row in rows if row["epoch"] == run.result.get("epoch")), rows[-1])
    of_training = "as augmented" if best["epoch"] else "as evaluated, of the probe"
    epoch = f"epoch {best['epoch']}, which was kept" if run.result and best["epoch"] else "the last epoch"
    of_training = of_training if not best["epoch"] else f"in {epoch}, {of_training}"
    numbers = Numbers(
        (
            (f"{score.error:.2f} %", f"test error, 95 % interval {low:.2f} to {high:.2f}, n = {score.n:,}"),
            (f"{best['train_error']:.2f} %", f"training error {of_training}"),
            (f"{cost(recipe.arch).params / 1e6:.2f} M", "parameters"),
        )
    )
    sections = (
        Section("Result", (numbers, *_start(run), error_figure(run))),
        Section("Mistakes", mistakes(evaluation)),
        Section("The network", (architecture_table(recipe.arch),)),
        Section("How it was made", training_section(run, sentences(recipe))),
    )
    page = Page(
        network_and_data(run),
        f"{dataset.note}. Trained with the recipe {recipe.name}.",
        sections,
        f"Written by residua from {run.path.name}/metrics.jsonl.",
    )
    write_file(run.path / "report.html", render(page))


def _start(run: Run) -> tuple[Part, ...]:
    """What a run began from, and what its probe and the nearest neighbours gave."""
    if not (record := read_probe(run.path)):
        began = first_weights_text(run, run.recipe)
        return (Text((began or "Training began from scratch, with random weights.",)),)
    rows = [
        ("it began from", record.weights),
        ("its linear probe", probe_text(record)),
    ]
    if record.n:
        rows.append(("the baseline on the same features", neighbours_text(record)))
    if run.result:
        chosen = f"epoch {run.result['epoch']}"
        if not run.result["epoch"]:
            is_refitted = (run.checkpoints / HEAD).exists()
            chosen = f"the probe, epoch 0{', then fitted to all training images' if is_refitted else ''}"
        rows.append(("kept by the error of held-out training images", chosen))
        also = "; the folds of the probe counted them, too" if record.split == "all" else ""
        rows.append(("test images", f"evaluated once, after that choice{also}"))
    rows += [("note", note) for note in record.notes]
    return (Table(("start", "value"), tuple(rows)),)


def picture(evaluation: Evaluation, i: int) -> Picture:
    """Example `i` of `evaluation` with its label and its predicted class."""
    images = evaluation.split
    label, predicted = images.classes[evaluation.labels[i]], images.classes[evaluation.predicted[i]]
    confidence = f"{predicted} ({100 * evaluation.probabilities[i].max():.0f}\N{NO-BREAK SPACE}%)"
    lines = (f"label {label}", f"predicted {confidence}")
    return Picture(thumbnail(images, i), images.title(i), lines, label == predicted)


def thumbnail(images: Images, i: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Pixels of image `i` for a page: small ones as they are, large ones at most 160 pixels a frame."""
    grey = images.pixels is not None and images.pixels.shape[-1] == 1
    image = images.image(i, "grey" if grey else "rgb")
    side = WIDE * images.media_type.frames_per_picture
    image.thumbnail((side, side))
    return np.asarray(image)


def mistakes(evaluation: Evaluation) -> tuple[Part, ...]:
    """The confusion matrix, the accuracy of each class, and mistakes: the surest, some of each cell."""
    images, indices = evaluation.split, evaluation.most_confident_mistakes(WORST)
    if not len(indices):
        noun = images.media_type.noun
        return (Text((f"None: all {len(images):,} {noun}s were classified as labelled.",)),)
    counts = evaluation.confusion()
    parts: list[Part] = []
    pairs = _pictures_by_pair(evaluation) if len(images.classes) <= MANY else ()
    if len(images.classes) <= MANY:
        pair = _most_confused(images.classes, counts)
        links = {indices: _anchor(*indices) for indices, _ in pairs}
        chart = confusion_matrix(images.classes, counts, links=links)
        caption = "Rows are labels, columns predicted classes. Select a mistake to see its pictures."
        parts.append(Figure(chart, caption, pair))
        caption = "Accuracy of each class with its 95 % interval: the fewer images, the wider."
        parts.append(Figure(_accuracy_by_class(evaluation), caption, pair))
    caption = "The most confident mistakes: the first place to look for wrong labels."
    parts.append(Pictures(tuple(picture(evaluation, int(i)) for i in indices), caption))
    if pairs:
        items = tuple(
            replace(picture(evaluation, i), anchor=_anchor(*cell) if not place else "")
            for cell, members in pairs
            for place, i in enumerate(members)
        )
        caption = "The mistakes of each cell of the matrix, the fullest cells and the most confident first."
        parts.append(Pictures(items, caption, small=True))
    return tuple(parts)


def _pictures_by_pair(evaluation: Evaluation) -> tuple[tuple[tuple[int, int], list[int]], ...]:
    """Cells of the confusion matrix off its diagonal, the fullest first, each with a few of its mistakes."""
    counts = evaluation.confusion()
    np.fill_diagonal(counts, 0)
    cells = [divmod(int(cell), len(counts)) for cell in np.argsort(-counts, axis=None, kind="stable")]
    cells = [cell for cell in cells if counts[cell]][:PAIR_PICTURES]
    each = max(1, min(3, PAIR_PICTURES // max(1, len(cells))))
    ranked = evaluation.most_confident_mistakes(len(evaluation.labels))
    outcomes = zip(evaluation.labels[ranked].tolist(), evaluation.predicted[ranked].tolist(), strict=True)
    members: dict[tuple[int, int], list[int]] = {}
    for cell, index in zip(outcomes, ranked.tolist(), strict=True):
        members.setdefault(cell, []).append(index)
    return tuple((cell, members[cell][:each]) for cell in cells)


def _anchor(row: int, column: int) -> str:
    """The name of the pictures of a cell of the confusion matrix."""
    return f"cell-{row}-{column}"


def _accuracy_by_class(evaluation: Evaluation) -> str:
    pairs = zip(evaluation.split.classes, evaluation.accuracy_by_class(), strict=True)
    return interval_chart(
        tuple(IntervalRow(name, e.value, *e.interval, f"{e.value:.1f} %") for name, e in pairs if e),
        unit="top-1 accuracy (%)",
    )


def _most_confused(
    classes: tuple[str, ...], counts: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"
) -> str:
    off = counts - np.diag(np.diag(counts))
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    return (
        f"Most often confused: {classes[row]} predicted as {classes[column]}, "
        f"{quantity(int(off[row, column]), 'time')}."
    )
