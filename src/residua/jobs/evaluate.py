"""Judging trained networks on images, one at a time or together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from residua.data.found import matched
from residua.data.sources import CLIPS, Images, absolute, open_images
from residua.deliver.engine import ready
from residua.jobs import boxes
from residua.jobs.opened import reopen
from residua.measure.evaluate import Judgement, in_a_row, together
from residua.measure.score import Score
from residua.measure.views import BATCH, CLIP_VIEWS, PORTION, SAID, VIEWS, judge
from residua.nn.network import Network
from residua.spec.recipe import Plan
from residua.spec.record import nearest
from residua.tasks.detect.score import BoxScore
from residua.training.checkpoint import Weights
from residua.training.run import Run
from residua.training.world import ALONE, World

Trained = Run | str | Path
WEIGHTS = get_args(Weights)
"""Kinds of weights by name."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What one network, or several together, say of the images under one protocol."""

    name: str
    """The run or file, as it was given."""
    images: Images
    """The images, labels in the order of `classes`."""
    judgement: Judgement
    """What was said of each."""
    score: Score
    """How good it is."""


def evaluate(
    trained: Trained | Sequence[Trained],
    *,
    data: str | Path | None = None,
    views: Sequence[str] = (),
    weights: str = "auto",
    ensemble: bool = False,
    world: World = ALONE,
) -> list[Score] | list[BoxScore]:
    """One Score per run or checkpoint and view on `data`; without it, on the images that the run kept apart.

    `weights` of a run: `raw` (the last step's), `ema` (their mean), `best` (the lowest test error); `auto` is
    the mean where the run keeps one. With `ensemble` the probabilities of all are averaged, and there is one
    Score per view. Without `views`, images are shown once; videos always as one clip and as thirty. The
    processes of `world` share the images, and all return the same. Classes are matched by name. ValueError
    for an unknown view or weights, or for runs that kept different images apart; DataError for images that
    cannot be used, CheckpointError for weights that cannot. Of detectors, `views` are protocols, and each
    gives a BoxScore.
    """
    several = [trained] if isinstance(trained, Run | str | Path) else list(trained)
    paths = [one.path if isinstance(one, Run) else Path(one) for one in several]
    where = None if data is None else str(data)
    if any(map(boxes.finds_boxes, paths)):
        if ensemble:
            raise ValueError("ensemble is for networks that classify: leave it")
        asked = () if tuple(views) == ("center",) else views
        judged = boxes.find(paths, data=where, protocols=asked, weights=weights, world=world)
        return [score for one in judged for score in one.scores]
    found = find(paths, data=where, views=views, weights=weights, ensemble=ensemble, world=world)
    return [one.score for one in found]


def find(
    paths: Sequence[Path],
    *,
    data: str | None,
    views: Sequence[str],
    weights: str = "auto",
    ensemble: bool = False,
    world: World = ALONE,
) -> list[Found]:
    """What `evaluate` measures, with the answers it is made of."""
    for view in views:
        if view not in SAID:
            raise ValueError(f"no view {view!r}: {nearest(view, SAID)}")
    if weights not in WEIGHTS:
        raise ValueError(f"no weights {weights!r}: {nearest(weights, WEIGHTS)}")
    found = [one for path in paths for one in _one(path, data, views, weights, world)]
    if not ensemble or len(paths) < 2:
        return found
    same = comparable(found)
    name = " + ".join(str(path) for path in paths)
    shown = dict.fromkeys(one.score.views for one in same)
    return [_joined([one for one in same if one.score.views == view], name) for view in shown]


def judgement(path: Path, data: str | None, world: World = ALONE) -> tuple[Judgement, Images]:
    """What the network at `path` says of a centre crop of `data`, and the images it was shown."""
    (found,) = _one(path, data, ("center",), "auto", world)
    return found.judgement, found.images


def comparable(found: Sequence[Found]) -> list[Found]:
    """`found` with classes in the order of the first. ValueError unless all saw the same images."""
    first = found[0]
    return [_in_order(one, first) for one in found]


def _one(path: Path, data: str | None, views: Sequence[str], weights: str, world: World) -> list[Found]:
    network, kind, plan = ready(path, weights)
    _check_kind(path, data, network, views)
    images = images_of(path, data, network.class_names)
    clips, found = network.arch.clip is not None, []
    for view in tuple(CLIP_VIEWS) if clips else views or ("center",):  # one alone of a clip's misleads
        said = _dealt(network, images, plan, view, world)
        score = said.score(split=images.name, weights=kind, views=view)
        if clips:
            from residua.tasks.video import protocol

            score = replace(score, clip=protocol.said(network.arch, protocol.rate(images), view))
        found.append(Found(str(path), images, said, score))
    return found


def _check_kind(path: Path, data: str | None, network: Network, views: Sequence[str]) -> None:
    """ValueError for images shown to a network for clips, clips to one for images, or views of the other."""
    clips = network.arch.clip is not None
    if data is not None and clips != (data.partition(":")[0] in CLIPS):
        wanted = "clips: give --data video:DIR" if clips else "images: give images as --data"
        raise ValueError(f"{path} reads {wanted}")
    allowed = CLIP_VIEWS if clips else VIEWS
    for view in views:
        if view not in allowed:
            raise ValueError(f"{path} is judged under {', '.join(allowed)}, not {view!r}: leave --views")


def _dealt(network: Network, images: Images, plan: Plan, view: str, world: World) -> Judgement:
    """What `network` says of `images`, dealt out over the processes by portions, the same for any number."""
    size = BATCH if view == "center" else PORTION
    own = []
    for start in range(0, len(images), size * world.size):
        mine = np.arange(start + world.rank * size, min(start + (world.rank + 1) * size, len(images)))
        if len(mine):
            own.append(_shown(network, images.subset(mine), plan, view))
        world.meet()  # a portion may take one longer than another
    return in_a_row(world.gather(own))


def _shown(network: Network, images: Images, plan: Plan, view: str) -> Judgement:
    if not network.arch.clip:
        return judge(network, images, plan, view)
    from residua.tasks.video import protocol
    from residua.tasks.video.clips import Footage

    return protocol.judge(network, Footage(images, network.preprocess), plan, view)


def images_of(path: Path, data: str | None, classes: tuple[str, ...]) -> Images:
    """The images meant: those a run kept apart when `data` is its own source, else all of `data`."""
    run = Run(path)
    recipe = run.recipe if (path / "recipe.json").is_file() else None
    if data is None and recipe is None:
        raise ValueError(f"{path} does not say which images to judge by: give --data")
    if recipe and (data is None or absolute(data) == recipe.data.source):
        kept_apart = reopen(run).test
        return matched(kept_apart, classes, owner="the network")
    if str(data).partition(":")[0] in CLIPS:
        from residua.tasks.video import sources

        return sources.judging(str(data), classes=classes)
    return open_images(str(data), classes=classes)


def _in_order(one: Found, first: Found) -> Found:
    classes, wanted = one.images.classes, first.images.classes
    if set(classes) != set(wanted):
        raise ValueError(f"{one.name} knows other classes than {first.name}: compare networks of one task")
    order = np.array([classes.index(name) for name in wanted])
    labels = np.argsort(order)[one.images.labels]
    same = len(labels) == len(first.images) and np.array_equal(labels, first.images.labels)
    if not same or _ends(one.images) != _ends(first.images):
        raise ValueError(f"{one.name} was judged on other images than {first.name}: give --data")
    said = Judgement(one.judgement.probabilities[:, order], labels, one.judgement.loss)
    return Found(one.name, first.images, said, one.score)


def _ends(images: Images) -> tuple[str, ...]:
    """What tells two sets of equally many images apart: the names of the first and the last."""
    return tuple(images.title(i) for i in (0, len(images) - 1))


def _joined(several: Sequence[Found], name: str) -> Found:
    first = several[0]
    said = together([one.judgement for one in several])
    weights = f"{first.score.weights}, mean of {len(several)} networks"
    score = said.score(split=first.images.name, weights=weights, views=first.score.views)
    return Found(name, first.images, said, score)
