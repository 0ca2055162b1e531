"""TensorBoard and trackio over the first runs of the lab's benchmark, in the same Chromium.

As a script it runs in the environment of the peers, and writes their files from the metrics of the runs:
`python lab_peers.py NAME DATA OUT RUNS`. They get training and test error of every row.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PEERS = ("TensorBoard", "trackio")
METRICS = ("train_error", "test_error")
PORTS = {"TensorBoard": 6106, "trackio": 7906}
CHARTS = {
    "TensorBoard": "document.querySelector('scalar-card-data-table')?.textContent.includes('run-')",
    "trackio": "document.querySelectorAll('canvas').length >= 1",
}
"""JavaScript: whether the page shows a chart."""


def rows_of(run: Path) -> Iterator[dict[str, float]]:
    """The metrics of a run."""
    with (run / "metrics.jsonl").open() as file:
        yield from map(json.loads, file)


def write_tensorboard(runs: list[Path], out: Path) -> None:
    """Event files, one folder for each run."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for run in runs:
        writer = EventFileWriter(str(out / run.name), max_queue_size=10_000, flush_secs=60)
        for row in rows_of(run):
            values = [Summary.Value(tag=name, simple_value=row[name]) for name in METRICS]
            writer.add_event(
                Event(step=int(row["step"]), wall_time=row["step"], summary=Summary(value=values))
            )
        writer.close()


def write_trackio(runs: list[Path], out: Path) -> None:
    """The database of a project, through trackio's own bulk writer."""
    os.environ["TRACKIO_DIR"] = str(out)
    from trackio.sqlite_storage import SQLiteStorage

    for run in runs:
        rows = list(rows_of(run))
        for start in range(0, len(rows), 10_000):
            part = rows[start : start + 10_000]
            metrics = [{name: row[name] for name in METRICS} for row in part]
            SQLiteStorage.bulk_log("lab", run.name, metrics, steps=[int(row["step"]) for row in part])


def measure(
    peer: str, environment: Path, data: Path, folder: Path, driver: Any, *, runs: int
) -> dict[str, float]:
    """Seconds until the page of a peer shows its charts, and megabytes of its server and tab."""
    from page_timing import Chromium, memory_of_group, server

    out = folder / peer
    out.mkdir(exist_ok=True)
    python = environment / "bin" / "python"
    subprocess.run([python, __file__, peer, data, out, str(runs)], check=True)
    port = str(PORTS[peer])
    words = {
        "TensorBoard": [
            environment / "bin" / "tensorboard",
            "--logdir",
            out,
            "--port",
            port,
            "--load_fast=false",
        ],
        "trackio": [
            python,
            "-c",
            f"import trackio; trackio.show('lab', server_port={port}, open_browser=False)",
        ],
    }[peer]
    variables = {"TRACKIO_DIR": str(out), "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_SERVER_PORT": port}
    with server(
        [str(word) for word in words], variables, lambda text: f":{port}" in text, folder / f"{peer}.log"
    ) as process:
        tab = Chromium(driver)
        start = time.perf_counter()
        tab.page.goto(f"http://127.0.0.1:{port}/")
        tab.until(CHARTS[peer])
        values = {
            "overlay of 50 runs": time.perf_counter() - start,
            "memory of the tab": tab.tab_memory(),
            "memory of the server": memory_of_group(process.pid),
        }
        tab.browser.close()
    return values


WRITERS = {"TensorBoard": write_tensorboard, "trackio": write_trackio}


if __name__ == "__main__":
    peer, data, target, count = sys.argv[1:]
    WRITERS[peer]([Path(data) / f"run-{number:04}" for number in range(int(count))], Path(target))
