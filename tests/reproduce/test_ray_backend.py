"""A grid on a cluster of two machines, one of which dies; and one that is stopped before it begins."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grid_runs import ITEM

from residua.jobs.run_pool import PoolEntry
from residua.reproduce.grid import Setting, entries
from residua.runs.run import Run
from residua.training.events import EpochRow

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

EPOCHS = 12
"""Of each run: seconds, so that the machine dies in the middle of one."""
GIVEN_UP = 360.0
"""Seconds after which the grid is stopped and the test fails; a quiet machine takes a twelfth."""
DEAD_AFTER = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}
"""How often Ray asks whether a machine lives: its own settings take most of a minute to miss one."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    head = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={**head, "_system_config": DEAD_AFTER})
    yield made
    ray.shutdown()
    made.shutdown()


def wanted(folder: Path) -> list[PoolEntry]:
    found = entries(ITEM, Setting("digits", True, "smoke"), folder / "runs", seeds=2).values()
    return [
        replace(e, recipe=replace(e.recipe, budget=replace(e.recipe.budget, epochs=EPOCHS))) for e in found
    ]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "nobody answers at 127.0.0.1:1: begin one"),
        ("rubbish", "give auto, local, or host:port"),
    ],
)
def test_where_there_is_no_cluster_one_line_says_so(address: str, said: str) -> None:
    from residua.reproduce.ray_backend import Cluster

    with pytest.raises(ValueError, match=said):
        Cluster(address, threads=1)


@pytest.mark.timeout(480)  # machines take long to start on a busy one
def test_a_lost_machine_does_not_lose_the_grid(tmp_path: Path, cluster: Any) -> None:
    from residua.reproduce.ray_backend import Cluster

    second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    cluster.wait_for_nodes(timeout=120)
    grid = wanted(tmp_path)
    reached: dict[str, int] = {}
    died_in: list[dict[str, int]] = []

    def listen(name: str, event: object) -> None:
        assert isinstance(event, EpochRow)
        reached[name] = event.values["epoch"]
        under_way = {each: epoch for each, epoch in reached.items() if epoch < EPOCHS}
        if len(under_way) == 2 and not died_in:  # a core each: one of the two is on the second machine
            cluster.remove_node(second, allow_graceful=False)
            died_in.append(under_way)

    with Cluster(cluster.address, threads=1) as trainer:
        started = time.monotonic()
        trainer.train(grid, listen=listen, stop=lambda: time.monotonic() - started > GIVEN_UP)
        (alive,) = (node for node in ray.nodes() if node["Alive"])
    assert alive["Resources"]["CPU"] == 1
    assert died_in
    runs = [Run(entry.path) for entry in grid]
    assert len(runs) == 4
    assert all(run.finished for run in runs)
    for run in runs:
        assert [row["epoch"] for row in run.metrics] == list(range(1, EPOCHS + 1))
    assert not (tmp_path / "runs" / ".stop").exists()
    again = wanted(tmp_path / "again")
    with Cluster(cluster.address, threads=1) as trainer:
        trainer.train(again, listen=listen, stop=lambda: True)
    assert not any(Run(entry.path).finished for entry in again)
