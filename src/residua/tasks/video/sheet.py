"""The contact sheet of clips: what training and testing see of each, frame by frame, on one offline page."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from residua.report.page import Figure, Figures, Numbers, Page, Section, Table, Text, png, render
from residua.report.svg import add_shape, new_svg, to_string
from residua.spec.recipe import Recipe
from residua.tasks.video.batches import clip_of, evaluation_batches, training_batches
from residua.version import __version__

if TYPE_CHECKING:
    from residua.tasks.video.data_task import ClipDataset

EPOCHS = 2
"""Passes that are shown of every clip."""
MOST = 16
"""Frames shown of a clip; of more, evenly spread ones."""

_SIDE, _GAP, _LINE = 84, 3, 4  # pixels of a frame and between two, frames side by side


def sheet(recipe: Recipe, sets: "ClipDataset", *, count: int, source: str) -> str:
    """The page of `count` training clips, spread over the classes.

    DataError names one that cannot be read.
    """
    order = np.argsort(_rank(sets.train.labels), kind="stable")[:count]
    images = sets.train.subset(np.sort(order))
    footage, n = sets.clip_frames(images, recipe.arch), len(images)
    alone = replace(recipe, budget=replace(recipe.budget, batch_size=max(2, n)))
    trained = list(training_batches(footage, alone, first=0, steps=EPOCHS, workers=0, device=torch.device("cpu")))
    (tested,) = evaluation_batches(footage, recipe.arch, batch=n, workers=0)
    rows = [{int(i): clip for i, clip in zip(b.indices, b.images, strict=True)} for b in (*trained, tested)]
    names = [*(f"epoch {k}" for k in range(1, EPOCHS + 1)), "test"]
    clip, size = clip_of(recipe.arch), recipe.arch.preprocess.size
    numbers = Numbers(
        (
            (str(clip.total), "frames of a clip"),
            (f"{size} × {size}", "pixels"),
            (recipe.augment.kind, "what training_batches does to all of them alike"),
        )
    )
    sections = [Section("What the network sees", (numbers, Text((_READ,))))]
    for i in range(n):
        title, label = images.title(i), images.classes[int(images.labels[i])]
        films = tuple(
            Figure(_drawn(row[i].numpy()), name, f"Frames of {title}, {name}.")
            for name, row in zip(names, rows, strict=True)
        )
        sections.append(Section(label, (Text((title,)), Figures(films))))
    settings = [
        (f"augment.{name}", str(getattr(recipe.augment, name)))
        for name in recipe.augment.__dataclass_fields__
    ]
    caption = "Change one with --set PATH=VALUE."
    sections.append(Section("Settings", (Table(("setting", "value"), tuple(settings), caption),)))
    lead = f"{n} clips of {source} under {recipe.name}: {clip.description}."
    return render(
        Page("What the network sees of clips", lead, tuple(sections), f"Written by residua {__version__}.")
    )


_READ = (
    "Each picture is one clip, its frames from left to right, line by line. If you cannot tell from it what "
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


def _drawn(clip: NDArray[np.uint8]) -> str:
    """Frames of a clip (C, T, S, S), line by line."""
    places = np.linspace(0, clip.shape[1] - 1, min(MOST, clip.shape[1])).round().astype(int).tolist()
    lines, step = -(-len(places) // _LINE), _SIDE + _GAP
    root = new_svg(step * _LINE - _GAP, step * lines - _GAP)
    for place, t in enumerate(places):
        down, across = divmod(place, _LINE)
        frame = np.ascontiguousarray(clip[:, t].transpose(1, 2, 0).squeeze())  # (S, S) or (S, S, 3)
        box: dict[str, str | float] = {"x": step * across, "y": step * down, "width": _SIDE, "height": _SIDE}
        add_shape(root, "image", {**box, "href": png(frame)})
    return to_string(root)
