"""Trained networks that the tests of the server share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attacked import MIB, Attacked, Canary

from server_process import Server, serving
from small import colours, fresh, recipe


@pytest.fixture(scope="package")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a tiny network that tells colours apart."""
    path = tmp_path_factory.mktemp("serve") / "colours"
    fresh(path, recipe(), colours())
    return path


@pytest.fixture(scope="package")
def onnx_file(trained_run: Path) -> Path:
    """The same network as an ONNX file."""
    from residua.predict.classifier import load
    from residua.predict.export.onnx import onnx_bytes

    path = trained_run.parent / "colours.onnx"
    path.write_bytes(onnx_bytes(load(trained_run).network))
    return path


@pytest.fixture(scope="package")
def server(onnx_file: Path) -> Iterator[Server]:
    """A server of that file, for tests that leave it as it was."""
    with serving(onnx_file) as running:
        yield running


@pytest.fixture(scope="package")
def attacked(server: Server) -> Attacked:
    """The server of the command."""
    return Attacked(server.port, server.process.pid, lambda: server.log() + server.errors())


@pytest.fixture(scope="package")
def expected(attacked: Attacked) -> list[dict[str, Any]]:
    """What the server says before the attacks."""
    return attacked.predict()


@pytest.fixture
def unharmed(attacked: Attacked, expected: list[dict[str, Any]]) -> Iterator[None]:
    """After the attack the server responds as before, holds no connection, and has grown little."""
    memory, descriptors = attacked.memory, attacked.descriptors
    yield
    assert attacked.is_live()
    assert attacked.predict() == expected
    assert attacked.settles(descriptors + 2)
    assert attacked.memory - memory < 64 * MIB


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A server that no request may lead to."""
    listener = Canary()
    yield listener
    listener.close()
