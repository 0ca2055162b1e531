"""Training loops beside each other, in turns and in one process, and the peers that others would write.

Ours keeps the memory that it frees, as `residua train` does, in its own turns and no others; peers have what
glibc comes to by itself.
"""

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import turns
from torch import nn
from torch.nn.functional import cross_entropy

from residua.data.batches import Batch, training_batches
from residua.data.images import Images
from residua.nn.device import place_network
from residua.spec.recipe import Plan, Recipe
from residua.training import compiling, memory, optim, plan
from residua.training.loop import train
from residua.training.losses import LossFn, recipe_loss_fn
from residua.training.network import initial_network
from residua.training.processes import world


@dataclass(frozen=True)
class Loop:
    """A training loop that has begun: every item is one step."""

    name: str
    steps: Iterator[object]
    around: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    """What a turn is taken inside of: what the loop asks of the process, and others do not."""


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


Fed = tuple[Iterable[Batch], LossFn]
"""What is learned from, and what it teaches."""


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
    batches, loss_fn = feed(chosen.plan)
    steps = train(network, batches, loss_fn, optimizer=optimizer, lr_at=lambda _: 0.01, seed=0)
    how = f"{chosen.plan.precision} {chosen.plan.memory_format}, compile {chosen.plan.compile}"
    return Loop(f"residua ({how})", steps, partial(memory.retain_freed_memory, chosen.plan))


def plain(network: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Loop:
    """The loop that people write first: float32, SGD, a DataLoader."""
    network = network.to(device())
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=1e-4)

    def steps() -> Iterator[None]:
        while True:
            for images, labels in batches:
                optimizer.zero_grad()
                loss = cross_entropy(network(images.to(device())), labels.to(device()))
                loss.backward()
                optimizer.step()
                yield

    return Loop("plain PyTorch loop, float32, torchvision transforms in a DataLoader", steps())


def timm(network: nn.Module, dataset: Any, *, size: int, batch: int, fast: bool) -> Loop:
    """timm's parts put together as its train.py does; `fast`: --channels-last --amp --amp-dtype bfloat16.

    On CUDA that adds --torchcompile.
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
        pin_memory=device().type == "cuda",
        device=device(),
    )
    compiled = torch.compile(network) if fast and device().type == "cuda" else network
    precision = torch.autocast(device().type, torch.bfloat16) if fast else contextlib.nullcontext()

    def steps() -> Iterator[None]:
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

    flags = "--channels-last --amp --amp-dtype bfloat16" if fast else "default flags"
    flags += " --torchcompile" if fast and device().type == "cuda" else ""
    return Loop(f"timm's parts as in its train.py, {flags}", steps())


def timed(loop: Loop, seconds: float, batch: int) -> float:
    """Images per second over at least `seconds`, after a step that finds what the loop before left."""
    with loop.around():
        next(loop.steps)
        _wait()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            next(loop.steps)
            count += 1
        _wait()
        return count * batch / (time.perf_counter() - start)


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
    """All in turns; medians and the ratio of ours to each peer's. The first turn of each is not counted."""
    loops = [mine, *peers]
    found: dict[str, list[float]] = {loop.name: [] for loop in loops}
    for loop in loops:
        timed(loop, min(3.0, seconds), batch)
    for number in range(rounds):
        for loop in loops:
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
