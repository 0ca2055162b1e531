"""A network as an ONNX file: one file of opset 18 with a free batch, and its facts in the metadata."""

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import torch

from residua.errors import ConfigError
from residua.nn.network import Network
from residua.predict.export.facts import KEY
from residua.predict.export.graph import AXES, ExportGraph, export_graph, without_warnings

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 18
"""Version of the operators: every ONNX Runtime since 1.14 (February 2023) computes it."""
LIMIT = 2**31 - 2**24
"""Most bytes of weights; protobuf writes no file above 2 GiB, and the graph needs some of it."""


def onnx_bytes(network: Network) -> bytes:
    """A network as the bytes of an ONNX file.

    Args:
        network: With a last layer. The file reads normalised `inputs` (n, C, S, S) float32, and its output is
            `logits` (n, classes) float32.

    Raises:
        ConfigError: The weights are too large for one file.
        MissingPackageError: onnx and onnxscript are not installed.
        ValueError: The network has no last layer.
    """
    return write_onnx(export_graph(network))


def write_onnx(graph: ExportGraph) -> bytes:
    """The bytes of an ONNX file of a graph; raises as `onnx_bytes`."""
    if graph.weight_bytes > LIMIT:
        size = f"{graph.weight_bytes / 2**30:.1f} GiB of weights"
        raise ConfigError(f"{size}, and an ONNX file holds 2 at most: give --to openvino or pt2")
    model = _translated(graph)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions[""] != OPSET:
        raise ConfigError(
            f"torch {torch.__version__} wrote opset {versions['']} instead of {OPSET}: use another version"
        )
    _remove_traces(model.graph)
    _name_axes(model.graph, AXES[graph.facts.takes])
    facts = graph.made_with(f"onnx {_onnx_version()}").facts
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, facts.to_text()
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _translated(graph: ExportGraph) -> "ModelProto":
    """The graph in operators of ONNX; the exporter's own messages are for its developers."""
    with without_warnings(), redirect_stdout(io.StringIO()):
        program = torch.onnx.export(
            graph.program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[graph.facts.takes],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _remove_traces(graph: "GraphProto") -> None:
    """Remove what the exporter notes of Python's source: its lines and folders are of this machine."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _name_axes(graph: "GraphProto", axes: tuple[str, ...]) -> None:
    """Give the free axes of the input their names, there and wherever they occur again."""
    leading = graph.input[0].type.tensor_type.shape.dim
    names = {axis.dim_param: name for axis, name in zip(leading, axes, strict=False)}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]


def _onnx_version() -> str:
    import onnx

    return onnx.__version__
