"""The lab in Chromium over 1,000 runs with 100,000 points each; TensorBoard and trackio with 50 of them.

    python benchmarks/lab.py --data build/lab-data [--runs 1000] [--points 100000] [--peers FOLDER] [--json]

Each run has a row of metrics for each point: epoch, step, training and test error. FOLDER is a virtual
environment with tensorboard and trackio, as they would be installed beside residua; without it the lab is
measured alone. The runs are written where they are not there yet: about 9 GB for 1,000, and 3 GB of cache.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import lab_peers
import numpy as np
import turns
from page_timing import Chromium, memory_of_group, server

from residua.lab.columns import METRICS
from residua.recipes import recipe
from residua.runs.run import RECIPE, create
from residua.spec import zoo

CURVES = 20
"""Different curves; the others are copies of them, which no reader can know."""
OVERLAY = 50
"""Runs that are drawn together, and runs that the peers get."""
ZOOMS = 12
AIMS = {
    "table, first start": 1.0,
    "table, later start": 1.0,
    "overlay of 50 runs": 1.5,
    "zoom, median": 0.1,
    "zoom, slowest": 0.1,
    "delay of a live run, slowest": 1.0,
    "memory of the tab": 500.0,
    "memory of the server": 300.0,
    "memory of the server while it reads": 300.0,
}
"""Seconds and megabytes that we set ourselves."""
DRAWN = "Number(document.querySelector('.plot')?.dataset.drawn ?? 0)"
UNTIL_DRAWN = (
    "() => new Promise((end) => {{ const before = {drawn}; const start = performance.now();"
    " const look = () => {drawn} > before ? requestAnimationFrame(() => end(performance.now() - start))"
    " : requestAnimationFrame(look); {act}; look() }})"
)
"""JavaScript: milliseconds from an action to the frame after the curves are drawn."""
PRESS = (
    "document.querySelector('.surface').dispatchEvent("
    "new KeyboardEvent('keydown', {{key: '{}', bubbles: true}}))"
)


def write_runs(folder: Path, runs: int, points: int) -> None:
    """Write runs whose metrics look like training, with a spike in each: one run, copied with other seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    model = folder / "run-0000"
    for number in range(runs):
        path = folder / f"run-{number:04}"
        if (path / "finished.json").exists():
            continue
        if number == 0:
            first = recipe("quick.small", zoo.arch("cifar_resnet20"), "digits")
            identity = {"classes": ["a", "b"], "train": 50_000, "test": 10_000, "digest": "0" * 64}
            create(path, first, identity=identity, force=True)
        else:
            shutil.copytree(
                model, path, ignore=shutil.ignore_patterns(METRICS, "finished.json"), dirs_exist_ok=True
            )
            changed = json.loads((model / RECIPE).read_text()) | {"seed": number}
            (path / RECIPE).write_text(json.dumps(changed))
        if number < CURVES:
            write_curves(path / METRICS, points, rng)
        else:
            shutil.copyfile(folder / f"run-{number % CURVES:04}" / METRICS, path / METRICS)
        (path / "finished.json").write_text("{}")


def write_curves(file: Path, points: int, rng: np.random.Generator) -> None:
    """A file of metrics with one row for each point."""
    step = np.arange(1, points + 1)
    noise = rng.normal(0, 0.5, points).cumsum() / 400 + rng.normal(0, 0.4, points)
    test = 6 + 4 * rng.random() + 80 * np.exp(-step / (points / 8)) + noise
    test[rng.integers(points)] = 99.0
    train = test - 3 + rng.normal(0, 0.3, points)
    rows = zip(step.tolist(), np.clip(train, 0, 100).round(4), np.clip(test, 0, 100).round(4), strict=True)
    with file.open("w") as lines:
        for at, one, other in rows:
            row = {"epoch": at // 100, "step": at, "train_error": float(one), "test_error": float(other)}
            lines.write(json.dumps(row) + "\n")


def measure_lab(data: Path, cache: Path, driver: Any, *, runs: int) -> dict[str, float]:
    """Seconds and megabytes of the lab: first start, which reads all metrics, and a second one."""
    values: dict[str, float] = {}
    words = [sys.executable, "-m", "residua", "lab", str(data), "--port", "0"]
    for start in ("first start", "later start"):
        log = cache / f"{start}.log"
        with server(words, {"XDG_CACHE_HOME": str(cache)}, lambda text: "lab  " in text, log) as process:
            address = next(
                line.split()[-1] for line in log.read_text().splitlines() if line.startswith("lab ")
            )
            tab = Chromium(driver)
            began = time.perf_counter()
            tab.page.goto(address)
            tab.until("document.querySelectorAll('tbody tr').length > 0")
            values[f"table, {start}"] = time.perf_counter() - began
            tab.until(
                f"document.querySelector('[role=status].quiet').textContent.startsWith('{runs:,} runs')"
            )
            values[f"all runs listed, {start}"] = time.perf_counter() - began
            tab.until("!document.querySelector('.view .quiet').textContent.includes('reading')")
            values[f"all scores, {start}"] = time.perf_counter() - began
            if start == "later start":
                values |= measure_curves(tab, address, data)
                values["memory of the tab"] = tab.tab_memory()
                values["memory of the server"] = memory_of_group(process.pid)
            else:
                values["memory of the server while it reads"] = memory_of_group(process.pid)
            tab.browser.close()
    return values


def measure_curves(tab: Chromium, address: str, data: Path) -> dict[str, float]:
    """Overlay, zoom and the delay of a live run."""
    names = "&".join(f"run=run-{number:04}" for number in range(OVERLAY))
    values: dict[str, float] = {}

    def act(code: str) -> float:
        return float(tab.page.evaluate(UNTIL_DRAWN.format(drawn=DRAWN, act=code))) / 1000

    values["overlay of 50 runs"] = act(f"location.hash = '#/curves?{names}&axis=step'")
    zooms = [act(PRESS.format("+" if number % 4 < 3 else "0")) for number in range(ZOOMS)]
    values["zoom, median"], values["zoom, slowest"] = statistics.median(zooms), max(zooms)
    delays = []
    metrics = data / "run-0000" / METRICS
    rows, size = metrics.read_text().count("\n"), metrics.stat().st_size
    for number in range(6):
        before = tab.page.evaluate(DRAWN)
        row = {"epoch": rows // 100, "step": rows + 1 + number, "train_error": 5.0, "test_error": 6.0}
        with metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")
        delays.append(tab.until(f"{DRAWN} > {before}"))
        time.sleep(0.7)
    os.truncate(metrics, size)  # the next measurement finds the runs as they were
    values["delay of a live run, slowest"] = max(delays[1:])  # from the first row on it is being written
    return values


def rows(args: argparse.Namespace) -> turns.Rows:
    """What the lab needs for all runs, beside what each peer needs for 50."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
    from playwright.sync_api import sync_playwright

    write_runs(args.data, args.runs, args.points)
    cache = args.data.parent / f"{args.data.name}-cache"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    with sync_playwright() as driver:
        ours = measure_lab(args.data, cache, driver, runs=args.runs)
        for what, value in ours.items():
            peer_name, peer = ("our aim", AIMS[what]) if what in AIMS else ("itself", value)
            yield row_of(what, value, peer_name, peer)
        for name in lab_peers.PEERS if args.peers else ():
            overlay = min(OVERLAY, args.runs)
            try:
                theirs = lab_peers.measure(name, args.peers, args.data, cache, driver, runs=overlay)
            except PlaywrightTimeoutError:
                print(f"{name} shows no chart of {overlay} runs within 15 minutes", file=sys.stderr)
                continue
            for what, value in theirs.items():
                yield row_of(what, ours[what], name, value)


def row_of(what: str, ours: float, peer_name: str, peer: float) -> turns.Row:
    """One line; fewer seconds and megabytes are better."""
    unit = "MB" if "memory" in what else "s"
    return turns.row(what, ours, peer, peer_name=peer_name, unit=unit, less_is_better=True)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--peers", type=Path, help="virtual environment with tensorboard and trackio")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    turns.show(rows(args), as_json=args.json)


if __name__ == "__main__":
    main()
