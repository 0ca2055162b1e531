"""More requests than the server computes: 429 with Retry-After, and the accepted ones are not late."""

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from colour_server import ColourClassifier

from residua.serve.app import create_app
from residua.serve.model import PictureModel
from residua.serve.tensors import InferRequest, RequestedOutput, response
from server_process import metric, picture, png, serving

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from http_load import closed_loop, open_loop, percentile, seconds_of

FILE = png(picture("red", 3))
MIB = 1 << 20


def test_what_is_too_much_is_refused_with_the_time_to_come_again(onnx_file: Path) -> None:
    """A worker that waits to fill a batch is overloaded by what comes at once."""
    with serving(onnx_file, "--max-queue", 1, "--max-delay-ms", 500) as server, server.client() as client:
        outcomes = asyncio.run(open_loop(server.port, [FILE], rate=1e6, seconds=150e-6))
        assert client.get("/health/live").status_code == 200
        assert len(outcomes) == 150
        assert {each.status for each in outcomes} == {200, 429}
        refused = [each for each in outcomes if each.status == 429]
        assert all(each.retry_after >= 1 for each in refused)
        assert metric(client, 'residua_rejected_total{reason="busy"}') == len(refused)
        assert metric(client, "residua_accepted_requests") == 0
        assert client.post("/predict", content=FILE).status_code == 200


def test_a_request_of_a_hundred_images_does_not_keep_single_ones_out(onnx_file: Path) -> None:
    with serving(onnx_file) as server:

        async def both() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=server.address, timeout=60, trust_env=False) as client:
                many = [("image", ("x.png", FILE)) for _ in range(100)]
                large = asyncio.create_task(client.post("/predict", files=many))
                single = [await client.post("/predict", content=FILE) for _ in range(5)]
                return [await large, *single]

        responses = asyncio.run(both())
    assert [each.status_code for each in responses] == [200] * 6
    assert [len(each.json()["predictions"]) for each in responses] == [100, 1, 1, 1, 1, 1]


def test_requests_whose_clients_are_gone_leave_nothing(onnx_file: Path) -> None:
    async def leave(port: int) -> None:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(FILE)}\r\n\r\n"
        for _ in range(100):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head.encode() + FILE)
            await writer.drain()
            writer.transport.abort()

    with serving(onnx_file, "--max-delay-ms", 100) as server, server.client() as client:
        client.post("/predict", content=FILE)
        files = server.files()
        asyncio.run(leave(server.port))
        for _ in range(3):
            assert client.post("/predict", content=FILE).status_code == 200
        assert metric(client, "residua_accepted_requests") == 0
        assert metric(client, "residua_queue_length") == 0
        assert server.files() <= files + 5


class Noted(dict[str, Any]):
    """A prediction that notes which threads read it."""

    def __init__(self, threads: set[str]) -> None:
        super().__init__(classes=[])
        self.threads = threads

    def items(self) -> Any:
        self.threads.add(threading.current_thread().name)
        return super().items()


def test_predictions_are_described_and_written_outside_the_event_loop() -> None:
    threads: set[str] = set()

    class NotedModel(PictureModel):
        __slots__ = ()

        def describe(self, output: Any, topk: int) -> dict[str, Any]:
            threads.add(threading.current_thread().name)
            return Noted(threads)

    classifier = ColourClassifier()
    app = create_app(NotedModel("colours", classifier, "numpy", classifier.classes, sizes=(1,)))

    async def predict() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/predict", content=FILE)

    assert asyncio.run(predict()).json()["predictions"] == [{"classes": []}]
    app.state.service.close()
    assert {name.partition("_")[0] for name in threads} == {"residua-decode"}


def test_json_is_written_in_short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Python writes JSON no other thread runs: 128,000 numbers at once would stop health checks."""
    lengths: list[int] = []
    dumps = json.dumps

    def noted(value: Any, **options: Any) -> str:
        lengths.append(len(value))
        return dumps(value, **options)

    classifier = ColourClassifier()
    model = PictureModel("colours", classifier, "numpy", classifier.classes)
    rows = [np.arange(7, dtype=np.float32) + row for row in range(20)]
    for topk, count in ((0, 7), (3, 3)):
        asked = InferRequest("seven", (), bytes, (RequestedOutput("probabilities", False, topk),))
        with monkeypatch.context() as patch:
            patch.setattr(json, "dumps", noted)
            document = json.loads(response(asked, rows, model).body)
        (output,) = document["outputs"]
        assert output["shape"] == [20, count]
        assert len(output["data"]) == 20 * count
        assert document["id"] == "seven"
    assert output["data"][:3] == ["6.000000:6:grey", "5.000000:5:magenta", "4.000000:4:cyan"]
    assert max(lengths) <= 7


@pytest.mark.battery
@pytest.mark.timeout(600)
def test_overload_by_four_keeps_its_promises(tmp_path: Path) -> None:
    """P15, with a network that takes most of the time of a request."""
    import residua
    from residua.predict.export.onnx import onnx_bytes

    file = tmp_path / "resnet18.onnx"
    file.write_bytes(onnx_bytes(residua.create_model("resnet18").eval()))
    body = png(picture("red", 0, side=256))
    with serving(file) as server:
        full = asyncio.run(closed_loop(server.port, [body], clients=12, seconds=15))
        capacity = len(seconds_of(full, 200)) / 15
        before = server.memory()
        outcomes = asyncio.run(open_loop(server.port, [body], rate=4 * capacity, seconds=60))
        growth = server.memory() - before
    assert {each.status for each in outcomes} == {200, 429}
    assert percentile(seconds_of(outcomes, 200), 0.99) <= 1.0
    assert percentile(seconds_of(outcomes, 429), 0.99) <= 0.05
    assert growth <= 64 * MIB


@pytest.mark.battery
@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_requests(onnx_file: Path) -> None:
    with serving(onnx_file) as server:
        asyncio.run(closed_loop(server.port, [FILE], clients=8, seconds=10))
        before = server.memory()
        asyncio.run(closed_loop(server.port, [FILE, b"no image"], clients=8, seconds=120))
        assert server.memory() - before <= 16 * MIB
