"""Memory of a training step under a limit, beside the same step without one: predicted, measured, the cost.

Every row is a fresh process, because what a process once held it may keep; with a limit and without take
turns, step by step. `limit` and `measured` are bytes: the most the process held on a CPU, the most torch
allocated on a GPU. `seconds` is the median step after the first, `slowdown` the median over those turns.
`--deep` is the promise: cifar_iresnet3002 at batch 64 within 4 GiB, 50 steps, one row every five. Pixels are
random: memory does not depend on them.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from residua.nn import malloc
from residua.nn.device import device_name, place_network
from residua.nn.network import build
from residua.spec.amount import format_bytes, parse_bytes
from residua.spec.arch import Arch
from residua.spec.describe import cost
from residua.spec.memory import keep_everything, list_units, smallest_peak
from residua.spec.recipe import Optim, Plan
from residua.spec.zoo.duta2020 import cifar_iresnet
from residua.spec.zoo.he2015 import cifar_resnet
from residua.training import memory, optim
from residua.training.processes import world

FAMILIES = {
    "cifar_iresnet": (cifar_iresnet, (110, 434, 1001, 3002)),
    "cifar_resnet": (cifar_resnet, (110, 434)),
}
BATCH = 64
FREE_MOST = 12 << 30
"""No step without a limit is tried that needs more bytes than this."""


def network_of(name: str) -> Arch:
    family = name.rstrip("0123456789")
    return FAMILIES[family][0](name, depth=int(name.removeprefix(family)))


def steps(name: str, limit: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One line per step of `name`, in this process."""
    chosen = Plan(args.device, "channels_last", args.precision, args.threads, memory_limit=limit)
    torch.manual_seed(0)
    network = place_network(build(network_of(name)), chosen).train()
    fitted = memory.limit_memory(network, replace(chosen, memory_limit=limit or 1 << 50), batch=args.batch)
    network.ceiling = network.ceiling if limit else 0
    optimizer = optim.make_optimizer(network, Optim())
    device = torch.device(args.device)
    with memory.retain_freed_memory(chosen):
        for step in range(args.steps):
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


def apart(name: str, limit: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """`steps` in a fresh process, which waits until it is asked for the next."""
    options = {"batch": args.batch, "steps": args.steps, "threads": args.threads, "device": args.device}
    words = [f"--{option}={value}" for option, value in {**options, "precision": args.precision}.items()]
    words += [f"--limit={limit}"] if limit else []
    command = [sys.executable, __file__, f"--child={name}", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        for _ in range(args.steps):
            print(file=child.stdin, flush=True)
            yield json.loads(child.stdout.readline())
    if child.returncode:
        raise SystemExit(child.returncode)


def row_of(what: str, name: str, limit: int, found: list[dict[str, Any]]) -> dict[str, Any]:
    kept = ("predicted", "measured", "again", "segments")
    peaks = [line["measured"] for line in found]
    return {
        "what": what,
        "name": name,
        "limit": limit,
        **{key: found[-1][key] for key in kept},
        "growth": peaks[-1] - peaks[0],
        "seconds": statistics.median(line["seconds"] for line in later(found)),
    }


def later(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps after the first, where there are any."""
    return found[1:] or found


def limit_for(name: str, base: int, args: argparse.Namespace) -> int:
    """A limit that asks for much: room for twice the maps of the tightest schedule, and for holes."""
    arch = network_of(name)
    least = smallest_peak(list_units(arch, batch=args.batch, precision=args.precision)).peak
    return int(base + 12 * cost(arch).params + memory.FRAGMENTATION * 2 * least)  # weight, gradient, momentum


def compare(args: argparse.Namespace, say: Any) -> dict[str, Any]:
    """Every network under a limit and, where that fits, without one; ratio = memory without / with."""
    rows: list[dict[str, Any]] = []
    base = fixed(args)
    names = [args.only] if args.only else [f"{f}{d}" for f, (_, depths) in FAMILIES.items() for d in depths]
    for name in names:
        limit = args.limit or limit_for(name, base, args)
        full = keep_everything(list_units(network_of(name), batch=args.batch, precision=args.precision)).peak
        sides = [apart(name, limit, args)] + ([apart(name, 0, args)] if full <= FREE_MOST else [])
        found = list(zip(*zip(*sides, strict=True), strict=True))
        tight = row_of(f"{name} training, batch {args.batch}, limited", name, limit, list(found[0]))
        say(line_of(tight))
        rows.append(tight)
        if full > FREE_MOST:
            continue
        free = row_of(f"{name} training, batch {args.batch}, unlimited", name, 0, list(found[1]))
        slower = [one["seconds"] / other["seconds"] for one, other in zip(*map(later, found), strict=True)]
        free["slowdown"] = tight["slowdown"] = round(statistics.median(slower), 2)
        say(f"{line_of(free)}; the limit costs {tight['slowdown']} times the time")
        rows.append(free)
        tight |= {
            "ours": tight["measured"],
            "peer": free["measured"],
            "peer_name": "the same step, unlimited",
        }
        tight |= {"unit": "bytes", "ratio": round(free["measured"] / tight["measured"], 2)}
    slopes = {family: slope(family, args) for family in FAMILIES}
    say(", ".join(f"{family}: tightest maps grow like depth^{power}" for family, power in slopes.items()))
    return {"rows": rows, "growth_with_depth": slopes, "machine": machine(args), "versions": versions()}


def fixed(args: argparse.Namespace) -> int:
    """Bytes of a process that has not trained yet."""
    return 0 if args.device != "cpu" else memory.bytes_at_start() + (16 << 20)


def slope(family: str, args: argparse.Namespace) -> float:
    """Power of the depth with which the maps of the tightest schedule grow, from the words."""
    make, depths = FAMILIES[family]
    sizes = [
        smallest_peak(list_units(make("x", depth=d), batch=args.batch)).peak for d in (depths[0], depths[-1])
    ]
    return round(math.log(sizes[1] / sizes[0]) / math.log(depths[-1] / depths[0]), 3)


def deep(args: argparse.Namespace, say: Any) -> dict[str, Any]:
    """cifar_iresnet3002 at batch 64 within 4 GiB for 50 steps."""
    rows, limit = [], args.limit or 4 << 30
    args.steps = args.steps or 50
    for line in apart("cifar_iresnet3002", limit, args):
        shown = f"step {line['step']}  loss {line['loss']:.3f}  {line['seconds']:.1f} s"
        say(
            f"{shown}  predicted {format_bytes(line['predicted'])}  measured {format_bytes(line['measured'])}"
        )
        if line["step"] in (1, args.steps) or line["step"] % 5 == 0:
            what = f"cifar_iresnet3002, batch {args.batch}, after step {line['step']}"
            rows.append({"what": what, "limit": limit, "within": line["measured"] <= limit, **line})
    return {"rows": rows, "machine": machine(args), "versions": versions()}


def line_of(row: dict[str, Any]) -> str:
    limit = f"limit {format_bytes(row['limit'])}, " if row["limit"] else ""
    sizes = f"{limit}predicted {format_bytes(row['predicted'])}, measured {format_bytes(row['measured'])}"
    cost = f"{row['segments']} segments, {row['again']:.0%} twice, {row['seconds']:.2f} s a step"
    return f"{row['what']}: {sizes}, {cost}"


def machine(args: argparse.Namespace) -> str:
    name = device_name(torch.device(args.device))
    return f"{name}, {world.available_cores()} cores, {args.threads} threads, {args.precision}"


def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("residua", "torch")}


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--deep", action="store_true", help="cifar_iresnet3002 within 4 GiB for 50 steps")
    parser.add_argument("--only", help="one network, e.g. cifar_iresnet1001")
    parser.add_argument("--limit", type=parse_bytes, default=0, help="e.g. 4GiB")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        for _, line in zip(sys.stdin, steps(args.child, args.limit, args), strict=False):
            print(json.dumps(line), flush=True)
        return
    say = (lambda _: None) if args.json else (lambda text: print(text, flush=True))
    if not args.deep:
        args.steps = args.steps or 4
    result = deep(args, say) if args.deep else compare(args, say)
    if args.json:
        print(json.dumps(result, indent=2, allow_nan=False))


if __name__ == "__main__":
    main()
