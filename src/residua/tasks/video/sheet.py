"""The contact sheet of clips: what training and testing see of each, frame by frame, on one offline page."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from residua.report.ink import from_page
from residua.report.page import Figure, Numbers, Page, Section, Table, Text, png, render
from residua.report.svg import Hand, drawing, shape, words, written
from residua.spec.recipe import Recipe
from residua.tasks.video.batches import clip_of, testing, training
from residua.version import __version__

if TYPE_CHECKING:
    from residua.tasks.video.task import ClipSets

EPOCHS = 2
"""Passes that are shown of every clip."""
MOST = 16
"""Frames shown of a clip; of more, evenly spread ones."""

_WIDE, _LEFT, _LINE = 740, 70, 8


def sheet(recipe: Recipe, sets: "ClipSets", count: int) -> str:
    """The page of `count` training clips, spread over the classes.

    DataError names one that cannot be read.
    """
    order = np.argsort(_rank(sets.train.labels), kind="stable")[:count]
    images = sets.train.subset(np.sort(order))
    footage, n = sets.footage(images, recipe.arch), len(images)
    alone = replace(recipe, budget=replace(recipe.budget, batch=max(2, n)))
    trained = list(training(footage, alone, first=0, steps=EPOCHS, workers=0, device=torch.device("cpu")))
    (tested,) = testing(footage, recipe.arch, batch=n, workers=0)
    rows = [{int(i): clip for i, clip in zip(b.indices, b.images, strict=True)} for b in (*trained, tested)]
    names = [*(f"epoch {k}" for k in range(1, EPOCHS + 1)), "test"]
    clip, size = clip_of(recipe.arch), recipe.arch.preprocess.size
    numbers = Numbers(
        (
            (str(clip.total), "frames of a clip"),
            (f"{size} × {size}", "pixels"),
            (recipe.augment.kind, "what training does to all of them alike"),
        )
    )
    sections = [Section("What the network sees", (numbers, Text((_READ,))))]
    for i in range(n):
        films = [(name, row[i].numpy()) for name, row in zip(names, rows, strict=True)]
        label = images.classes[int(images.labels[i])]
        figure = Figure(_drawn(films), images.title(i), f"Frames of {images.title(i)} in {len(names)} rows.")
        sections.append(Section(label, (figure,)))
    settings = [
        (f"augment.{name}", str(getattr(recipe.augment, name)))
        for name in recipe.augment.__dataclass_fields__
    ]
    caption = "Change one with --set PATH=VALUE."
    sections.append(Section("Settings", (Table(("setting", "value"), tuple(settings), caption),)))
    lead = f"{n} clips of {sets.dataset.name} under {recipe.name}: {clip.said}."
    return render(
        Page("What the network sees of clips", lead, tuple(sections), f"Written by residua {__version__}.")
    )


_READ = (
    "Each strip is one clip, its frames from left to right, line by line. If you cannot tell from it what "
    "happens, neither can the network: give more frames, another stride, or crop less. Where left and right "
    "are to be told apart, say augment.flip=0."
)


def _rank(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each clip among those of its class."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return rank


def _drawn(clips: list[tuple[str, NDArray[np.uint8]]]) -> str:
    """Clips (C, T, S, S) with their names, eight frames a line."""
    inks = from_page()
    step = (_WIDE - _LEFT) / _LINE
    lines = [(name, frames) for name, clip in clips for frames in _lines(clip)]
    root = drawing(_WIDE, step * len(lines))
    said = ""
    for row, (name, frames) in enumerate(lines):
        if name != said:
            words(root, name, (0, step * (row + 0.5) + 4), hand=Hand(inks.quiet, 12))
            said = name
        for column, frame in enumerate(frames):
            left = _LEFT + step * column
            box: dict[str, str | float] = {"x": left, "y": step * row, "width": step - 3, "height": step - 3}
            shape(root, "image", {**box, "href": png(frame)})
    return written(root)


def _lines(clip: NDArray[np.uint8]) -> list[list[NDArray[np.uint8]]]:
    """(C, T, S, S) as frames (S, S) or (S, S, 3), in lines."""
    places = np.linspace(0, clip.shape[1] - 1, min(MOST, clip.shape[1])).round().astype(int)
    frames = [np.ascontiguousarray(clip[:, t].transpose(1, 2, 0).squeeze()) for t in places]
    return [frames[start : start + _LINE] for start in range(0, len(frames), _LINE)]
