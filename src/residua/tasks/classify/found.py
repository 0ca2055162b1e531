"""Found: what networks that name classes say of a set, alone, together, and from several processes."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from residua.data.images import Images
from residua.measure.evaluate import Judgement, in_a_row, together
from residua.measure.score import Score
from residua.measure.views import PORTION, SAID, at_once
from residua.nn.network import Network
from residua.predict.classifier import ready
from residua.spec.recipe import Plan
from residua.spec.record import nearest
from residua.training.processes.world import World

Show = Callable[[Network, Images, Plan, str], Judgement]
"""What a network says of examples, with an arithmetic, under a view."""
Clip = Callable[[Network, Images, str], str]
"""Which frames a network is shown of examples under a view, in a phrase."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What one network, or several together, say of the examples under one protocol."""

    name: str
    """The run or file, as it was given."""
    images: Images
    """The examples, labels in the order of `classes`."""
    judgement: Judgement
    """What was said of each."""
    score: Score
    """How good it is."""


def check_views(paths: Sequence[Path], views: Sequence[str], allowed: Collection[str]) -> None:
    """ValueError for a view that is none, or none of those `allowed`."""
    for view in views:
        if view not in SAID:
            raise ValueError(f"no view {view!r}: {nearest(view, SAID)}")
        if view not in allowed:
            raise ValueError(f"{paths[0]} is judged under {', '.join(allowed)}, not {view!r}: leave --views")


def each(
    paths: Sequence[Path],
    examples: Callable[[Path, tuple[str, ...]], Images],
    *,
    show: Show,
    views: Sequence[str],
    weights: str,
    world: World,
    clip: Clip = lambda *_: "",
) -> list[Found]:
    """A Found for each of the networks at `paths` and each of `views`, on the `examples` of its classes."""
    found = []
    for path in paths:
        network, kind, plan = ready(path, weights)
        images = examples(path, network.class_names)
        for view in views:
            side = network.preprocess.size
            size = at_once(side, side) if view == "center" else PORTION
            said = _dealt(partial(_shown, show, network, plan, view), images, size, world)
            score = said.score(split=images.name, weights=kind, views=view)
            found.append(Found(str(path), images, said, replace(score, clip=clip(network, images, view))))
    return found


def _shown(show: Show, network: Network, plan: Plan, view: str, images: Images) -> Judgement:
    return show(network, images, plan, view)


def _dealt(show: Callable[[Images], Judgement], images: Images, size: int, world: World) -> Judgement:
    """What `show` says of `images`, dealt out `size` at a time, the same for any number of processes."""
    own = []
    for start in range(0, len(images), size * world.size):
        mine = np.arange(start + world.rank * size, min(start + (world.rank + 1) * size, len(images)))
        if len(mine):
            own.append(show(images.subset(mine)))
        world.meet()  # a portion may take one longer than another
    return in_a_row(world.gather(own))


def comparable(found: Sequence[Found]) -> list[Found]:
    """`found` with classes in the order of the first. ValueError unless all saw the same examples."""
    first = found[0]
    return [_in_order(one, first) for one in found]


def averaged(found: Sequence[Found], paths: Sequence[Path]) -> tuple[Found, ...]:
    """One Found for each view: the probabilities of all networks, averaged. ValueError as `comparable`."""
    if len(paths) < 2:
        return tuple(found)
    same, name = comparable(found), " + ".join(map(str, paths))
    shown = dict.fromkeys(one.score.views for one in same)
    return tuple(_mean([one for one in same if one.score.views == view], name) for view in shown)


def _in_order(one: Found, first: Found) -> Found:
    classes, wanted = one.images.classes, first.images.classes
    if set(classes) != set(wanted):
        raise ValueError(f"{one.name} knows other classes than {first.name}: compare networks of one task")
    order = np.array([classes.index(name) for name in wanted])
    labels = np.argsort(order)[one.images.labels]
    same = len(labels) == len(first.images) and np.array_equal(labels, first.images.labels)
    if not same or _ends(one.images) != _ends(first.images):
        raise ValueError(
            f"{one.name} was judged on other {one.images.gate.noun}s than {first.name}: give --data"
        )
    said = Judgement(one.judgement.probabilities[:, order], labels, one.judgement.loss)
    return Found(one.name, first.images, said, one.score)


def _ends(images: Images) -> tuple[str, ...]:
    """What tells two sets of equally many examples apart: the names of the first and the last."""
    return tuple(images.title(i) for i in (0, len(images) - 1))


def _mean(several: Sequence[Found], name: str) -> Found:
    first = several[0]
    said = together([one.judgement for one in several])
    weights = f"{first.score.weights}, mean of {len(several)} networks"
    score = said.score(split=first.images.name, weights=weights, views=first.score.views)
    return Found(name, first.images, said, replace(score, clip=first.score.clip))
