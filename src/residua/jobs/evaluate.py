"""Judging trained networks, one at a time or together."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

from residua import tasks
from residua.runs.checkpoint import Weights
from residua.runs.run import Run
from residua.spec.record import nearest
from residua.tasks.kind import Verdict
from residua.training.processes.world import ALONE, World

Trained = Run | str | Path
WEIGHTS = get_args(Weights)
"""Kinds of weights by name."""


def evaluate(
    trained: Trained | Sequence[Trained],
    *,
    data: str | Path | None = None,
    views: Sequence[str] = (),
    weights: str = "auto",
    ensemble: bool = False,
    world: World = ALONE,
) -> list[Any]:
    """One Score per run or checkpoint and view on `data`; without it, on what the run kept apart.

    `weights` of a run: `raw` (the last step's), `ema` (their mean), `best` (the lowest test error); `auto` is
    the mean where the run keeps one. With `ensemble` the probabilities of all are averaged, and there is one
    Score per view. Without `views`, images are shown once; videos always as one clip and as thirty. The
    processes of `world` share the examples, and all return the same. Classes are matched by name. ValueError
    for an unknown view or weights, or for runs that kept different examples apart; DataError for examples
    that cannot be used, CheckpointError for weights that cannot. Of detectors, `views` are protocols, and
    each gives a BoxScore.
    """
    several = [trained] if isinstance(trained, Run | str | Path) else list(trained)
    where = None if data is None else str(data)
    return judge(
        paths_of(several), data=where, views=views, weights=weights, ensemble=ensemble, world=world
    ).scores


def judge(
    paths: Sequence[Path],
    *,
    data: str | None = None,
    views: Sequence[str] = (),
    weights: str = "auto",
    ensemble: bool = False,
    asked: Collection[str] = (),
    world: World = ALONE,
) -> Verdict:
    """What `evaluate` measures, with the answers it is made of.

    ValueError also for an option `asked` that has no effect on these networks.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"no weights {weights!r}: {nearest(weights, WEIGHTS)}")
    kind = tasks.of_trained(paths, [*asked, *(["ensemble"] if ensemble else [])])
    return kind.evaluate(paths, data=data, views=views, weights=weights, ensemble=ensemble, world=world)


def paths_of(trained: Sequence[Trained]) -> list[Path]:
    """Where they lie."""
    return [one.path if isinstance(one, Run) else Path(one) for one in trained]
