"""The page of `residua data augment` for clips: training and test clips as the network receives them."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from residua.report.page import Figure, Figures, Numbers, Page, Section, Table, Text, png, render
from residua.report.svg import add_shape, new_svg, to_string
from residua.spec.amount import quantity
from residua.spec.recipe import Recipe
from residua.tasks.video.batches import clip_of, evaluation_batches, training_batches
from residua.version import __version__

if TYPE_CHECKING:
    from residua.tasks.video.data_task import ClipDataset

EPOCHS = 2
"""Epochs of training shown for every clip."""
MAX_FRAMES = 16
"""Most frames shown of a clip, evenly spread."""

_SIDE, _GAP, _COLUMNS = 84, 3, 4  # pixels of a frame and between two, frames side by side


def preview_page(recipe: Recipe, dataset: "ClipDataset", *, count: int, source: str) -> str:
    """Show training clips as training and evaluation transform them.

    Args:
        recipe: gives network, augmentation and seed.
        dataset: the training split is shown.
        count: number of clips, spread over the classes.
        source: name of the data on the page.

    Returns:
        The page as HTML.

    Raises:
        DataError: a clip cannot be decoded; the message names it.
    """
    order = np.argsort(_rank_in_class(dataset.train.labels), kind="stable")[:count]
    images = dataset.train.subset(np.sort(order))
    footage, n = dataset.clip_frames(images, recipe.arch), len(images)
    one_batch = replace(recipe, budget=replace(recipe.budget, batch_size=max(2, n)))
    training = list(
        training_batches(footage, one_batch, first=0, steps=EPOCHS, workers=0, device=torch.device("cpu"))
    )
    (test_batch,) = evaluation_batches(footage, recipe.arch, batch_size=n, workers=0)
    clips = [
        {int(i): clip for i, clip in zip(b.indices, b.images, strict=True)} for b in (*training, test_batch)
    ]
    names = [*(f"epoch {k}" for k in range(1, EPOCHS + 1)), "test"]
    clip, size = clip_of(recipe.arch), recipe.arch.preprocess.size
    numbers = Numbers(
        (
            (str(clip.total), "frames of a clip"),
            (f"{size} × {size}", "pixels"),
            (recipe.augment.kind, "augmentation, equal for all frames of a clip"),
        )
    )
    sections = [Section("What the network receives", (numbers, Text((_HINT,))))]
    for i in range(n):
        title, label = images.title(i), images.classes[int(images.labels[i])]
        figures = tuple(
            Figure(_frames_svg(row[i].numpy()), name, f"Frames of {title}, {name}.")
            for name, row in zip(names, clips, strict=True)
        )
        sections.append(Section(label, (Text((title,)), Figures(figures))))
    settings = [
        (f"augment.{name}", str(getattr(recipe.augment, name)))
        for name in recipe.augment.__dataclass_fields__
    ]
    caption = "Change one with --set PATH=VALUE."
    sections.append(Section("Settings", (Table(("setting", "value"), tuple(settings), caption),)))
    lead = f"{quantity(n, 'clip')} of {source} under {recipe.name}: {clip.description}."
    return render(Page("Augmented clips", lead, tuple(sections), f"Written by residua {__version__}."))


_HINT = (
    "Each picture is one clip, its frames from left to right, line by line. If you cannot recognise what "
    "happens, neither can the network: use more frames, another stride, or larger crops. If classes differ "
    "in left and right, set augment.flip=0."
)


def _rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The position of each clip among those of its class: (n,)."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return rank


def _frames_svg(clip: NDArray[np.uint8]) -> str:
    """Frames of a clip (C, T, S, S), line by line, as SVG text."""
    indices = np.linspace(0, clip.shape[1] - 1, min(MAX_FRAMES, clip.shape[1])).round().astype(int).tolist()
    lines, step = -(-len(indices) // _COLUMNS), _SIDE + _GAP
    root = new_svg(step * _COLUMNS - _GAP, step * lines - _GAP)
    for position, t in enumerate(indices):
        down, across = divmod(position, _COLUMNS)
        frame = np.ascontiguousarray(clip[:, t].transpose(1, 2, 0).squeeze())  # (S, S) or (S, S, 3)
        box: dict[str, str | float] = {"x": step * across, "y": step * down, "width": _SIDE, "height": _SIDE}
        add_shape(root, "image", {**box, "href": png(frame)})
    return to_string(root)
