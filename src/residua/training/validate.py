"""Judging the test images of a run while it trains: dealt out over its processes, and stopped when asked."""

import math
from collections.abc import Callable, Iterator

from residua.data.batches import Batch, testing
from residua.data.images import Images
from residua.measure.evaluate import Judgement, evaluate
from residua.measure.views import at_once
from residua.nn.network import Network
from residua.spec.recipe import Plan, Recipe
from residua.training.prefetch import in_rounds
from residua.training.processes.world import World


def validate(
    network: Network, images: Images, recipe: Recipe, *, plan: Plan, world: World, stop: Callable[[], bool]
) -> Judgement:
    """What `network`, with rank 0's running statistics, says of `images`, however many processes there are.

    Every process takes whole batches, as one process would make them: none is padded, none counts twice.
    Asked when `stop()` is true on any of them, NonFiniteError when the network says no numbers.
    """
    side, size = recipe.arch.preprocess.size, recipe.budget.batch_size
    if not plan.memory_limit:
        size = max(size, at_once(side, side))
    batches = testing(
        images,
        recipe.arch.preprocess,
        batch=size,
        workers=recipe.data.num_workers,
        resident_bytes=recipe.data.resident_bytes,
        rank=world.rank,
        world=world.size,
    )
    rounds = math.ceil(len(images) / size / world.size)
    return validate_batches(network, batches, rounds, plan=plan, world=world, stop=stop)


def validate_batches(
    network: Network,
    batches: Iterator[Batch],
    rounds: int,
    *,
    plan: Plan,
    world: World,
    stop: Callable[[], bool],
) -> Judgement:
    """What `network` says of the `batches` of all processes, none of which has more than `rounds`.

    Asked and NonFiniteError as from `validate`.
    """

    world.match(network)
    return evaluate(network, in_rounds(batches, rounds, world=world, stop=stop), plan, gather=world.gather)
