"""What the notation costs: building, one forward pass and one training step, beside timm, eager, on the CPU.

`resnet50` against timm's `resnet50`, `preresnet50` against its `resnetv2_50`: the same layers, so that any
difference is ours. Both take turns, so that a noisy machine is noisy for both; medians are compared. The
claim is a ratio of at least 0.97: not slower than timm by more than 3 %. Run it on a quiet machine.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import timm
import torch
import turns
from torch import Tensor, nn

from residua import create_model

PAIRS = (("resnet50", "resnet50"), ("preresnet50", "resnetv2_50"))
"""Our name, and timm's."""


def seconds(act: Callable[[], object]) -> float:
    """How long `act` takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def forward(network: nn.Module, images: Tensor) -> None:
    """One pass without gradients, norms at rest."""
    with torch.inference_mode():
        network.eval()(images)


def step(network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor) -> None:
    """One update."""
    optimizer.zero_grad()
    network.train()
    nn.functional.cross_entropy(network(images), torch.zeros(len(images), dtype=torch.long)).backward()
    optimizer.step()


def acts(make: Callable[[], nn.Module], images: Tensor) -> dict[str, Callable[[], object]]:
    """What is timed of one network: making it, a forward pass, a training step."""
    judged, trained = make(), make()  # one that trains would be judged with other numbers each time
    optimizer = torch.optim.SGD(trained.parameters(), 0.01, 0.9)
    return {
        "build": make,
        "forward": lambda: forward(judged, images),
        "training step": lambda: step(trained, optimizer, images),
    }


def compare(rounds: int, batch: int, size: int) -> dict[str, Any]:
    """All pairs and acts, in turns."""
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    rows = []
    for ours, theirs in PAIRS:
        mine = acts(partial(create_model, ours), images)
        peers = acts(partial(timm.create_model, theirs), images)
        for act in mine:
            sides = {"ours": partial(seconds, mine[act]), "peer": partial(seconds, peers[act])}
            turns.medians(sides, 2)  # the first calls choose kernels and fetch memory
            found = turns.medians(sides, rounds)
            what = f"{ours}, {act}" + ("" if act == "build" else f", batch {batch}, {size} px")
            name = f"timm {theirs}"
            rows.append(
                turns.row(what, found["ours"], found["peer"], peer_name=name, unit="s", less_is_better=True)
            )
    return turns.result(rows, "timm")


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    args = parser.parse_args()
    torch.set_flush_denormal(True)  # the smallest numbers take ten times as long, in whichever net has more
    turns.show(compare(args.rounds, args.batch, args.size), args.json)


if __name__ == "__main__":
    main()
