"""The application on a Ray cluster of two machines, one of which is lost under load."""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exported_files import write_onnx
from residua.errors import ConfigError
from residua.nn.network import build
from residua.predict.folder import save
from residua.serve.limits import STANDARD, Limits
from residua.serve.loading import load_model
from residua.serve.ray_app import RayServer, describe, plan_replicas, replica_app, serve_on_ray
from residua.serve.speed import BatchTimes
from small import arch, picture, png

TIMES = BatchTimes((1, 2, 4), (0.01, 0.02, 0.04))
"""100 images a second."""
HEALTH_CHECKS = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}
"""How often Ray asks whether a machine lives: its own settings take most of a minute to miss one."""
REQUESTS = 60
"""Responses before the machine is lost, so that both replicas have given some."""
STEADY_SECONDS = 5.0
"""Time without a failed request after which the cluster is whole again."""
LIMIT_SECONDS = 150.0
"""Time in which it must be; an idle machine takes a tenth."""


def machines(*cores: int, gpus: int = 0) -> list[dict[str, float]]:
    return [{"CPU": float(each), "GPU": float(gpus)} for each in cores]


def test_each_machine_runs_one_replica_with_all_its_cores() -> None:
    plan = plan_replicas(machines(8, 4), TIMES, STANDARD)
    assert (plan.least, plan.most, plan.per_machine, plan.cores, plan.gpus) == (2, 2, 1, 4, 0)
    assert "2 machines" in describe(plan, 2)


def test_replicas_accept_what_they_compute_in_the_longest_wait() -> None:
    plan = plan_replicas(machines(2), TIMES, Limits(wait_seconds=0.4))
    assert (plan.batch, plan.ongoing) == (4, 100 * 0.4 + 4)
    assert plan_replicas(machines(2), TIMES, Limits(queue=7)).ongoing == 7 + 4


def test_a_range_scales_with_the_load_and_shares_machines() -> None:
    plan = plan_replicas(machines(8, 8, gpus=1), TIMES, STANDARD, "1-4")
    assert (plan.least, plan.most, plan.per_machine, plan.cores) == (1, 4, 2, 4)
    assert plan.gpus == 0, "two replicas cannot share the one GPU"
    assert plan_replicas(machines(8, 8, gpus=1), TIMES, STANDARD, "2").gpus == 1


@pytest.mark.parametrize("text", ["0", "4-1", "many", "1-", "-2"])
def test_other_numbers_of_replicas_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="range"):
        plan_replicas(machines(2), TIMES, STANDARD, text if text != "1-" else "1-x")


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_a_replica_computes_with_the_engine_that_is_named(engine: str, tmp_path: Path) -> None:
    saved = save(build(arch()).eval(), tmp_path / "tiny")
    model = replica_app(RayServer(saved, STANDARD, name="small", engine=engine)).state.service.model
    assert model.name == "small"
    assert model.engine.startswith(engine)
    file = write_onnx(tmp_path / "colours.onnx")
    with pytest.raises(ConfigError, match="--engine"):
        replica_app(RayServer(file, STANDARD, engine=engine))


def test_without_ray_serve_the_error_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match="pip install"):
        serve_on_ray("auto", RayServer(tmp_path / "model.onnx", STANDARD), log=print)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two machines of one core; Ray Serve is running on both."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    serve = pytest.importorskip(
        "ray.serve", reason="Ray Serve is not installed: pip install 'ray[serve]'", exc_type=ImportError
    )
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv(
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60"
    )  # its own 5 s are short on a busy machine
    head = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    two_machines = Cluster(initialize_head=True, head_node_args={**head, "_system_config": HEALTH_CHECKS})
    two_machines.second = two_machines.add_node(num_cpus=1, object_store_memory=80_000_000)
    ray.init(two_machines.address, log_to_driver=False, logging_level="ERROR")
    # Both machines are this one: with a proxy on each, they would share the port, and the lost one be asked.
    two_machines.port = free_port()
    serve.start(proxy_location="HeadOnly", http_options={"port": two_machines.port})
    yield two_machines
    serve.shutdown()
    ray.shutdown()
    two_machines.shutdown()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def predict(port: int, file: bytes) -> tuple[int, str]:
    """Status and likeliest class; 0 where the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/predict?topk=1", file)
        response = connection.getresponse()
        document = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return 0, ""
    finally:
        connection.close()
    if response.status != 200:
        return response.status, ""
    return 200, document["predictions"][0]["classes"][0]["class"]


@pytest.mark.battery
@pytest.mark.timeout(600)
def test_predictions_go_on_after_a_machine_is_lost(cluster: Any, tmp_path: Path) -> None:
    from ray import serve

    from residua.serve.ray_app import deploy

    file = write_onnx(tmp_path / "colours.onnx")
    server = RayServer(file, STANDARD, port=cluster.port)
    model = load_model(file)
    deploy(serve, server, plan_replicas(machines(1, 1), TIMES, STANDARD), model)
    pictures = {colour: png(picture(colour, 1)) for colour in ("blue", "green", "red")}
    outcomes: list[tuple[float, int]] = []
    wrong: list[str] = []
    stop = threading.Event()

    def ask(colour: str) -> None:
        while not stop.is_set():
            status, best = predict(server.port, pictures[colour])
            outcomes.append((time.monotonic(), status))
            if status == 200 and best != colour:
                wrong.append(best)
            time.sleep(0.02)

    clients = [threading.Thread(target=ask, args=(colour,)) for colour in pictures]
    for client in clients:
        client.start()
    begun = time.monotonic()
    while len(outcomes) < REQUESTS and time.monotonic() < begun + LIMIT_SECONDS:
        time.sleep(0.1)
    lost = time.monotonic()
    cluster.remove_node(cluster.second, allow_graceful=False)
    while time.monotonic() < lost + LIMIT_SECONDS:
        time.sleep(1)
        failures = [when for when, status in outcomes if status != 200]
        if time.monotonic() - max([lost, *failures]) > STEADY_SECONDS:
            break
    stop.set()
    for client in clients:
        client.join()
    before = Counter(status for when, status in outcomes if when < lost)
    after = Counter(status for when, status in outcomes if when >= lost)
    print(f"before: {before}, after: {after}")
    assert set(before) == {200}
    assert not wrong
    assert max([lost, *failures]) - lost < LIMIT_SECONDS - STEADY_SECONDS, f"failures go on: {after}"
    assert after[200] > after.total() / 2
