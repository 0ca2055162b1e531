"""Exported files, written by hand in no time, that tell the colours of `small.photo_folder` apart."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.openvino_package import import_openvino, openvino_core
from small import COLOURS, PIXELS, arch

CLASSES = tuple(COLOURS)
"""blue, green, red: a class is the channel that is brightest."""
_CHANNELS = np.eye(3, dtype=np.float32)[::-1]


def facts(**changes: Any) -> ExportFacts:
    """What the files say of themselves."""
    return ExportFacts(arch(), PIXELS, CLASSES, "0" * 64).changed(**changes)


def onnx_model(takes: Literal["inputs", "images"] = "inputs", *, scale: float = 2.0) -> onnx.ModelProto:
    """The mean of each channel, as logits of the three classes; with facts."""
    side = PIXELS.size
    nodes, name = [helper.make_node("ReduceMean", ["inputs"], ["mean"], axes=[2, 3], keepdims=0)], "inputs"
    reads = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", 3, side, side])
    if takes == "images":
        reads = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])
        nodes = [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
        ]
    nodes.append(helper.make_node("MatMul", ["mean", "weights"], ["logits"]))
    factor = scale if takes == "inputs" else scale / 64
    weights = numpy_helper.from_array(np.ascontiguousarray(factor * _CHANNELS.T), "weights")
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, name, [reads], [logits], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {KEY: facts(takes=takes).to_text()})
    return model


def write_onnx(path: Path, **options: Any) -> Path:
    """The model as a file."""
    path.write_bytes(onnx_model(**options).SerializeToString())
    return path


def write_openvino(path: Path, *, with_facts: bool = True, **options: Any) -> Path:
    """The same as a model of OpenVINO, `path` ending in .xml."""
    model = openvino_core().read_model(onnx_model(**options).SerializeToString())
    if with_facts:
        model.set_rt_info(facts(takes=options.get("takes", "inputs")).to_text(), KEY)
    import_openvino().save_model(model, str(path), compress_to_fp16=False)
    return path
