"""What a detector is shown of images and their boxes, in training and in testing, as one offline page."""

import numpy as np

from residua.data.scenes import BoxDataset, Scenes
from residua.report.page import Figure, Figures, Numbers, Page, Section, Table, Text, render
from residua.spec.recipe import Recipe
from residua.tasks.detect import box_drawing
from residua.tasks.detect.transforms import BoxView, eval_box_view, train_box_view
from residua.version import __version__

EPOCHS = 3
"""Passes that are shown of every image."""


def page(recipe: Recipe, sets: BoxDataset, count: int, source: str) -> str:
    """The page of `count` images to learn from, evenly spread. DataError names one that cannot be read."""
    scenes, detector = sets.train, recipe.detector
    assert detector is not None
    places = np.unique(np.linspace(0, len(scenes) - 1, count).astype(int)).tolist()
    shown = f"{detector.size} × {detector.size}" if detector.warps else f"from {detector.size}"
    numbers = Numbers(((shown, "pixels"), (recipe.augment.kind, "what training does")))
    key = Figure(
        box_drawing.class_legend(scenes.classes),
        "Colours of the classes.",
        f"Colours of {', '.join(scenes.classes)}.",
    )
    sections = [Section("What the network sees", (numbers, Text((_READ,)), key))]
    sections += [Section(scenes.title(i).rpartition("/")[2], (_looks(recipe, scenes, i),)) for i in places]
    settings = tuple(
        (f"augment.{name}", str(getattr(recipe.augment, name))) for name in ("kind", "flip", "zoom")
    )
    table = Table(("setting", "value"), settings, "Change one with --set PATH=VALUE.")
    lead = f"{len(places)} images of {source} under {recipe.name}, with the boxes that are marked in them."
    made = (*sections, Section("Settings", (table,)))
    return render(Page("What the network sees of boxes", lead, made, f"Written by residua {__version__}."))


_READ = (
    f"Each image as testing shows it, then as {EPOCHS} epochs of training do. A box that is off its object "
    "here is learned so: mend the annotation. If left and right are to be told apart, say augment.flip=0."
)


def _looks(recipe: Recipe, scenes: Scenes, i: int) -> Figures:
    """Image `i` in testing, then in every epoch shown."""
    assert recipe.detector is not None
    image, boxes = scenes.image(i, recipe.arch.preprocess.colour), scenes.boxes[i]
    how = recipe.detector, recipe.arch.preprocess
    views = {"test": eval_box_view(image, boxes, *how)}
    for epoch in range(EPOCHS):
        where = (recipe.seed, epoch, i)
        views[f"epoch {epoch + 1}"] = train_box_view(image, boxes, *how, recipe.augment, where)
    return Figures(tuple(_figure(view, name, scenes) for name, view in views.items()))


def _figure(view: BoxView, name: str, scenes: Scenes) -> Figure:
    pixels = np.ascontiguousarray(view.pixels.squeeze(2) if view.pixels.shape[2] == 1 else view.pixels)
    count = len(view.boxes)
    said = f"{name}: {count} {'box' if count == 1 else 'boxes'}"
    return Figure(box_drawing.boxes_svg(pixels, view.boxes, scenes.classes), said, said)
