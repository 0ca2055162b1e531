"""What `residua export --int8` writes: how each runtime converts, quantises, computes and saves a network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.errors import ConfigError
from residua.predict.engines.engine import Engine
from residua.predict.engines.onnxruntime import OnnxRuntimeEngine
from residua.predict.engines.openvino import OpenVinoEngine
from residua.predict.export.graph import ExportGraph
from residua.predict.export.int8 import Int8Accuracy
from residua.predict.export.int8_onnx import int8_onnx
from residua.predict.export.int8_openvino import int8_openvino
from residua.predict.export.onnx import write_onnx
from residua.predict.export.openvino import convert_to_openvino
from residua.predict.openvino_package import import_openvino


@dataclass(frozen=True, slots=True)
class Int8Target:
    """A runtime that computes in int8."""

    packages: tuple[str, ...]
    """Packages that quantise and compute, the name of the extra first."""
    convert: Callable[[ExportGraph], Any]
    """Makes the float32 model of a graph."""
    quantise: Callable[..., tuple[Any, Int8Accuracy]]
    """Makes the int8 model of a float32 model, and measures what it costs."""
    engine: Callable[..., Engine]
    """Prepares a model for this machine, from the model and how views become its input."""
    save: Callable[[Any, Path], object]
    """Writes a model to a file."""


def int8_target(name: str) -> Int8Target:
    """How the target called `name` computes in int8. ConfigError when it cannot."""
    if name not in TARGETS:
        raise ConfigError(f"{name!r} has no int8: give --to {' or '.join(TARGETS)}")
    return TARGETS[name]


def _save_onnx(content: bytes, file: Path) -> None:
    file.write_bytes(content)


def _save_openvino(model: Any, file: Path) -> None:
    import_openvino().save_model(model, file, compress_to_fp16=False)


TARGETS = {
    "onnx": Int8Target(
        ("onnx", "onnxscript", "onnxruntime"),
        write_onnx,
        int8_onnx,
        OnnxRuntimeEngine,
        _save_onnx,
    ),
    "openvino": Int8Target(
        ("openvino", "nncf"),
        convert_to_openvino,
        int8_openvino,
        OpenVinoEngine,
        _save_openvino,
    ),
}
"""Name of the target -> its int8."""
