"""Trained networks that the tests of the server share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
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
