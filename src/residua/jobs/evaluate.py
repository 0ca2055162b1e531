"""Judging a trained network on images."""

from collections.abc import Sequence
from pathlib import Path

import torch

from residua.data.batches import testing
from residua.data.found import matched
from residua.data.sources import Images, absolute, open_images
from residua.deliver.engine import load_network
from residua.jobs.opened import reopen
from residua.measure.evaluate import Judgement
from residua.measure.evaluate import evaluate as judge
from residua.measure.score import Score
from residua.spec.recipe import Plan
from residua.spec.record import nearest
from residua.training import world
from residua.training.plan import place
from residua.training.run import Run

VIEWS = ("center",)
"""How an image can be shown: `center` is one centre crop."""


def evaluate(
    trained: Run | str | Path, *, data: str | Path | None = None, views: Sequence[str] = VIEWS
) -> list[Score]:
    """One Score per view of a run or checkpoint on `data`; without it, on the images that the run kept apart.

    Classes are matched by name. ValueError for an unknown view, DataError for images that cannot be used,
    CheckpointError for weights that cannot.
    """
    for view in views:
        if view not in VIEWS:
            raise ValueError(f"no view {view!r}: {nearest(view, VIEWS)}")
    path = trained.path if isinstance(trained, Run) else Path(trained)
    judged, images = judgement(path, None if data is None else str(data))
    return [judged.score(split=images.name, weights="raw", views=view) for view in views]


def judgement(path: Path, data: str | None) -> tuple[Judgement, Images]:
    """What the network at `path` says of `data`, and the images it was shown."""
    network = load_network(path)
    images = _images(path, data, network.class_names)
    plan = Plan(str(world.device("auto")), "channels_last", "float32", torch.get_num_threads())
    batches = testing(images, network.preprocess, batch=250, workers=0, resident_bytes=0)
    return judge(place(network, plan), batches, plan), images


def _images(path: Path, data: str | None, classes: tuple[str, ...]) -> Images:
    """The images meant: those a run kept apart when `data` is its own source, else all of `data`."""
    run = Run(path)
    recipe = run.recipe if (path / "recipe.json").is_file() else None
    if data is None and recipe is None:
        raise ValueError(f"{path} does not say which images to judge by: give --data")
    if recipe and (data is None or absolute(data) == recipe.data.source):
        kept_apart = reopen(run).test
        return matched(kept_apart, classes, owner="the network")
    return open_images(str(data), classes=classes)
