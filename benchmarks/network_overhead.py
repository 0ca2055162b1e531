"""What the notation costs: building, one forward pass and one training step, beside timm, eager, on the CPU.

`resnet50` against timm's `resnet50`, `preresnet50` against its `resnetv2_50`: the same layers with the same
weights, so that any difference is ours. Three sides take turns: ours, timm's, and a second network of timm's,
which tells how far apart equal networks are here. A ratio is the median over the rounds of what a round
measured, with a 95 % interval. The claim is a ratio of at least 0.97: not slower than timm by more than 3 %.
Freed memory stays with the process. Else page faults, which fall now on one side, now on another, are up to
a tenth of a forward pass. Run it on a quiet machine: three minutes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import timm
import torch
import turns
from torch import Tensor, nn

from residua import create_model
from residua.nn import malloc
from residua.nn.network import Network
from residua.weights.load import load

PAIRS = (
    ("resnet50", "resnet50", partial(create_model, "resnet50")),
    ("preresnet50", "resnetv2_50", partial(create_model, "preresnet50", opening="timm")),
)
"""Our name, timm's, and what makes ours of the same layers."""
Act = Callable[[], object]


def seconds(act: Act) -> float:
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


def acts(make: Callable[[], nn.Module], state: dict[str, Tensor], images: Tensor) -> dict[str, Act]:
    """What is timed of one network: making it, a forward pass, a training step; timm's weights in all."""
    judged, trained = make(), make()  # one that trains would be judged with other numbers each time
    for network in (judged, trained):
        if isinstance(network, Network):
            load(network, state, source="timm")
        else:
            network.load_state_dict(state)
    optimizer = torch.optim.SGD(trained.parameters(), 0.01, 0.9)
    return {
        "build": make,
        "forward": lambda: forward(judged, images),
        "training step": lambda: step(trained, optimizer, images),
    }


def compare(seconds_each: float, batch: int, size: int) -> dict[str, Any]:
    """All pairs and acts, in turns."""
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    rows = []
    for ours, theirs, mine in PAIRS:
        peer = partial(timm.create_model, theirs)
        state = peer().state_dict()
        sides = [acts(make, state, images) for make in (mine, peer, peer)]
        for act in sides[0]:
            timed = [partial(seconds, side[act]) for side in sides]
            for warm in timed * 2:  # the first calls choose kernels and fetch memory
                warm()
            rounds = turns.paired(*timed, seconds=seconds_each)
            what = f"{ours}, {act}" + ("" if act == "build" else f", batch {batch}, {size} px")
            rows.append(row(what, f"timm {theirs}", rounds))
    return turns.result(rows, "timm")


def row(what: str, peer_name: str, rounds: list[tuple[float, ...]]) -> dict[str, Any]:
    """One line: medians, the median ratio of a round, its interval, and the same ratio of two equal peers."""
    mine, peers, _ = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratios = [peer / own for own, peer, _ in rounds]
    return {
        **turns.row(what, mine, peers, peer_name=peer_name, unit="s", less_is_better=True),
        "ratio": round(statistics.median(ratios), 3),
        "interval": [round(end, 3) for end in turns.interval(ratios)],
        "noise": round(statistics.median(peer / same for _, peer, same in rounds), 3),
        "rounds": len(rounds),
    }


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=24, help="for each network and act")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    args = parser.parse_args()
    torch.set_flush_denormal(True)  # the smallest numbers take ten times as long, in whichever net has more
    with malloc.retain_freed_memory():
        found = compare(args.seconds, args.batch, args.size)
    turns.show(found, args.json)


if __name__ == "__main__":
    main()
