"""The page of `residua data augment` for boxes: training and test images as the detector receives them."""

import numpy as np

from residua.data.scenes import BoxDataset, Scenes
from residua.report.page import Figure, Figures, Numbers, Page, Section, Table, Text, render
from residua.spec.amount import quantity
from residua.spec.recipe import Recipe
from residua.tasks.detect import box_drawing
from residua.tasks.detect.transforms import BoxView, eval_box_view, train_box_view
from residua.version import __version__

EPOCHS = 3
"""Epochs of training shown for every image."""


def preview_page(recipe: Recipe, dataset: BoxDataset, count: int, source: str) -> str:
    """Show training images and their boxes as training and evaluation transform them.

    Args:
        recipe: gives detector, augmentation and seed.
        dataset: the training split is shown.
        count: number of images, evenly spread over the split.
        source: name of the data on the page.

    Returns:
        The page as HTML.

    Raises:
        DataError: an image cannot be decoded; the message names it.
    """
    scenes, detector = dataset.train, recipe.detector
    assert detector is not None
    indices = np.unique(np.linspace(0, len(scenes) - 1, count).astype(int)).tolist()
    size = f"{detector.size} × {detector.size}" if detector.warps else f"from {detector.size}"
    numbers = Numbers(((size, "pixels"), (recipe.augment.kind, "augmentation")))
    legend = Figure(
        box_drawing.class_legend(scenes.classes),
        "Colours of the classes.",
        f"Colours of {', '.join(scenes.classes)}.",
    )
    sections = [Section("What the detector receives", (numbers, Text((_HINT,)), legend))]
    sections += [Section(scenes.title(i).rpartition("/")[2], (_views(recipe, scenes, i),)) for i in indices]
    settings = tuple(
        (f"augment.{name}", str(getattr(recipe.augment, name))) for name in ("kind", "flip", "zoom")
    )
    table = Table(("setting", "value"), settings, "Change one with --set PATH=VALUE.")
    lead = f"{quantity(len(indices), 'image')} of {source} under {recipe.name}, with their boxes."
    all_sections = (*sections, Section("Settings", (table,)))
    return render(
        Page("Augmented images with boxes", lead, all_sections, f"Written by residua {__version__}.")
    )


_HINT = (
    f"Each image as in evaluation, then as in {EPOCHS} epochs of training. A box beside its object is an "
    "annotation to correct. If classes differ in left and right, set augment.flip=0."
)


def _views(recipe: Recipe, scenes: Scenes, i: int) -> Figures:
    """Image `i` in evaluation, then in each epoch."""
    assert recipe.detector is not None
    image, boxes = scenes.image(i, recipe.arch.preprocess.colour), scenes.boxes[i]
    target = recipe.detector, recipe.arch.preprocess
    views = {"test": eval_box_view(image, boxes, *target)}
    for epoch in range(EPOCHS):
        where = (recipe.seed, epoch, i)
        views[f"epoch {epoch + 1}"] = train_box_view(image, boxes, *target, recipe.augment, where)
    return Figures(tuple(_figure(view, name, scenes) for name, view in views.items()))


def _figure(view: BoxView, name: str, scenes: Scenes) -> Figure:
    pixels = np.ascontiguousarray(view.pixels.squeeze(2) if view.pixels.shape[2] == 1 else view.pixels)
    count = len(view.boxes)
    caption = f"{name}: {quantity(count, 'box')}"
    return Figure(box_drawing.boxes_svg(pixels, view.boxes, scenes.classes), caption, caption)
