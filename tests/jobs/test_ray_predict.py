"""Predictions on a Ray cluster: the rows of one machine, also after an interruption or a lost machine."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import complaint, python, residua
from exported_files import write_onnx
from residua.data.inputs import list_inputs
from residua.errors import ConfigError, ResourceError
from residua.jobs import ray_predict
from residua.jobs.predict import PredictJob, PredictRequest, open_job, predict_into
from residua.jobs.ray_predict import SECTION, sections
from residua.tasks.predict_task import PredictOptions
from small import photo_folder

HEALTH_CHECKS = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}
"""How often Ray asks whether a machine lives: its own settings take most of a minute to miss one."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 photos, of which one is broken."""
    photos = photo_folder(tmp_path_factory.mktemp("photos"), count=50)
    (photos / "green" / "07.png").write_bytes(b"no image")
    return photos


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(tmp_path_factory.mktemp("network") / "m.onnx")


def job_of(network: Path, photos: Path, cluster: str = "") -> PredictJob:
    options = PredictOptions(topk=3, engine="auto")
    return open_job(PredictRequest(network, (str(photos),), options, cluster=cluster))


@pytest.mark.parametrize(
    ("start", "count", "machines", "size"), [(0, 5, 2, 16), (48, 5000, 3, 16), (7, 900, 1, 100)]
)
def test_sections_cover_all_inputs_in_whole_batches(start: int, count: int, machines: int, size: int) -> None:
    parts = sections(start, count, machines, size)
    assert [parts[0]["first"], parts[-1]["end"]] == [start, count]
    assert [part["end"] for part in parts[:-1]] == [part["first"] for part in parts[1:]]
    assert all((part["end"] - part["first"]) % size == 0 for part in parts[:-1])
    assert max(part["end"] - part["first"] for part in parts) <= max(SECTION, size)


def test_no_section_is_left_where_all_is_done() -> None:
    assert sections(7, 7, 2, 16) == []


def test_a_section_of_inputs_has_their_titles(photos: Path) -> None:
    inputs = list_inputs([str(photos / "red" / "00.jpg"), "digits", str(photos)])
    section = inputs.section(0, len(inputs))
    assert section.identity() == inputs.identity()
    first, end = 1, len(inputs) - 10  # the end of one part, all of another, and the beginning of a third
    section = inputs.section(first, end)
    assert [section.title(i) for i in range(len(section))] == [inputs.title(i) for i in range(first, end)]
    np.testing.assert_array_equal(np.asarray(section.item(5)), np.asarray(inputs.item(first + 5)))


@pytest.mark.parametrize(
    ("address", "word"), [("127.0.0.1:1", "no answer from 127.0.0.1:1"), ("rubbish", "host:port")]
)
def test_without_a_cluster_the_error_is_one_line(
    address: str, word: str, network: Path, photos: Path
) -> None:
    assert word in complaint(residua("predict", network, photos, "--ray", address), 2)


@pytest.mark.parametrize("module", ["ray.data", "pyarrow"])
def test_what_is_not_installed_is_named(module: str) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    job = "residua.jobs.ray_predict"
    code = f"import sys; sys.modules[{module!r}] = None; import {job}; {job}.import_ray_data()"
    done = python("-c", code)
    assert "MissingPackageError" in done.stderr
    assert "pip install 'residua[ray]'" in done.stderr


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two machines of one core."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    two_machines = Cluster(initialize_head=True, head_node_args={**head, "_system_config": HEALTH_CHECKS})
    two_machines.second = two_machines.add_node(num_cpus=1, object_store_memory=80_000_000)
    two_machines.wait_for_nodes(timeout=120)
    yield two_machines
    ray.shutdown()
    two_machines.shutdown()


@pytest.mark.battery
@pytest.mark.timeout(300)
def test_a_cluster_writes_the_same_rows_and_continues_after_an_interruption(
    cluster: Any, network: Path, photos: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    predict_into(here, job_of(network, photos), force=False)
    job = job_of(network, photos, cluster.address)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_into(there, job, force=False, listen=interrupt)
    assert not there.exists()
    starts: list[int] = []
    progress = predict_into(there, job, force=False, begin=lambda file: starts.append(file.progress.done))
    assert (starts, progress.done, progress.errors) == ([16], 150, 1)
    assert there.read_bytes() == here.read_bytes()
    words = ("predict", network, photos, "--topk", 3, "--ray", cluster.address)
    (tmp_path / "others").mkdir()
    command = residua(*words, "-o", tmp_path / "others" / "again.csv")
    assert "149 of 150 images written" in command.stdout
    assert (tmp_path / "others" / "again.csv").read_bytes() == here.read_bytes()
    with pytest.raises(ConfigError, match=r"m\.onnx"):  # not on the machines
        [*replace(job, trained=tmp_path / "m.onnx").predictions()]


@pytest.mark.battery
@pytest.mark.timeout(300)
def test_a_cluster_whose_cores_are_taken_ends_in_a_line(
    cluster: Any, network: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(ray_predict, "START_SECONDS", 3)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")

    class Other:
        """What computes for somebody else."""

    others = [ray.remote(num_cpus=1)(Other).remote() for _ in range(2)]
    ray.get([other.__ray_ready__.remote() for other in others])
    with pytest.raises(ResourceError, match="free cores"):
        [*job_of(network, photos, cluster.address).predictions()]


@pytest.mark.battery
@pytest.mark.timeout(400)
def test_a_lost_machine_loses_no_row(cluster: Any, network: Path, tmp_path: Path) -> None:
    pattern = photo_folder(tmp_path / "one", count=1, side=800) / "red" / "00.jpg"
    (photos := tmp_path / "photos").mkdir()
    for i in range(4000):
        os.link(pattern, photos / f"{i:04}.jpg")
    done: list[int] = []

    def listen(predictions: Any) -> None:
        done.append(len(predictions))
        if sum(done) == 640:
            cluster.remove_node(cluster.second, allow_graceful=False)

    out = tmp_path / "labels.csv"
    progress = predict_into(out, job_of(network, photos, cluster.address), force=False, listen=listen)
    assert (progress.done, progress.errors) == (4000, 0)
    rows = out.read_text().splitlines()[1:]
    assert [row.partition(",")[0] for row in rows] == [str(photos / f"{i:04}.jpg") for i in range(4000)]
    assert {row.split(",")[1] for row in rows} == {"red"}
