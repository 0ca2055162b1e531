"""Judging the test images of a run while it trains: dealt out over its processes, and stopped when asked."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

from residua.data.batches import Batch, testing
from residua.data.images import Images
from residua.measure.evaluate import Judgement, evaluate
from residua.nn.network import Network
from residua.spec.recipe import Plan, Recipe
from residua.training.world import World

Dealt = TypeVar("Dealt")
JUDGED = 250
"""Images judged at a time, at least."""


class Asked(Exception):
    """Somebody asked to stop while images were being judged."""


def judge(
    network: Network, images: Images, recipe: Recipe, *, plan: Plan, world: World, stop: Callable[[], bool]
) -> Judgement:
    """What `network`, with rank 0's running statistics, says of `images`, however many processes there are.

    Every process takes whole batches, as one process would make them: none is padded, none counts twice.
    Asked when `stop()` is true on any of them, NotFinite when the network says no numbers.
    """
    size = recipe.budget.batch if plan.memory_limit else max(recipe.budget.batch, JUDGED)
    batches = testing(
        images,
        recipe.arch.preprocess,
        batch=size,
        workers=recipe.data.workers,
        resident_bytes=recipe.data.resident_bytes,
        rank=world.rank,
        world=world.size,
    )
    rounds = math.ceil(len(images) / size / world.size)
    return of_batches(network, batches, rounds, plan=plan, world=world, stop=stop)


def of_batches(
    network: Network,
    batches: Iterator[Batch],
    rounds: int,
    *,
    plan: Plan,
    world: World,
    stop: Callable[[], bool],
) -> Judgement:
    """What `network` says of the `batches` of all processes, none of which has more than `rounds`.

    Asked and NotFinite as from `judge`.
    """

    def unless_asked() -> Iterator[Batch]:
        own = iter(together(batches, world))
        for _ in range(rounds):  # some have a batch less, but all must answer
            if world.any(stop())[0]:
                raise Asked
            yield from islice(own, 1)

    world.match(network)
    return evaluate(network, unless_asked(), plan, gather=world.gather)


def together(batches: Iterator[Dealt], world: World) -> Iterable[Dealt]:
    """`batches`, once all processes have their first: opening a set may take one longer than another."""
    first = list(islice(batches, 1))
    world.meet()
    return chain(first, batches)
