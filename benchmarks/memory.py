"""Memory of a training step under a limit, beside the same step without one: predicted, measured, the cost.

Every row is a fresh process, because what a process once held it may keep; with a limit and without take
turns, step by step. `limit` and `measured` are bytes: the most the process held on a CPU, the most torch
allocated on a GPU. `seconds` is the median step after the first, its ratio the median over those turns.
`--deep` is the promise: cifar_iresnet3002 at batch 64 within 4 GiB, 50 steps, one row every five. A round is
a step. Pixels are random: memory does not depend on them.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from operator import itemgetter

import torch
import turns
from torch.nn.functional import cross_entropy

from residua.nn import malloc
from residua.nn.device import place_network
from residua.nn.network import build
from residua.spec.amount import format_bytes, parse_bytes
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.memory import keep_everything, list_units, smallest_peak
from residua.spec.recipe import Optim, Plan
from residua.spec.zoo.duta2020 import cifar_iresnet
from residua.spec.zoo.he2015 import cifar_resnet
from residua.training import memory, optim

FAMILIES = {
    "cifar_iresnet": (cifar_iresnet, (110, 434, 1001, 3002)),
    "cifar_resnet": (cifar_resnet, (110, 434)),
}
NAMES = tuple(f"{family}{depth}" for family, (_, depths) in FAMILIES.items() for depth in depths)
BATCH = 64
FREE_MOST = 12 << 30
"""No step without a limit is tried that needs more bytes than this."""


def network_of(name: str) -> Arch:
    family = name.rstrip("0123456789")
    return FAMILIES[family][0](name, depth=int(name.removeprefix(family)))


def steps(name: str, limit: int, args: argparse.Namespace) -> turns.Rows:
    """One line per step of `name`, in this process."""
    chosen = Plan(args.device, "channels_last", args.precision, args.threads, memory_limit=limit)
    torch.manual_seed(0)
    network = place_network(build(network_of(name)), chosen).train()
    fitted = memory.limit_memory(network, replace(chosen, memory_limit=limit or 1 << 50), batch=args.batch)
    network.ceiling = network.ceiling if limit else 0
    optimizer = optim.make_optimizer(network, Optim())
    device = torch.device(args.device)
    with memory.retain_freed_memory(chosen):
        for step in range(args.rounds):
            start = time.perf_counter()
            images = torch.randn(args.batch, 3, 32, 32, device=device).contiguous(
                memory_format=torch.channels_last
            )
            with torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bfloat16"):
                logits = network(images)
            loss = cross_entropy(logits.float(), torch.randint(0, 10, (args.batch,), device=device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield {
                "step": step + 1,
                "loss": loss.item(),
                "seconds": time.perf_counter() - start,
                "measured": memory.peak_memory(chosen),
                "resident": malloc.resident_bytes(),
                "predicted": fitted.predicted,
                "again": fitted.recomputed_share,
                "segments": len(fitted.segments),
            }


def apart(name: str, limit: int, args: argparse.Namespace) -> turns.Rows:
    """`steps` in a fresh process, which waits until it is asked for the next."""
    options = {"batch": args.batch, "rounds": args.rounds, "threads": args.threads, "device": args.device}
    words = [f"--{option}={value}" for option, value in {**options, "precision": args.precision}.items()]
    words += [f"--limit={limit}"] if limit else []
    command = [sys.executable, __file__, f"--child={name}", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        for _ in range(args.rounds):
            print(file=child.stdin, flush=True)
            if not (line := child.stdout.readline()):
                break
            yield json.loads(line)
    if child.returncode:
        raise SystemExit(child.returncode)


def row_of(
    what: str, limit: int, lines: list[turns.Row], ours: float, peer: float, peer_name: str, unit: str
) -> turns.Row:
    """One line: what is compared, then all that `lines` say of the steps of one side."""
    peaks, seconds = [line["measured"] for line in lines], [line["seconds"] for line in later(lines)]
    compared = turns.row(what, ours, peer, peer_name=peer_name, unit=unit, less_is_better=True)
    return {
        **compared,
        "rounds": len(lines),
        "limit": limit,
        **{key: lines[-1][key] for key in ("predicted", "measured", "again", "segments")},
        "growth": peaks[-1] - peaks[0],
        "seconds": round(statistics.median(seconds), 3),
    }


def later(lines: list[turns.Row]) -> list[turns.Row]:
    """The steps after the first, where there are any."""
    return lines[1:] or lines


def limit_for(name: str, fixed: int, args: argparse.Namespace) -> int:
    """A limit that asks for much: room for twice the maps of the tightest schedule, and for holes."""
    arch = network_of(name)
    least = smallest_peak(list_units(arch, batch=args.batch, precision=args.precision)).peak
    return int(
        fixed + 12 * cost(arch).params + memory.FRAGMENTATION * 2 * least
    )  # weight, gradient, momentum


def compare(args: argparse.Namespace) -> turns.Rows:
    """Every network under a limit and, where that fits, without one: two rows, of bytes and of seconds."""
    fixed = 0 if args.device != "cpu" else memory.bytes_at_start() + (16 << 20)
    for name in args.models:
        limit = args.limit or limit_for(name, fixed, args)
        full = keep_everything(list_units(network_of(name), batch=args.batch, precision=args.precision)).peak
        sides = [apart(name, limit, args)] + ([apart(name, 0, args)] if full <= FREE_MOST else [])
        lines = list(zip(*zip(*sides, strict=True), strict=True))
        yield from rows_of(f"{name} training, batch {args.batch}", limit, full + fixed, *map(list, lines))
    if len(args.models) == len(NAMES):
        yield from map(growth, FAMILIES)


def rows_of(
    what: str, limit: int, full: int, tight: list[turns.Row], free: list[turns.Row] | None = None
) -> turns.Rows:
    """Bytes within `limit` beside those without; then seconds."""
    least = max(line["measured"] for line in tight)
    if free is None:
        peer_name = "the activations and the process without a limit, predicted"
        yield row_of(what, limit, tight, least, full, peer_name, "bytes")
        return
    most = max(line["measured"] for line in free)
    yield row_of(what, limit, tight, least, most, "the same step without a limit", "bytes")
    pairs = zip(
        map(itemgetter("seconds"), later(tight)), map(itemgetter("seconds"), later(free)), strict=True
    )
    ratios = [whole / cut for cut, whole in pairs]
    seconds = [statistics.median(line["seconds"] for line in later(side)) for side in (tight, free)]
    row = row_of(f"{what}, time of a step", 0, free, *seconds, "the same step without a limit", "s")
    low, high = turns.interval(ratios)
    yield {**row, "ratio": round(statistics.median(ratios), 3), "interval": [round(low, 3), round(high, 3)]}


def growth(family: str) -> turns.Row:
    """The power of the depth with which the maps of the tightest schedule grow, from the words."""
    make, depths = FAMILIES[family]
    sizes = [smallest_peak(list_units(make("x", depth=d), batch=BATCH)).peak for d in (depths[0], depths[-1])]
    power = math.log(sizes[1] / sizes[0]) / math.log(depths[-1] / depths[0])
    what = f"{family}: power of the depth with which the tightest maps grow"
    return turns.row(what, power, 1.0, peer_name="all maps", unit="", less_is_better=True)


def deep(args: argparse.Namespace) -> turns.Rows:
    """cifar_iresnet3002 at batch 64 within 4 GiB: a row after the first step and after every five."""
    limit, args.rounds, lines = args.limit or 4 << 30, args.deep, []
    for line in apart("cifar_iresnet3002", limit, args):
        lines.append(line)
        text = f"step {line['step']}  loss {line['loss']:.3f}  {line['seconds']:.1f} s"
        sizes = (format_bytes(line[key]) for key in ("predicted", "measured"))
        print(text, *sizes, sep="  ", file=sys.stderr, flush=True)
        if line["step"] in (1, args.deep) or line["step"] % 5 == 0:
            what = f"cifar_iresnet3002 training, batch {args.batch}, after step {line['step']}"
            yield row_of(what, limit, lines, line["measured"], limit, "the limit", "bytes")


def main() -> None:
    """Print the rows."""
    parser = turns.parser(__doc__, rounds=4)
    parser.add_argument("--models", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument(
        "--deep", nargs="?", type=int, const=50, metavar="STEPS", help="cifar_iresnet3002 within 4 GiB; 50"
    )
    parser.add_argument("--limit", type=parse_bytes, default=0, help="e.g. 4GiB")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        for _, line in zip(sys.stdin, steps(args.child, args.limit, args), strict=False):
            print(json.dumps(line), flush=True)
        return
    turns.show(deep(args) if args.deep else compare(args), as_json=args.json)


if __name__ == "__main__":
    main()
