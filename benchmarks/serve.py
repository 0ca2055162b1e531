"""`residua serve` beside other servers of the same ONNX file, at capacity, with one client, and overloaded.

Each server is a process of its own and takes turns with the others; the load comes from this process, on the
same machine. Rows of ours: throughput at capacity as a share of what the engine computes offline in batches
of 16, the median latency of one client beyond that of the engine, and at four times the capacity the times of
refused and accepted requests, and the growth of memory. Rows beside others: throughput, and accepted requests
that got their answer within a second, at capacity and overloaded.

A quick look: `--network resnet18 --seconds 5 --overload 10 --rounds 1`. LitServe takes part where this Python
has it, or the one that `--litserve` names, which needs litserve, onnxruntime and pillow.
"""

import argparse
import asyncio
import importlib.util
import io
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import turns
from http_load import FAILED, Outcome, closed_loop, open_loop, percentile, seconds_of
from PIL import Image

HERE = Path(__file__).parent
OURS, PLAIN, LITSERVE = "residua serve", "FastAPI and run_in_threadpool", "LitServe"
BATCH = 16
FACTOR = 4
"""Overload: times the capacity."""
IN_TIME = 1.0
"""Seconds after which nobody waits for an answer any more."""
START_SECONDS = 120.0
MIB = 1 << 20


def jpegs(count: int, side: int) -> list[bytes]:
    """Photographs: smooth with some noise."""
    random, files = np.random.default_rng(0), []
    for _ in range(count):
        colours = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize((side, side))
        noise = random.normal(0, 9, (side, side, 1))
        stream = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(colours) + noise, 0, 255).astype(np.uint8)).save(stream, "JPEG")
        files.append(stream.getvalue())
    return files


def write_network(path: Path, name: str) -> None:
    """A network of residua with random weights, as an ONNX file."""
    import residua
    from residua.predict.export.onnx import onnx_bytes

    path.write_bytes(onnx_bytes(residua.create_model(name).eval()))


def engine_speed(path: Path, batch: int, seconds: float) -> float:
    """Images a second that the engine computes offline."""
    from residua.predict.exported import load_exported

    classifier = load_exported(path)
    side, channels = classifier.preprocess.size, classifier.preprocess.channels
    views = np.random.default_rng(0).integers(0, 256, (batch, channels, side, side), np.uint8)
    classifier.probabilities(views)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        classifier.probabilities(views)
        count += batch
    return count / (time.perf_counter() - start)


@dataclass(frozen=True)
class Running:
    """A server that is ready."""

    port: int
    pid: int

    def memory(self) -> int:
        """Bytes that it and its children hold."""
        family = [self.pid, *turns_children(self.pid)]
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family)
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def turns_children(pid: int) -> list[int]:
    """Processes that a process started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    children = [int(word) for word in path.read_text().split()]
    return children + [grandchild for child in children for grandchild in turns_children(child)]


@contextmanager
def running(words: Sequence[str], body: bytes) -> Iterator[Running]:
    """A server, from the moment when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*words, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        limit = time.monotonic() + START_SECONDS
        while not seconds_of(asyncio.run(closed_loop(port, [body], clients=1, seconds=0.01)), 200):
            if process.poll() is not None or time.monotonic() > limit:
                raise SystemExit(f"{' '.join(words)} does not serve")
            time.sleep(0.1)
        yield Running(port, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):  # workers of LitServe run on
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def commands(path: Path, litserve: str) -> dict[str, list[str]]:
    """Name of each server -> command, to which the port is added."""
    plain, batching = (str(HERE / name) for name in ("serve_peers.py", "serve_litserve.py"))
    found = {
        OURS: [sys.executable, "-m", "residua", "serve", str(path), "--port"],
        PLAIN: [sys.executable, plain, str(path)],
    }
    if litserve or importlib.util.find_spec("litserve"):
        found[LITSERVE] = [litserve or sys.executable, batching, str(path)]
    return found


@dataclass(frozen=True)
class Load:
    """What is asked of each server."""

    bodies: list[bytes]
    clients: int
    seconds: float
    overload: float


@dataclass(frozen=True)
class Measured:
    """What one server did in one round; times in seconds."""

    capacity: float
    capacity_p99: float
    single_p50: float
    overload_in_time: float
    accepted_p99: float
    refused_p99: float
    failed: int
    growth: float


def measure(words: Sequence[str], load: Load, rate: float) -> Measured:
    """All three loads; `rate` is that of the overload, 0 for FACTOR times the capacity."""
    with running(words, load.bodies[0]) as server:
        port, bodies = server.port, load.bodies
        asyncio.run(closed_loop(port, bodies, clients=2, seconds=min(3, load.seconds)))  # warm
        single = asyncio.run(closed_loop(port, bodies, clients=1, seconds=load.seconds))
        full = asyncio.run(closed_loop(port, bodies, clients=load.clients, seconds=load.seconds))
        capacity = len(seconds_of(full, 200)) / load.seconds
        before = server.memory()
        rate = rate or FACTOR * capacity
        over: list[Outcome] = asyncio.run(open_loop(port, bodies, rate=rate, seconds=load.overload))
        growth = server.memory() - before
    accepted = seconds_of(over, 200)
    return Measured(
        capacity,
        percentile(seconds_of(full, 200), 0.99),
        statistics.median(seconds_of(single, 200)),
        sum(each <= IN_TIME for each in accepted) / load.overload,
        percentile(accepted, 0.99),
        percentile(seconds_of(over, 429), 0.99),
        len(seconds_of(over, FAILED, 500, 503)),
        growth,
    )


def median(rounds: Sequence[Measured], name: str) -> float:
    return statistics.median(getattr(each, name) for each in rounds)


def compare(path: Path, args: argparse.Namespace) -> turns.Rows:
    """Rows of one network."""
    load = Load(jpegs(64, args.side), args.clients, args.seconds, args.overload)
    sides = commands(path, args.litserve)
    rounds: dict[str, list[Measured]] = {name: [] for name in sides}
    offline, latency = [], []
    rate = 0.0
    for number in range(args.rounds):
        offline.append(engine_speed(path, BATCH, args.seconds))
        latency.append(1 / engine_speed(path, 1, args.seconds))
        for name in turns.order(list(sides), number):
            measured = measure(sides[name], load, rate)
            rate = rate or FACTOR * measured.capacity  # the same for all
            rounds[name].append(measured)
            print(f"round {number + 1} of {args.rounds}: {name}: {measured}", file=sys.stderr, flush=True)
    yield from own_rows(args.network, rounds[OURS], offline, latency)
    yield from rows_beside(args.network, rounds)


def own_rows(
    network: str, ours: Sequence[Measured], offline: Sequence[float], latency: Sequence[float]
) -> turns.Rows:
    capacity, engine = median(ours, "capacity"), statistics.median(offline)
    yield turns.row(
        f"{network}, at capacity", capacity, engine, peer_name="its engine offline, batch 16", unit="images/s"
    )

    def within(what: str, value: float, goal: float, unit: str) -> turns.Row:
        return turns.row(
            f"{network}, {what}", value, goal, peer_name="the goal", unit=unit, less_is_better=True
        )

    beyond = 1000 * (median(ours, "single_p50") - statistics.median(latency))
    yield within("one client, p50 beyond the engine", max(0.01, beyond), 4.0, "ms")
    over = f"{FACTOR} times its capacity"
    yield within(f"{over}, refused p99", 1000 * median(ours, "refused_p99"), 50.0, "ms")
    yield within(f"{over}, accepted p99", median(ours, "accepted_p99"), 1.0, "s")
    growth = max(0.1, max(each.growth for each in ours) / MIB)
    yield within(f"{over}, growth of memory", growth, 64.0, "MiB")


def rows_beside(network: str, rounds: Mapping[str, Sequence[Measured]]) -> turns.Rows:
    ours = rounds[OURS]
    for name, theirs in rounds.items():
        if name == OURS:
            continue
        for what, field in (
            ("at capacity", "capacity"),
            ("overloaded, answers within 1 s", "overload_in_time"),
        ):
            yield turns.row(
                f"{network}, {what}",
                median(ours, field),
                max(0.01, median(theirs, field)),
                peer_name=name,
                unit="images/s",
            )
        for what, field in (("at capacity, p99", "capacity_p99"), ("overloaded, p99", "accepted_p99")):
            yield turns.row(
                f"{network}, {what}",
                median(ours, field),
                median(theirs, field),
                peer_name=name,
                unit="s",
                less_is_better=True,
            )


def main() -> None:
    options = turns.parser(__doc__, rounds=3)
    options.add_argument("--network", default="resnet50")
    options.add_argument("--seconds", type=float, default=15.0, help="of each load; by default 15")
    options.add_argument("--overload", type=float, default=60.0, help="seconds of overload; by default 60")
    options.add_argument("--clients", type=int, default=12, help="at capacity; by default 12")
    options.add_argument("--side", type=int, default=256, help="pixels of the photographs; by default 256")
    options.add_argument("--litserve", default="", metavar="PYTHON", help="a Python that has litserve")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{args.network}.onnx"
        write_network(path, args.network)
        turns.show(compare(path, args), "onnxruntime", "fastapi", "uvicorn", as_json=args.json)


if __name__ == "__main__":
    main()
