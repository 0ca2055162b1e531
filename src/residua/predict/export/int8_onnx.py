"""int8 for ONNX Runtime, by its own quantiser: QuantizeLinear and DequantizeLinear around operations.

Activations have 8 bits without a sign, weights 7 bits with one, for each channel: the one combination whose
sums fit 16 bits on processors with AVX2. Signed activations are two to three times slower there.
"""

import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.events import Listen
from residua.predict.engines.normalise import normalise_views
from residua.predict.engines.onnxruntime import OnnxRuntimeEngine
from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.export.int8 import MAX_DROP, Int8Accuracy, Int8Data, quantise_within

OPERATIONS = ("Conv", "Gemm", "MatMul", "Add", "Mul", "MaxPool", "GlobalAveragePool", "AveragePool", "Concat")
"""Operations that compute in int8. A norm that is not folded stays float32: it would gain no speed."""
FOLLOWERS = (
    "Relu",
    "Clip",
    "Pad",
    "Slice",
    "Split",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
)
"""Operations that keep the type of what they read."""
WEIGHTED = ("Conv", "Gemm", "MatMul")
"""Operations with weights; the network begins with one of them, after any preprocessing in the graph."""
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""Metadata by which the quantiser knows that a graph needs no preparation: the exporter has folded it."""


def int8_onnx(
    model: bytes, data: Int8Data, *, max_drop: float = MAX_DROP, listen: Listen
) -> tuple[bytes, Int8Accuracy]:
    """An ONNX file in int8.

    Args:
        model: The float32 file, with its facts.
        data: Images to calibrate and to measure.
        max_drop: Most top-1 accuracy that may be lost, in percentage points.
        listen: Hears what is being done.

    Returns:
        The bytes of the file, whose facts name precision and calibration, and what int8 costs.

    Raises:
        CheckpointError: More is lost.
        DataError: An image cannot be decoded.
    """
    quantiser = OnnxQuantiser(model, data)
    content, accuracy = quantise_within(quantiser, data, max_drop=max_drop, listen=listen)
    import onnx

    written = onnx.load_from_string(content)
    facts = data.facts.changed(precision="int8", calibration=accuracy.sentence())
    onnx.helper.set_model_props(written, {KEY: _made_here(facts).to_text()})
    return written.SerializeToString(deterministic=True), accuracy


class OnnxQuantiser:
    """`Quantiser` of an ONNX file.

    Attributes:
        operations: Names of the nodes that can be quantised.
    """

    def __init__(self, model: bytes, data: Int8Data) -> None:
        import onnx

        self._data, prepared = data, onnx.load_from_string(model)
        onnx.helper.set_model_props(prepared, dict([PREPARED]))
        self._bytes, self._input = prepared.SerializeToString(), prepared.graph.input[0].name
        network = _network_nodes(prepared.graph)
        self.operations = tuple(node.name for node in network if node.op_type in OPERATIONS)
        self._followers = [node.name for node in network if node.op_type in FOLLOWERS]

    def quantised(self, operations: Collection[str], arrays: Iterator[NDArray[np.uint8]]) -> bytes:
        """The file with these nodes in int8."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        with tempfile.TemporaryDirectory(prefix="residua-int8-") as folder:
            before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
            before.write_bytes(self._bytes)  # of a model in memory it would move the weights elsewhere
            quantize_static(
                before,
                after,
                _Reader(self._input, self._inputs(arrays)),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=[*operations, *self._followers],
            )
            return after.read_bytes()

    def engine(self, model: bytes | None = None) -> OnnxRuntimeEngine:
        """A session."""
        return OnnxRuntimeEngine(model or self._bytes, self._data.input_preprocess)

    def _inputs(self, arrays: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[Any]]:
        preprocess = self._data.input_preprocess
        return (array if preprocess is None else normalise_views(array, preprocess) for array in arrays)


class _Reader:
    """`CalibrationDataReader` of inputs."""

    def __init__(self, name: str, inputs: Iterator[NDArray[Any]]) -> None:
        self._name, self._inputs = name, inputs

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next input by its name; None at the end."""
        return next(({self._name: array} for array in self._inputs), None)


def _network_nodes(graph: Any) -> list[Any]:
    """The nodes from the first one with weights on: what comes before it is preprocessing."""
    constants = {each.name for each in graph.initializer}
    reached: set[str] = set()
    network = []
    for node in graph.node:
        is_first = node.op_type in WEIGHTED and constants & {*node.input}
        if is_first or reached & {*node.input}:
            reached |= {*node.output}
            network.append(node)
    return network


def _made_here(facts: ExportFacts) -> ExportFacts:
    import onnxruntime

    return facts.changed(made_with=f"{facts.made_with}, onnxruntime {onnxruntime.__version__}")
