"""Training loops beside each other, in turns and in one process, and the peers that others would write.

Each turn begins its loop anew, with its own workers, and ends them: nothing of one loop runs in the turn of
another, which `turns` checks. Ours keeps the memory that it frees, as `residua train` does, in its own
turns and no others; peers have what glibc comes to by itself.
"""

import argparse
import contextlib
import copy
import multiprocessing
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import turns
from torch import nn
from torch.nn.functional import cross_entropy

from residua.data.batches import Batch, training_batches
from residua.data.images import Images
from residua.nn.clips import layout
from residua.nn.device import place_network
from residua.nn.network import Network
from residua.nn.processor import has_bfloat16_units
from residua.spec.recipe import Plan, Recipe
from residua.training import compiling, memory, optim, plan
from residua.training.loop import train
from residua.training.losses import LossFn, recipe_loss_fn
from residua.training.network import initial_network
from residua.training.processes import world

FILLING = 2
"""Batches of each worker that are not counted: its queue fills while it starts."""


@dataclass(frozen=True)
class Loop:
    """A training loop of which every item is one step; its network goes on learning from turn to turn."""

    name: str
    begin: Callable[[], Generator[object, None, None]]
    """Starts the loop with new workers; closing it ends them."""
    around: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    """What a turn is taken inside of: what the loop asks of the process, and others do not."""
    ceiling: "Loop | None" = None
    """The convolutions of its network alone, in its plan: no loop that computes them is faster."""


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


Fed = tuple[Generator[Batch, None, None], LossFn]
"""What is learned from, and its loss."""


def ours(recipe: Recipe, images: Images, batch: int, *, eager: bool = False) -> Loop:
    """residua's loop on images, without compilation if `eager`."""

    def feed(chosen: Plan) -> Fed:
        batches = training_batches(
            images,
            recipe.arch.preprocess,
            recipe.augment,
            seed=0,
            batch_size=batch,
            first=0,
            steps=10**6,
            workers=world.available_cores() if recipe.augment.whole_images else 0,
            resident_bytes=1 << 30,
            device=torch.device(chosen.device),
        )
        return batches, recipe_loss_fn(recipe, chosen, images)

    return begun(recipe, images.classes, batch, feed, eager=eager)


def begun(
    recipe: Recipe,
    classes: tuple[str, ...],
    batch: int,
    feed: Callable[[Plan], Fed],
    *,
    eager: bool = False,
) -> Loop:
    """residua's loop with the plan it chooses here for a long run, on what `feed` gives that plan."""
    if eager:
        recipe = replace(recipe, plan=replace(recipe.plan, compile="off"))
    network = initial_network(recipe, classes)
    chosen = plan.choose_plan(network, recipe.plan, batch=batch, steps=10**7 // batch)
    network = place_network(network, chosen.plan)
    optimizer = optim.make_optimizer(network, recipe.optim)
    compiling.compile_network(network, chosen.plan)

    def steps() -> Generator[object, None, None]:
        batches, loss_fn = feed(chosen.plan)
        with contextlib.closing(batches) as own:
            yield from train(network, own, loss_fn, optimizer=optimizer, lr_at=lambda _: 0.01, seed=0)

    how = f"{chosen.plan.precision} {chosen.plan.memory_format}, compile {chosen.plan.compile}"
    keep = partial(memory.retain_freed_memory, chosen.plan)
    shape = (batch, *network.arch.input_shape)
    ceiling = Loop("its convolutions alone", convolutions(network, chosen.plan, shape), keep)
    return Loop(f"residua ({how})", steps, keep, ceiling)


def convolutions(
    network: Network, chosen: Plan, shape: tuple[int, ...], *, backward: bool = True
) -> Callable[[], Generator[object, None, None]]:
    """Steps that compute every convolution for a batch of this shape, forward and `backward`, nothing else.

    The first convolution has no gradient of its input, as in training. Equal shapes share their numbers, so
    that those of a deep network fit into memory.
    """
    kind = torch.bfloat16 if chosen.precision == "bfloat16" else torch.float32
    shapes: list[tuple[nn.Module, torch.Size]] = []
    hooks = [
        module.register_forward_hook(lambda layer, inputs, _: shapes.append((layer, inputs[0].shape)))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Conv3d)
    ]
    with torch.no_grad(), compiling.uncompiled(chosen):
        network(torch.zeros(shape, device=chosen.device))
    for hook in hooks:
        hook.remove()

    def steps() -> Generator[object, None, None]:
        numbers: dict[tuple[torch.Size, bool], torch.Tensor] = {}

        def like(shape: torch.Size, *, requires_grad: bool = False) -> torch.Tensor:
            if (shape, requires_grad) not in numbers:
                form = layout(chosen.memory_format, len(shape))
                made = torch.randn(shape, device=chosen.device, dtype=kind).contiguous(memory_format=form)
                numbers[shape, requires_grad] = made.requires_grad_(requires_grad)
            return numbers[shape, requires_grad]

        work = []
        for number, (layer, size) in enumerate(shapes):
            own = copy.deepcopy(layer).to(kind).to(memory_format=layout(chosen.memory_format, len(size)))
            x = like(size, requires_grad=backward and number > 0)
            with torch.no_grad():
                out = own(x).shape
            work.append((own, x, like(out)))
        while True:
            for layer, x, gradient in work:
                with torch.set_grad_enabled(backward):
                    y = layer(x)
                if backward:
                    wanted = (layer.weight, x) if x.requires_grad else (layer.weight,)
                    torch.autograd.grad(y, wanted, gradient)
            yield

    return steps


def plain(network: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Loop:
    """The loop that people write first: float32, SGD, a DataLoader."""
    network = network.to(device())
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=1e-4)

    def steps() -> Generator[object, None, None]:
        while True:
            for images, labels in batches:
                optimizer.zero_grad()
                loss = cross_entropy(network(images.to(device())), labels.to(device()))
                loss.backward()
                optimizer.step()
                yield

    return Loop("plain PyTorch loop, float32, torchvision transforms in a DataLoader", steps)


def timm(network: nn.Module, dataset: Any, *, size: int, batch: int, fast: bool) -> Loop:
    """timm's parts put together as its train.py does, with its default flags or with `fast` ones.

    These are --channels-last, with --amp --amp-dtype bfloat16 where the device has units for that, and with
    --torchcompile on CUDA.
    """
    from timm.data import create_loader
    from timm.optim import create_optimizer_v2

    network = network.to(device())
    if fast:
        network = network.to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(network, opt="sgd", lr=0.01, weight_decay=1e-4, momentum=0.9)
    loader = create_loader(
        dataset,
        input_size=(3, size, size),
        batch_size=batch,
        is_training=True,
        color_jitter=0.0,
        num_workers=world.available_cores(),
        persistent_workers=False,
        pin_memory=device().type == "cuda",
        device=device(),
    )
    compiled = torch.compile(network) if fast and device().type == "cuda" else network
    amp = fast and (device().type == "cuda" or bool(has_bfloat16_units()))
    precision = torch.autocast(device().type, torch.bfloat16) if amp else contextlib.nullcontext()

    def steps() -> Generator[object, None, None]:
        while True:
            for images, labels in loader:
                if fast:
                    images = images.contiguous(memory_format=torch.channels_last)
                with precision:
                    loss = cross_entropy(compiled(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                yield

    flags = "--channels-last" if fast else "default flags"
    flags += " --amp --amp-dtype bfloat16" * amp + " --torchcompile" * (fast and device().type == "cuda")
    return Loop(f"timm's parts as in its train.py, {flags}", steps)


def timed(loop: Loop, seconds: float, batch: int) -> float:
    """Images per second over at least `seconds`, after the steps in which queues fill and caches warm."""
    with loop.around(), contextlib.closing(loop.begin()) as steps:
        next(steps)
        for _ in range(FILLING * len(multiprocessing.active_children())):
            next(steps)
        _wait()
        start, count = time.perf_counter(), 0
        while not count or time.perf_counter() - start < seconds:
            next(steps)
            count += 1
        _wait()
        return count * batch / (time.perf_counter() - start)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compare(
    what: str, mine: Loop, peers: list[Loop], session: turns.Session, *, batch: int, unit: str = "images/s"
) -> turns.Rows:
    """All in turns, in an order that rotates: a row for each peer."""
    loops = [mine, *([mine.ceiling] if mine.ceiling else []), *peers]
    sides = {loop.name: partial(timed, loop, session.seconds, batch) for loop in loops}
    rounds = session.take_turns(sides, unit=unit)
    for peer in peers:
        yield turns.row_of_rounds(
            f"{what}, batch {batch}, {mine.name}",
            rounds,
            mine.name,
            peer.name,
            unit=unit,
            ceiling=mine.ceiling.name if mine.ceiling else "",
            digits=1,
        )
    rounds.stop()


def parser(
    description: str | None, *, batch: int, models: tuple[str, ...], seconds: float = 8.0
) -> argparse.ArgumentParser:
    """The options of every comparison of training."""
    made = turns.parser(description, rounds=7, seconds=seconds, each="each turn")
    made.add_argument("--models", nargs="+", default=list(models), metavar="NAME", help=" ".join(models))
    made.add_argument("--batch", type=int, default=batch, help=f"by default {batch}")
    made.add_argument("--eager", action="store_true", help="ours is not compiled, whatever the plan says")
    return made
