"""A grid on a Ray cluster of two machines, one of which is lost; and a grid that is stopped at once."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grid_runs import ITEM

from residua.errors import ConfigError
from residua.events import EpochRow
from residua.jobs.run_pool import PoolEntry
from residua.reproduce.grid import GridSetting, run_entries
from residua.runs.run import Run

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

EPOCHS = 12
"""Of each run: seconds, so that the machine dies in the middle of one."""
LIMIT_SECONDS = 360.0
"""Time after which the grid is stopped and the test fails; an idle machine takes a twelfth."""
HEALTH_CHECKS = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}
"""How often Ray asks whether a machine lives: its own settings take most of a minute to miss one."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    head = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    two_machines = Cluster(initialize_head=True, head_node_args={**head, "_system_config": HEALTH_CHECKS})
    yield two_machines
    ray.shutdown()
    two_machines.shutdown()


def longer_entries(folder: Path) -> list[PoolEntry]:
    entries = run_entries(ITEM, GridSetting("digits", True, "smoke"), folder / "runs", seeds=2).values()
    return [
        replace(e, recipe=replace(e.recipe, budget=replace(e.recipe.budget, epochs=EPOCHS))) for e in entries
    ]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no answer .*127.0.0.1:1"),
        ("rubbish", "auto, local, or host:port"),
    ],
)
def test_without_a_cluster_the_error_is_one_line(address: str, message: str) -> None:
    from residua.reproduce.ray_backend import RayBackend

    with pytest.raises(ConfigError, match=message):
        RayBackend(address, threads=1)


@pytest.mark.battery
@pytest.mark.timeout(480)  # machines take long to start on a busy one
def test_a_lost_machine_does_not_lose_the_grid(tmp_path: Path, cluster: Any) -> None:
    from residua.reproduce.ray_backend import RayBackend

    second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    cluster.wait_for_nodes(timeout=120)
    grid = longer_entries(tmp_path)
    reached: dict[str, int] = {}
    lost_during: list[dict[str, int]] = []

    def listen(name: str, event: object) -> None:
        assert isinstance(event, EpochRow)
        reached[name] = event.values["epoch"]
        under_way = {each: epoch for each, epoch in reached.items() if epoch < EPOCHS}
        if len(under_way) == 2 and not lost_during:  # a core each: one of the two is on the second machine
            cluster.remove_node(second, allow_graceful=False)
            lost_during.append(under_way)

    with RayBackend(cluster.address, threads=1) as backend:
        started = time.monotonic()
        backend.train(grid, listen=listen, stop=lambda: time.monotonic() - started > LIMIT_SECONDS)
        (alive,) = (node for node in ray.nodes() if node["Alive"])
    assert alive["Resources"]["CPU"] == 1
    assert lost_during
    runs = [Run(entry.path) for entry in grid]
    assert len(runs) == 4
    assert all(run.finished for run in runs)
    for run in runs:
        assert [row["epoch"] for row in run.metrics] == list(range(1, EPOCHS + 1))
    assert not (tmp_path / "runs" / ".stop").exists()
    again = longer_entries(tmp_path / "again")
    with RayBackend(cluster.address, threads=1) as backend:
        backend.train(again, listen=listen, stop=lambda: True)
    assert not any(Run(entry.path).finished for entry in again)
