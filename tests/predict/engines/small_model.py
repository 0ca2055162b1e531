"""An ONNX model so small that the logits of its views can be computed by hand."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from residua.predict.engines.normalise import normalise_views
from residua.spec.preprocess import Preprocess, packed

SIDE = 8
READS = Preprocess(SIDE, SIDE, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
"""What the model reads."""
WEIGHTS = np.array([[1, 2, 3], [0, -1, 1]], np.float32)
"""Of the linear layer behind the mean of each channel."""
LEVELS = np.random.default_rng(5).integers(0, 256, (3, 12, 12), np.uint8)
"""A mean image of another size than the views."""
WITH_MEAN_IMAGE = Preprocess(SIDE, SIDE, (0.0,) * 3, (1.0,) * 3, mean_image=packed(LEVELS.tobytes()))
"""A path with a mean image."""


def onnx_model() -> bytes:
    """Mean of each channel, then two classes."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["inputs"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights"], ["logits"], transB=1),
    ]
    inputs = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])
    weights = numpy_helper.from_array(WEIGHTS, "weights")
    graph = helper.make_graph(nodes, "small", [inputs], [logits], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def views(count: int) -> NDArray[np.uint8]:
    """Random views."""
    return np.random.default_rng(count).integers(0, 256, (count, 3, SIDE, SIDE), np.uint8)


def expected(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[Any]:
    """The logits of the model, computed by numpy."""
    return normalise_views(pixels, preprocess).mean((2, 3)) @ WEIGHTS.T
