"""What `residua export --to` writes: one literal table, with how each file is written, loaded and run.

To add a target:

1. Write a function that writes an `ExportGraph` to a file, with `graph.facts.to_text()` under the key
   `facts.KEY` where it is read without executing anything.
2. Write one that loads the file and returns a `graph.Compute`, for graphs that read images as for those that
   read inputs. A file that cannot be read is a `CheckpointError` that ends in "export it again".
3. Add a row to `TARGETS`. The parity gate, placing and refusal come with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from residua.errors import ConfigError
from residua.predict.export.graph import Compute, ExportGraph
from residua.predict.export.onnx import write_onnx
from residua.predict.export.openvino import convert_to_openvino
from residua.predict.export.pt2 import (
    check_compiler,
    load_compiled,
    load_pt2,
    write_compiled,
    write_pt2,
)
from residua.predict.openvino_package import import_openvino
from residua.spec.record import nearest


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of file that holds a network."""

    name: str
    """As `--to` takes it."""
    suffix: str
    """End of the file's name, behind the name of the network."""
    runs_on: str
    """What computes it, in a few words."""
    write: Callable[[ExportGraph, Path], None]
    """Writes the file, and a second one beside it where the format has two."""
    load: Callable[[Path], Compute]
    """Loads the file that was written, ready to compute on this machine."""
    second_suffix: str = ""
    """Suffix of the second file beside it, which holds the weights; empty where there is one file."""
    packages: tuple[str, ...] = ()
    """Packages that write and run it, the name of the extra first."""
    is_predictable: bool = True
    """Whether `residua predict` takes it."""
    check: Callable[[], None] = lambda: None
    """Checks that it can be written here; raises ConfigError."""
    patience: str = ""
    """What to tell people who wait."""


def target_named(name: str) -> Target:
    """The target called `name`. ConfigError when there is none."""
    if name not in TARGETS:
        raise ConfigError(f"no target {name!r}: {nearest(name, TARGETS)}")
    return TARGETS[name]


def _write_onnx(graph: ExportGraph, file: Path) -> None:
    file.write_bytes(write_onnx(graph))


def _load_onnx(file: Path) -> Compute:
    from residua.predict.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(file, None).logits


def _write_openvino(graph: ExportGraph, file: Path) -> None:
    model = convert_to_openvino(graph)
    import_openvino().save_model(
        model, file, compress_to_fp16=False
    )  # by default weights lose half of their bits


def _load_openvino(file: Path) -> Compute:
    from residua.predict.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(file, None).logits


ONNX = Target(
    "onnx",
    ".onnx",
    "ONNX Runtime, OpenVINO, TensorRT, browsers",
    _write_onnx,
    _load_onnx,
    packages=("onnx", "onnxscript", "onnxruntime"),
)
OPENVINO = Target(
    "openvino",
    ".xml",
    "OpenVINO and its model server",
    _write_openvino,
    _load_openvino,
    second_suffix=".bin",
    packages=("openvino",),
)
PT2 = Target("pt2", ".pt2", "torch, on any device", write_pt2, load_pt2, is_predictable=False)
COMPILED = Target(
    "pt2-aoti",
    "-aoti.pt2",
    "torch, on processors like this one",
    write_compiled,
    load_compiled,
    is_predictable=False,
    check=check_compiler,
    patience=", which takes a compiler a minute or more",
)
TARGETS = {target.name: target for target in (ONNX, OPENVINO, PT2, COMPILED)}
"""Name -> target."""
