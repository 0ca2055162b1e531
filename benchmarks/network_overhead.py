"""What the notation costs: building, one forward pass and one training step, beside timm, eager, on the CPU.

`resnet50` against timm's `resnet50`, `preresnet50` against its `resnetv2_50`: the same layers with the same
weights, so that any difference is ours. Three sides take turns: ours, timm's, and a second network of timm's,
which tells how far apart equal networks are here. A ratio is the median over the rounds of what a round
measured, with a 95 % interval. The claim is a ratio of at least 0.97: not slower than timm by more than 3 %.
Freed memory stays with the process. Else page faults, which fall now on one side, now on another, are up to
a tenth of a forward pass. Run it on a quiet machine: five minutes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import loops
import timm
import torch
import turns
from torch import Tensor, nn

from residua import create_model
from residua.nn import malloc
from residua.nn.network import Network
from residua.spec.recipe import Plan
from residua.weights.load import load

PAIRS = (
    ("resnet50", "resnet50", partial(create_model, "resnet50")),
    ("preresnet50", "resnetv2_50", partial(create_model, "preresnet50", opening="timm")),
)
"""Our name, timm's, and what makes ours of the same layers."""
OURS, PEER, SECOND, CEILING = "ours", "timm", "another of timm", "its convolutions alone"
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


def rows(args: argparse.Namespace) -> turns.Rows:
    """All pairs and acts, in turns."""
    session = turns.Session.of(args)
    images = torch.randn(args.batch, 3, args.size, args.size, generator=torch.Generator().manual_seed(0))
    plan = Plan("cpu", "contiguous", "float32", torch.get_num_threads(), compile="off")
    for ours, theirs, mine in PAIRS:
        if ours not in args.models:
            continue
        peer = partial(timm.create_model, theirs)
        state = peer().state_dict()
        sides = {OURS: acts(mine, state, images)}
        sides |= {name: acts(peer, state, images) for name in (PEER, SECOND)}
        for act in sides[OURS]:
            timed = {name: partial(seconds, side[act]) for name, side in sides.items()}
            if act != "build":
                backward = act != "forward"
                alone = loops.convolutions(mine(), plan, tuple(images.shape), backward=backward)()
                timed[CEILING] = partial(seconds, partial(next, alone))
            for warm in [*timed.values()] * 2:  # the first calls choose kernels and fetch memory
                warm()
            rounds = session.take_turns(timed, limit=args.seconds, unit="s")
            what = f"{ours}, {act}" + ("" if act == "build" else f", batch {args.batch}, {args.size} px")
            yield row(what, f"timm {theirs}", rounds)
            rounds.stop()


def row(what: str, peer_name: str, rounds: turns.Rounds) -> turns.Row:
    """One line, with the same ratio of two equal peers."""
    ceiling = CEILING if CEILING in rounds.values else ""
    made = turns.row_of_rounds(
        what, rounds, OURS, PEER, unit="s", peer_name=peer_name, ceiling=ceiling, less_is_better=True
    )
    return {**made, "noise": round(statistics.median(rounds.ratios(PEER, SECOND)), 3)}


def main() -> None:
    """Print the comparison."""
    names = [ours for ours, _, _ in PAIRS]
    parser = turns.parser(__doc__, rounds=40, seconds=24, each="each network and act, after 9 rounds")
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    args = parser.parse_args()
    torch.set_flush_denormal(True)  # the smallest numbers take ten times as long, in whichever net has more
    with malloc.retain_freed_memory():
        turns.show(rows(args), "timm", as_json=args.json)


if __name__ == "__main__":
    main()
