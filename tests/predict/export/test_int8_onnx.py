"""An int8 ONNX file has weights whose sums do not overflow on processors without VNNI."""

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array

from colour_network import TEST, TRAIN, colour_network
from residua.predict.export.graph import export_graph
from residua.predict.export.int8 import Int8Data
from residua.predict.export.int8_onnx import OnnxQuantiser
from residua.predict.export.onnx import write_onnx


@pytest.fixture(scope="module")
def quantiser() -> OnnxQuantiser:
    graph = export_graph(colour_network())
    return OnnxQuantiser(write_onnx(graph), Int8Data.of(graph.facts, TRAIN, TEST))


def quantised(quantiser: OnnxQuantiser, operations: tuple[str, ...]) -> onnx.ModelProto:
    pixels = TRAIN.pixels
    assert pixels is not None
    arrays = (pixels[i : i + 1].transpose(0, 3, 1, 2) for i in range(5))
    return onnx.load_from_string(quantiser.quantised(operations, arrays))


def test_that_weights_have_seven_bits_and_a_scale_for_each_channel(
    quantiser: OnnxQuantiser, caplog: pytest.LogCaptureFixture
) -> None:
    graph = quantised(quantiser, quantiser.operations).graph
    int8 = [to_array(each) for each in graph.initializer if each.data_type == onnx.TensorProto.INT8]
    weights = [values for values in int8 if values.ndim > 1]
    assert len(weights) == sum("conv" in name or "linear" in name for name in quantiser.operations)
    assert all(np.abs(values.astype(int)).max() <= 64 for values in weights)
    assert {values.dtype for values in weights} == {np.dtype(np.int8)}
    scales = [each for each in graph.initializer if each.name.endswith("_scale") and len(each.dims) == 1]
    assert len(scales) >= len(weights)
    assert not caplog.records


def test_that_operations_that_are_not_named_stay_float32(quantiser: OnnxQuantiser) -> None:
    first = quantiser.operations[0]
    graph = quantised(quantiser, (first,)).graph
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    assert [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] in dequantised] == [
        first
    ]
