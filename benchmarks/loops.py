"""Training loops beside each other, in turns and in one process, and the peers that others would write.

Each turn begins its loop anew, with its own workers, and ends them: nothing of one loop runs in the turn of
another. The order of turns rotates. Ours keeps the memory that it frees, as `residua train` does, in its own
turns and no others; peers have what glibc comes to by itself.
"""

import argparse
import contextlib
import copy
import multiprocessing
import statistics
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
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


def ours(recipe: Recipe, images: Images, batch: int) -> Loop:
    """residua's loop on images."""

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

    return begun(recipe, images.classes, batch, feed)


def begun(recipe: Recipe, classes: tuple[str, ...], batch: int, feed: Callable[[Plan], Fed]) -> Loop:
    """residua's loop with the plan it chooses here for a long run, on what `feed` gives that plan."""
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
    ceiling = Loop("its convolutions alone", convolutions(network, chosen.plan, batch), keep)
    return Loop(f"residua ({how})", steps, keep, ceiling)


def convolutions(network: Network, chosen: Plan, batch: int) -> Callable[[], Generator[object, None, None]]:
    """Steps that compute every convolution of `network` once, forward and backward, and nothing else.

    The first convolution has no gradient of its input, as in training.
    """
    kind = torch.bfloat16 if chosen.precision == "bfloat16" else torch.float32
    shapes: list[tuple[nn.Module, torch.Size]] = []
    hooks = [
        module.register_forward_hook(lambda layer, inputs, _: shapes.append((layer, inputs[0].shape)))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Conv3d)
    ]
    with torch.no_grad(), compiling.uncompiled(chosen):
        network(torch.zeros(batch, *network.arch.input_shape, device=chosen.device))
    for hook in hooks:
        hook.remove()

    def steps() -> Generator[object, None, None]:
        work = []
        for number, (layer, shape) in enumerate(shapes):
            form = layout(chosen.memory_format, len(shape))
            own = copy.deepcopy(layer).to(kind).to(memory_format=form)
            x = torch.randn(shape, device=chosen.device, dtype=kind).contiguous(memory_format=form)
            work.append((own, x.requires_grad_(number > 0)))
        gradients = [torch.randn_like(layer(x)) for layer, x in work]
        while True:
            for (layer, x), gradient in zip(work, gradients, strict=True):
                asked = (layer.weight, x) if x.requires_grad else (layer.weight,)
                torch.autograd.grad(layer(x), asked, gradient)
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
        while time.perf_counter() - start < seconds:
            next(steps)
            count += 1
        _wait()
        rate = count * batch / (time.perf_counter() - start)
    if left := multiprocessing.active_children():
        raise RuntimeError(f"{loop.name}: {len(left)} workers live on in the turns of others")
    return rate


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compare(
    what: str,
    mine: Loop,
    peers: list[Loop],
    *,
    batch: int,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
    unit: str = "images/s",
) -> dict[str, Any]:
    """All in turns, in an order that rotates; medians and the ratio of ours to each peer's.

    Turns of the first `turns.WARM_SECONDS` are not counted.
    """
    loops = [mine, *([mine.ceiling] if mine.ceiling else []), *peers]
    found: dict[str, list[float]] = {loop.name: [] for loop in loops}
    began = time.perf_counter()
    while time.perf_counter() - began < turns.WARM_SECONDS:
        for loop in loops:
            timed(loop, min(3.0, seconds), batch)
    for number in range(rounds):
        start = number % len(loops)
        for loop in (*loops[start:], *loops[:start]):
            found[loop.name].append(timed(loop, seconds, batch))
        say(f"round {number + 1}: " + ", ".join(f"{name}: {rates[-1]:.1f}" for name, rates in found.items()))
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    rows = [
        {
            **turns.row(
                f"{what}, batch {batch}, {mine.name}",
                medians[mine.name],
                medians[peer.name],
                peer_name=peer.name,
                unit=unit,
                digits=1,
            ),
            "rounds": {"ours": found[mine.name], "peer": found[peer.name]},
        }
        for peer in peers
    ]
    if mine.ceiling:
        top = medians[mine.ceiling.name]
        for row in rows:
            row.update(ceiling=round(top, 1), of_ceiling=round(medians[mine.name] / top, 3))
    return turns.result(rows, "torchvision", "timm")


def options(description: str | None, *, batch: int) -> argparse.Namespace:
    """What a comparison without words of its own is given."""
    return parser(description, batch=batch).parse_args()


def parser(description: str | None, *, batch: int, seconds: float = 8.0) -> argparse.ArgumentParser:
    """What every comparison takes."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--json", action="store_true")
    found.add_argument("--rounds", type=int, default=5)
    found.add_argument("--seconds", type=float, default=seconds)
    found.add_argument("--batch", type=int, default=batch)
    return found
