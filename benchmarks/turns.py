"""What benchmarks share: sides that take turns, and the one form of a result."""

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import torch

from residua.nn.processor import has_bfloat16_units
from residua.training.processes import world

LEAST, MOST = 9, 40
"""Rounds of a comparison: as many as its seconds allow, within these."""
WARM_SECONDS = 60.0
"""Turns that begin earlier are not counted: files come into memory, and the processor's clock settles."""
Feed = Callable[[], Iterator[int]]
"""Begins to load, and says how many items are in each batch."""


def per_second(feed: Feed, seconds: float) -> float:
    """Items per second over at least `seconds`, by workers that live no longer than that.

    Workers that stayed would go on decoding through the other side's turn, and begin their own with full
    queues. The first two batches of each are not counted.
    """
    batches = feed()
    for _ in range(2 * world.available_cores()):
        next(batches)
    start, count = time.perf_counter(), 0
    while (lasted := time.perf_counter() - start) < seconds:
        count += next(batches)
    return count / lasted


def medians(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Each side's median over `rounds`, in which all sides take turns, in an order that rotates.

    Rounds of the first WARM_SECONDS are not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_SECONDS:
        for side in sides.values():
            side()
    names = list(sides)
    for number in range(rounds):
        start = number % len(names)
        for name in (*names[start:], *names[:start]):
            found[name].append(sides[name]())
    return {name: statistics.median(values) for name, values in found.items()}


def paired(*sides: Callable[[], float], seconds: float) -> list[tuple[float, ...]]:
    """What all sides measure, round by round; the order turns round, so that drift favours nobody."""
    found: list[tuple[float, ...]] = []
    began = time.perf_counter()
    while len(found) < LEAST or (len(found) < MOST and time.perf_counter() - began < seconds):
        start = len(found) % len(sides)
        order = [*range(start, len(sides)), *range(start)]
        measured = {side: sides[side]() for side in (order if len(found) % 2 else reversed(order))}
        found.append(tuple(measured[side] for side in range(len(sides))))
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median of what `values` are drawn from lies, with 95 % confidence, whatever its distribution.

    The k-th smallest and k-th largest value, with the most k that a sign test allows; all of them below 6.
    """
    ranked, count, chance, most = sorted(values), len(values), 0.0, 0
    while chance + math.comb(count, most) / 2**count <= 0.025:
        chance += math.comb(count, most) / 2**count
        most += 1
    return ranked[max(most, 1) - 1], ranked[-max(most, 1)]


def row(
    what: str,
    ours: float,
    peer: float,
    *,
    peer_name: str,
    unit: str,
    less_is_better: bool = False,
    digits: int = 3,
) -> dict[str, Any]:
    """One line of a result; its ratio is above 1 when ours is better."""
    ratio = peer / ours if less_is_better else ours / peer
    numbers = {"ours": round(ours, digits), "peer": round(peer, digits)}
    return {"what": what, **numbers, "peer_name": peer_name, "unit": unit, "ratio": round(ratio, 3)}


def result(rows: Sequence[dict[str, Any]], *packages: str) -> dict[str, Any]:
    """`rows`, each with its instruction set; the machine; versions of torch, residua and `packages`."""
    machine = f"{world.available_cores()} cores, {instructions()}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        machine = f"{torch.cuda.get_device_name()}, {world.available_cores()} cores"
    versions = {name: metadata.version(name) for name in ("residua", "torch", *packages)}
    said = [{**one, "instructions": instructions()} for one in rows]
    return {"rows": said, "machine": machine, "versions": versions}


def instructions() -> str:
    """The instruction set that torch uses on this processor, and whether bfloat16 has units there."""
    units = {True: "with bfloat16 units", False: "without bfloat16 units", None: "bfloat16 units unknown"}
    return f"{torch.backends.cpu.get_cpu_capability()} {units[has_bfloat16_units()]}"


def show(found: dict[str, Any], as_json: bool) -> None:
    """Print a result, as one JSON document or in words."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for one in found["rows"]:
        print(line(one))
    print(f"on {found['machine']}")


def line(row: dict[str, Any]) -> str:
    """A row in words."""
    numbers = f"{row['ours']:g} against {row['peer']:g} {row['unit']} of {row['peer_name']}"
    ratio = f"ratio {row['ratio']:g}"
    if "interval" in row:
        low, high = row["interval"]
        ratio += f" ({low:g} to {high:g}); two of the peer: {row['noise']:g}"
    if "of_ceiling" in row:
        ratio += f"; {row['of_ceiling']:.0%} of {row['ceiling']:g}, its convolutions alone"
    return f"{row['what']}: {numbers}, {ratio}"
