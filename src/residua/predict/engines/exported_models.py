"""Models that engines need, exported once and kept in the user's folder for caches for later processes.

name       SHA-256 of all that the bytes depend on: weights, layers, versions
content    SHA-256 of the model, then the model; a file that is damaged counts as missing
number     MAX_FILES, the newest; where the folder cannot be written, nothing is kept, without an error
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import torch

from residua.errors import ResiduaError
from residua.files import cache_folder, read_file, write_file
from residua.nn.network import Network
from residua.predict.export.graph import weights_digest
from residua.predict.export.onnx import onnx_bytes
from residua.spec.record import to_json
from residua.version import __version__

FOLDER = "engines"
"""Folder of the files in the user's folder for caches."""
MAX_FILES = 8
"""Models that are kept."""
_DIGEST_BYTES = hashlib.sha256().digest_size


def onnx_model(network: Network) -> bytes:
    """The ONNX model of a network, of an earlier process or exported now.

    Args:
        network: With a last layer.

    Raises:
        MissingPackageError: onnx and onnxscript are not installed.
        ConfigError: The weights are too large for one ONNX file.
    """
    file = cache_folder() / FOLDER / f"{_key(network)}.onnx"
    model = _read(file)
    if model is None:
        model = onnx_bytes(network)
        _keep(file, model)
    return model


def _key(network: Network) -> str:
    parts = (weights_digest(network), to_json(network.arch), str(torch.__version__), __version__)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(file: Path) -> bytes | None:
    with suppress(ResiduaError, OSError):
        content = read_file(file)
        digest, model = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(model).digest() == digest:
            return model
    return None


def _keep(file: Path, model: bytes) -> None:
    with suppress(ResiduaError, OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, hashlib.sha256(model).digest(), model)
        by_age = sorted(file.parent.glob("*.onnx"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in by_age[MAX_FILES:]:
            old.unlink()
