"""The metrics of a real server, read by the parser of Prometheus, and the dashboard that draws them."""

import json
import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

import residua
from server_process import picture, png, serving

FILE = png(picture("red", 3))
DASHBOARD = Path(residua.__file__).parent / "serve" / "grafana.json"


def values(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Name and labels -> value, of all metrics of ours."""
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    samples = [sample for family in families for sample in family.samples]
    ours = (each for each in samples if each.name.startswith("residua"))
    return {(each.name, *each.labels.values()): each.value for each in ours}


def test_requests_are_counted_by_stage_size_and_reason(onnx_file: Path) -> None:
    with serving(onnx_file) as server, server.client() as client:
        for _ in range(3):
            client.post("/predict", content=FILE)
        client.post("/predict", files=[("image", ("x.png", FILE)) for _ in range(5)])
        client.post("/predict", content=b"no image")
        client.post("/predict", content=b"no image", headers={"host": "other.test"})
        client.get("/nowhere")
        counted = values(client)
    for stage in ("decode", "queue", "infer", "total"):
        assert counted["residua_request_duration_seconds_count", stage] == 4
    assert counted["residua_inference_count_total",] == 8
    assert 4 <= counted["residua_exec_count_total",] <= 8
    assert counted["residua_batch_size_sum",] == 8
    assert counted["residua_rejected_total", "bad image"] == 1
    assert counted["residua_rejected_total", "host"] == 1
    assert counted["residua_requests_total", "/predict", "200"] == 4
    assert counted["residua_requests_total", "/predict", "400"] == 1
    assert counted["residua_requests_total", "none", "404"] == 1
    assert counted["residua_queue_length",] == counted["residua_accepted_requests",] == 0
    assert counted["residua_ready",] == 1
    assert counted["residua_connections",] >= 1


def test_the_dashboard_asks_for_metrics_that_exist(onnx_file: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"\b(?:residua|process)_\w+", target["expr"])
    }
    with serving(onnx_file) as server, server.client() as client:
        client.post("/predict", content=FILE)
        client.post("/predict", content=b"no image")
        known = {line.split("{")[0].split(" ")[0] for line in client.get("/metrics").text.splitlines()}
    assert asked <= known
    assert len(asked) >= 10
