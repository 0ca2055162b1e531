"""A grid on a cluster of two machines, one of which dies."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grid import ITEM

from residua.jobs.cells import Setting, entries
from residua.training.events import Row
from residua.training.run import Run

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.timeout(420)  # machines take long to start on a busy one
def test_a_lost_machine_does_not_lose_the_grid(tmp_path: Path, cluster: Any) -> None:
    from residua.jobs.rays import Cluster

    second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    cluster.wait_for_nodes()
    wanted = list(entries(ITEM, Setting("digits", True, "smoke"), tmp_path / "runs", seeds=4).values())
    heard: list[str] = []
    died_after: list[int] = []

    def listen(name: str, event: object) -> None:
        assert isinstance(event, Row)
        heard.append(name)
        if len(set(heard)) == 2 and not died_after:  # six more are to come
            cluster.remove_node(second, allow_graceful=False)
            died_after.append(len(heard))

    with Cluster(cluster.address, threads=1) as trainer:
        started = time.monotonic()
        trainer.train(wanted, listen=listen, stop=lambda: time.monotonic() - started > 360)
    assert died_after
    runs = [Run(entry.path) for entry in wanted]
    assert all(run.finished for run in runs)
    for run in runs:
        assert [row["epoch"] for row in run.metrics] == [1, 2, 3, 4, 5]
    assert not (tmp_path / "runs" / ".stop").exists()
