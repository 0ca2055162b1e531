"""What benchmarks share: their options, sides that take turns, and the one form of a row.

Sides take turns, in an order that rotates, so that a slow minute of the machine is slow for all. Turns of the
first minute are not counted: files come into memory, and the processor's clock settles. A turn ends when the
processes that it started have ended; else it is an error, because they would compute in the turns of others.
A ratio is the median over rounds of what one round measured, with the 95 % interval of that median.
"""

import argparse
import contextlib
import datetime
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from residua.nn.processor import has_bfloat16_units
from residua.training.processes import world

LEAST = 9
"""Rounds after which a comparison may end because its time is over."""
WARM_SECONDS = 60.0
INTERRUPTED = 130
"""Exit code after Ctrl-C, as of a shell."""
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "_inductor/compile_worker")
"""Processes that stay and wait: the command lines of those that Python and torch start once."""
Row = dict[str, Any]
Rows = Iterator[Row]
Feed = Callable[[], Iterator[int]]
"""Begins to load, and says how many items are in each batch."""


def parser(
    description: str | None, *, rounds: int, seconds: float = 0.0, each: str = ""
) -> argparse.ArgumentParser:
    """The options of every benchmark; those that fill their time take `seconds` of `each`, and warm up."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.add_argument("--rounds", type=int, default=rounds, help=f"by default {rounds}")
    if each:
        made.add_argument("--seconds", type=float, default=seconds, help=f"of {each}; by default {seconds:g}")
        made.add_argument(
            "--warm", type=float, default=WARM_SECONDS, help="seconds that do not count; by default 60"
        )
    return made


@dataclass(frozen=True)
class Rounds:
    """What all sides measured in the rounds that all of them finished."""

    values: dict[str, list[float]]
    interrupted: bool = False
    """Whether Ctrl-C ended them."""

    def median(self, side: str) -> float:
        return statistics.median(self.values[side])

    def ratios(self, over: str, under: str) -> list[float]:
        """What `over` measured divided by what `under` measured, round by round."""
        pairs = zip(self.values[over], self.values[under], strict=True)
        return [above / below for above, below in pairs]

    def stop(self) -> None:
        """Pass Ctrl-C on, after the rows so far."""
        if self.interrupted:
            raise KeyboardInterrupt


@dataclass
class Session:
    """One run of a benchmark: how much it measures, and how much of its first minute is over."""

    rounds: int
    seconds: float
    """Of each turn, or of all turns of one comparison."""
    warm: float
    """Seconds of turns that are not counted yet."""
    say: Callable[[str], None] = field(default=lambda text: print(text, file=sys.stderr, flush=True))

    @staticmethod
    def of(args: argparse.Namespace) -> "Session":
        return Session(args.rounds, args.seconds, args.warm)

    def take_turns(
        self, sides: Mapping[str, Callable[[], float]], *, limit: float = math.inf, unit: str = ""
    ) -> Rounds:
        """What each side measures in `rounds`, or in fewer (LEAST) if they take longer than `limit` seconds.

        Rounds of the first minute of the session, and one round of each later comparison, do not count.
        Ctrl-C ends it after the last whole round; KeyboardInterrupt if there is none.
        """
        values: dict[str, list[float]] = {name: [] for name in sides}
        names, interrupted = list(sides), False
        try:
            began, warmed = time.perf_counter(), False
            while not warmed or time.perf_counter() - began < self.warm:
                for name in names:
                    _turn(name, sides[name])
                warmed = True
            self.warm, began = 0.0, time.perf_counter()
            for number in range(self.rounds):
                if number >= LEAST and time.perf_counter() - began > limit:
                    break
                measured = {name: _turn(name, sides[name]) for name in order(names, number)}
                for name in names:
                    values[name].append(measured[name])
                speeds = ", ".join(f"{name}: {measured[name]:.4g}" for name in names)
                self.say(f"round {number + 1} of {self.rounds}: {speeds} {unit}".rstrip())
        except KeyboardInterrupt:
            if not values[names[0]]:
                raise
            interrupted = True
        return Rounds(values, interrupted)


def order(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: each is followed by its reverse, then the next one starts with another side."""
    start = number // 2 % len(names)
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if number % 2 else turned


def _turn(name: str, measure: Callable[[], float]) -> float:
    """What a side measures; RuntimeError if a process that it started lives on."""
    before = workers()
    if before:
        raise RuntimeError(f"before the turn of {name}, processes of others run: {before}")
    measured = measure()
    if left := workers():
        raise RuntimeError(f"{name}: processes live on in the turns of others: {left}")
    return measured


def workers() -> list[int]:
    """Processes that this one or its children started and that have not ended, but for HELPERS."""
    proc = Path("/proc")
    if not (proc / "self/stat").exists():  # no Linux
        return [child.pid for child in multiprocessing.active_children() if child.pid]
    multiprocessing.active_children()  # reaps those that ended
    parents: dict[int, int] = {}
    for entry in proc.iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            if entry.name.isdigit():
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    parents[int(entry.name)] = int(parent)
    family = {multiprocessing.current_process().pid}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(pid for pid in family - {multiprocessing.current_process().pid} if not _is_helper(pid))


def _is_helper(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return True
    return any(name in words for name in HELPERS)


def per_second(feed: Feed, seconds: float) -> float:
    """Items per second over at least `seconds`, by workers that live no longer than that.

    Workers that stayed would go on decoding through the other side's turn, and begin their own with full
    queues. The first two batches of each are not counted.
    """
    with contextlib.closing(feed()) as batches:
        for _ in range(2 * world.available_cores()):
            next(batches)
        start, count = time.perf_counter(), 0
        while (lasted := time.perf_counter() - start) < seconds or not count:
            count += next(batches)
    return count / lasted


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
) -> Row:
    """One line of a result that was measured once; its ratio is above 1 when ours is better."""
    ratio = peer / ours if less_is_better else ours / peer
    numbers = {"ours": round(ours, digits), "peer": round(peer, digits)}
    return {"what": what, **numbers, "peer_name": peer_name, "unit": unit, "ratio": round(ratio, 3)}


def row_of_rounds(
    what: str,
    rounds: Rounds,
    ours: str,
    peer: str,
    *,
    unit: str,
    peer_name: str = "",
    ceiling: str = "",
    less_is_better: bool = False,
    digits: int = 3,
    share: float = 1.0,
) -> Row:
    """One line of a result: medians, the median ratio of a round, its interval, and what part of a ceiling.

    Args:
        what: What is measured, and of ours how.
        rounds: What all sides measured.
        ours: Our side.
        peer: The other side.
        unit: Unit of both.
        peer_name: What the other side is; its name by default.
        ceiling: The side that does only what nobody can leave out.
        less_is_better: Whether these are seconds or bytes.
        digits: Digits after the point.
        share: What numbers are multiplied with, e.g. one over the number of cores.
    """
    over, under = (peer, ours) if less_is_better else (ours, peer)
    ratios = rounds.ratios(over, under)
    numbers = (share * rounds.median(side) for side in (ours, peer))
    made = row(what, *numbers, peer_name=peer_name or peer, unit=unit, digits=digits)
    made["ratio"] = round(statistics.median(ratios), 3)
    made["interval"] = [round(end, 3) for end in interval(ratios)]
    made["rounds"] = len(ratios)
    if ceiling:
        over, under = (ceiling, ours) if less_is_better else (ours, ceiling)
        made["ceiling"] = round(share * rounds.median(ceiling), digits)
        made["of_ceiling"] = round(statistics.median(rounds.ratios(over, under)), 3)
    return made


def instructions() -> str:
    """The instruction set that torch uses on this processor, and whether bfloat16 has units there."""
    units = {True: "with bfloat16 units", False: "without bfloat16 units", None: "bfloat16 units unknown"}
    return f"{torch.backends.cpu.get_cpu_capability()} {units[has_bfloat16_units()]}"


def result(rows: Iterable[Row], *packages: str) -> dict[str, Any]:
    """`rows`, each with its instruction set and date; the machine; versions of torch, residua, `packages`."""
    machine = f"{world.available_cores()} cores, {instructions()}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        machine = f"{torch.cuda.get_device_name()}, {world.available_cores()} cores"
    versions = {name: metadata.version(name) for name in ("residua", "torch", *packages)}
    same = {"instructions": instructions(), "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"}
    return {"rows": [{**one, **same} for one in rows], "machine": machine, "versions": versions}


def show(rows: Rows, *packages: str, as_json: bool) -> None:
    """Print each row when it is measured, or all as one JSON document; after Ctrl-C those so far.

    Then the exit code is INTERRUPTED.
    """
    done: list[Row] = []
    code = 0
    try:
        for one in rows:
            done.append(one)
            if not as_json:
                print(line(one), flush=True)
    except KeyboardInterrupt:
        code = INTERRUPTED
    whole = result(done, *packages)
    print(json.dumps(whole, indent=2, allow_nan=False) if as_json else f"on {whole['machine']}", flush=True)
    if code:
        raise SystemExit(code)


def line(row: Row) -> str:
    """A row in words."""
    numbers = f"{number(row['ours'])} against {number(row['peer'])} {row['unit']} of {row['peer_name']}"
    ratio = f"ratio {row['ratio']:g}"
    if "interval" in row:
        low, high = row["interval"]
        ratio += f" ({low:g} to {high:g}, {row['rounds']} rounds)"
    if "noise" in row:
        ratio += f"; two of the peer: {row['noise']:g}"
    if "of_ceiling" in row:
        ratio += f"; {row['of_ceiling']:.0%} of {number(row['ceiling'])}, its convolutions alone"
    return f"{row['what']}: {numbers}, {ratio}"


def number(value: float) -> str:
    """`value` as people write it: 0.161, 83.2 or 1,058,172,928."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
