"""The report of a run on images: one HTML file that a stranger can read offline."""

import numpy as np

from residua.data.images import ImageDataset, Images
from residua.measure.evaluate import Judgement
from residua.recipes.sentences import sentences
from residua.report.page import Figure, Numbers, Page, Part, Picture, Pictures, Section, Text, render
from residua.report.plots import Range, ranges
from residua.report.run_page import architecture, curves, making
from residua.report.training_figures import confusion
from residua.runs.run import Run, write
from residua.spec.describe import cost

WORST = 12
"""Pictures shown of those that were missed most confidently."""
WIDE = 160
"""Longest side of a picture of one frame, in pixels."""
MANY = 40
"""Above this many classes a confusion matrix cannot be read."""


def write_report(run: Run, dataset: ImageDataset, judged: Judgement) -> None:
    """Write `report.html` into the finished `run`, whose last weights were `judged` on the test images."""
    recipe, rows = run.recipe, run.metrics
    score = judged.score(split="test", weights=f"after {rows[-1]['step']} steps")
    low, high = 100 - score.interval[1], 100 - score.interval[0]
    numbers = Numbers(
        (
            (f"{score.error:.2f} %", f"test error, 95 % interval {low:.2f} to {high:.2f}, n = {score.n:,}"),
            (f"{rows[-1]['train_error']:.2f} %", "training error in the last epoch, as augmented"),
            (f"{cost(recipe.arch).params / 1e6:.2f} M", "parameters"),
        )
    )
    sections = (
        Section("Result", (numbers, curves(run))),
        Section("Where it errs", errors(dataset.test, judged)),
        Section("The network", (architecture(recipe.arch),)),
        Section("How it was made", making(run, sentences(recipe))),
    )
    page = Page(
        f"{recipe.arch.name} on {run.path.name}",
        f"{dataset.note}. Trained with the recipe {recipe.name}.",
        sections,
        f"Written by residua from {run.path.name}/metrics.jsonl.",
    )
    write(run.path / "report.html", render(page))


def picture(images: Images, i: int, judged: Judgement) -> Picture:
    """Image `i` with its label and what was said of it."""
    label, guess = images.classes[judged.labels[i]], images.classes[judged.guesses[i]]
    sure = f"{guess} ({100 * judged.probabilities[i].max():.0f}\N{NO-BREAK SPACE}%)"
    return Picture(shown(images, i), images.title(i), (f"is {label}", f"said {sure}"), label == guess)


def shown(images: Images, i: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Pixels of image `i` for a page: small ones as they are, large ones at most 160 pixels a frame."""
    grey = images.pixels is not None and images.pixels.shape[-1] == 1
    found = images.image(i, "grey" if grey else "rgb")
    found.thumbnail((WIDE * images.gate.frames, WIDE * images.gate.frames))
    return np.asarray(found)


def errors(images: Images, judged: Judgement) -> tuple[Part, ...]:
    """What was taken for what, the accuracy of each class, and the pictures to look at first."""
    missed = judged.surest_mistakes(WORST)
    if not len(missed):
        return (
            Text((f"Nowhere: all {len(judged.labels):,} {images.gate.noun}s were classified as labelled.",)),
        )
    counts = judged.confusion()
    parts: list[Part] = []
    if len(images.classes) <= MANY:
        pair = _most_confused(images.classes, counts)
        parts.append(Figure(confusion(images.classes, counts), "Rows are labels, columns guesses.", pair))
        caption = "Accuracy of each class with its 95 % interval: small classes are known less well."
        parts.append(Figure(_by_class(images.classes, judged), caption, pair))
    caption = "Missed with the greatest confidence: the first place to look for wrong labels."
    parts.append(Pictures(tuple(picture(images, int(i), judged) for i in missed), caption))
    return tuple(parts)


def _by_class(classes: tuple[str, ...], judged: Judgement) -> str:
    pairs = zip(classes, judged.by_class(), strict=True)
    return ranges(
        tuple(Range(name, e.value, *e.interval, f"{e.value:.1f} %") for name, e in pairs if e),
        unit="top-1 accuracy (%)",
    )


def _most_confused(
    classes: tuple[str, ...], counts: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"
) -> str:
    off = counts - np.diag(np.diag(counts))
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    return f"Most often confused: {classes[row]} taken for {classes[column]}, {off[row, column]} times."
