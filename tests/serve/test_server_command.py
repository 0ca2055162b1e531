"""`residua serve` as a process: its plan, signals, reloads and what it cannot serve."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from command import complaint, python, residua
from residua.cli import serve as serve_command
from residua.errors import ConfigError
from residua.predict.classifier import load
from residua.predict.engines import choose
from residua.serve import loading
from residua.serve import server as server_module
from residua.serve.loading import load_model, model_name
from residua.serve.model import ServedModel, picture_model
from server_process import Server, metric, picture, png, serving

FILE = png(picture("red", 3))


def test_the_plan_is_printed_before_the_address(server: Server) -> None:
    lines = server.log().splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["network", "engine", "queue", "limits", "serving"]
    assert "3 classes" in lines[0]
    assert "onnxruntime" in lines[1]


def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    complaint(residua("serve", broken, "--port", 0), 5)
    complaint(residua("serve", tmp_path / "missing", "--port", 0), 5)


@pytest.mark.parametrize("name", ["a/b c", "a?b", "a%2fb", "ü", "..", "a\n"])
def test_a_name_that_cannot_stand_in_addresses_is_refused(onnx_file: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="addresses") as refused:
        load_model(onnx_file, name=name)
    assert "\n" not in str(refused.value)


def test_the_command_refuses_a_name_in_one_line(onnx_file: Path) -> None:
    assert "--name" in complaint(residua("serve", onnx_file, "--port", 0, "--name", "a/b c"), 2)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my photos, 2.onnx", "my-photos-2"),
        ("ü/ü.onnx", "model"),
        ("...onnx", "model"),
        ("a_b-1.0.onnx", "a_b-1.0"),
    ],
)
def test_a_file_of_any_name_gets_one_for_addresses(file: str, name: str) -> None:
    assert model_name(Path(file)) == name


def test_an_address_that_is_taken_is_said_in_one_line(onnx_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in complaint(residua("serve", onnx_file, "--port", port), 2)
    complaint(residua("serve", onnx_file, "--host", "no.such.host.invalid"), 2)
    complaint(residua("serve", onnx_file, "--port", 70_000), 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_0(onnx_file: Path, number: signal.Signals) -> None:
    server = Server(onnx_file)
    assert server.stop(number) == 0
    assert server.errors() == ""


class Load:
    """Clients that send one request after the other, until the server is about to stop, or they are."""

    def __init__(self, server: Server, clients: int) -> None:
        self.server = server
        self.statuses: list[int] = []
        self.refused: list[str] = []
        self.broken: list[str] = []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._is_over.is_set():
            try:
                with self.server.client() as client:
                    while not self._is_over.is_set():
                        response = client.post("/predict", content=FILE)
                        assert response.json()
                        self.statuses.append(response.status_code)
                        if response.status_code == 503:
                            return
            except httpx.ConnectError as error:
                self.refused.append(str(error))
                return
            except httpx.HTTPError as error:
                self.broken.append(repr(error))

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)


def test_a_drain_loses_no_response(onnx_file: Path) -> None:
    server = Server(onnx_file)
    load = Load(server, 6)
    while len(load.statuses) < 50:
        time.sleep(0.01)
    assert server.stop() == 0
    load.stop()
    assert load.broken == []
    assert set(load.statuses) <= {200, 503}
    assert load.statuses.count(200) >= 50


def test_a_server_that_drains_is_not_ready_and_finishes_what_it_accepted(onnx_file: Path) -> None:
    """A batch is held back by `--max-delay-ms`, so that the signal comes while a request waits."""
    server = Server(onnx_file, "--max-delay-ms", 1000)
    statuses: list[int] = []

    def send() -> None:
        with server.client() as client:
            statuses.append(client.post("/predict", content=FILE).status_code)

    with server.client() as probe:
        thread = threading.Thread(target=send)
        thread.start()
        while not metric(probe, "residua_accepted_requests"):
            time.sleep(0.01)
        os.kill(server.process.pid, signal.SIGTERM)
        server.wait_for("^draining")
        assert probe.get("/health/ready").status_code == 503
        assert probe.get("/health/live").status_code == 200
        assert probe.post("/predict", content=FILE).status_code == 503
    thread.join(60)
    assert statuses == [200]
    server.process.communicate(60)
    assert server.process.returncode == 0


def test_a_reload_serves_the_new_network_and_loses_nothing(trained_run: Path, tmp_path: Path) -> None:
    from residua.predict.classifier import load as load_classifier
    from residua.predict.export.onnx import onnx_bytes

    file = tmp_path / "colours.onnx"
    network = load_classifier(trained_run).network
    file.write_bytes(onnx_bytes(network))
    with serving(file) as server, server.client() as client:
        load = Load(server, 3)
        before = client.post("/predict", content=FILE).json()["predictions"][0]["classes"]
        network.head.requires_grad_(False)
        for name, value in network.state_dict().items():
            if name.endswith("weight") and value.ndim == 2:
                value.neg_()  # the last layer: what was likeliest is now unlikeliest
        file.write_bytes(onnx_bytes(network))
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("^reload .*done")
        after = client.post("/predict", content=FILE).json()["predictions"][0]["classes"]
        assert before != after
        load.stop()
        assert load.broken == load.refused == []
        assert set(load.statuses) == {200}


def test_a_file_that_fails_its_gate_leaves_the_old_network(onnx_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "colours.onnx"
    file.write_bytes(onnx_file.read_bytes())
    with serving(file) as server, server.client() as client:
        before = client.post("/predict", content=FILE).json()["predictions"]
        file.write_bytes(onnx_file.read_bytes()[:-500])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("^reload .*failed")
        assert client.post("/predict", content=FILE).json()["predictions"] == before
        assert metric(client, 'residua_reloads_total{outcome="failed"}') == 1


def test_a_reload_takes_the_engine_that_runs(trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring beside requests would take their time, and find other speeds than a quiet machine."""
    reloaded: list[ServedModel] = []

    def load_first(path: Path, **options: Any) -> ServedModel:
        if options["running"]:
            return load_model(path, **options)
        return picture_model("colours", load(path).with_engine("torch-folded"), "torch-folded")

    def run(app: Any, sock: socket.socket, *, load: Callable[[], ServedModel], log: Any) -> None:
        sock.close()
        reloaded.append(load())
        app.state.service.close()

    monkeypatch.setattr(loading, "load_model", load_first)
    monkeypatch.setattr(serve_command, "say", lambda *_: None)
    monkeypatch.setattr(server_module, "run", run)
    monkeypatch.setattr(choose, "choose_engine", None)
    serve_command.serve(trained_run, "127.0.0.1", 0, "", "auto", 0.0, None, [], None, "")
    assert [model.engine for model in reloaded] == ["torch-folded"]


FAILING = """
import sys
from pathlib import Path
from residua.serve import server
from residua.serve.app import create_app
from residua.serve.loading import load_model
def load():
    raise {error}
app = create_app(load_model(Path(sys.argv[1])))
server.run(app, server.listen("127.0.0.1", 0), load=load, log=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("error", ["RuntimeError('no\\noperator')", "MemoryError()"])
def test_whatever_a_reload_raises_is_logged_and_counted(onnx_file: Path, error: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FAILING.format(error=error), str(onnx_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    address = next(line.split()[1] for line in process.stdout if line.startswith("serving"))
    process.send_signal(signal.SIGHUP)
    line = next(process.stdout)
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        assert metric(client, 'residua_reloads_total{outcome="failed"}') == 1
        assert client.post("/predict", content=FILE).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[1] == ""
    assert line.startswith("reload    failed")
    assert error.partition("(")[0] in line


def test_an_exported_file_is_served_without_torch(onnx_file: Path) -> None:
    """In a process that was not forked from one with torch, and could not import it."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; "
        f"sys.argv = ['residua', 'serve', {str(onnx_file)!r}, '--port', '0']; "
        "from residua.__main__ import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    address = next(line.split()[1] for line in process.stdout if line.startswith("serving"))
    response = httpx.post(f"{address}/predict", content=FILE, timeout=60, trust_env=False)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert response.json()["predictions"][0]["classes"][0]["class"] == "red"


def test_without_its_packages_the_server_names_what_to_install(onnx_file: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; "
        f"sys.argv = ['residua', 'serve', {str(onnx_file)!r}, '--port', '0']; "
        "from residua.__main__ import main; main()"
    )
    assert "residua[serve]" in complaint(python("-c", code), 2)
