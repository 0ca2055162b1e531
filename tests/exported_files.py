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


def bomb_model(count: int = 50_000_000) -> onnx.ModelProto:
    """A model whose logits need the largest of `count` equal numbers, which it makes of one."""
    model = onnx_model()
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([count]), "count"))
    graph.node[-1].output[0] = "sums"
    graph.node.append(helper.make_node("ConstantOfShape", ["count"], ["numbers"]))
    graph.node.append(helper.make_node("ReduceMax", ["numbers"], ["largest"], keepdims=0))
    graph.node.append(helper.make_node("Add", ["sums", "largest"], ["logits"]))
    return model


def write_onnx(path: Path, **options: Any) -> Path:
    """The model as a file."""
    path.write_bytes(onnx_model(**options).SerializeToString())
    return path


def write_openvino(path: Path, *, with_facts: bool = True, **options: Any) -> Path:
    """The same as a model of OpenVINO, `path` ending in .xml."""
    return save_openvino(
        onnx_model(**options), path, with_facts=with_facts, takes=options.get("takes", "inputs")
    )


def save_openvino(
    content: onnx.ModelProto,
    path: Path,
    *,
    with_facts: bool = True,
    takes: Literal["inputs", "images"] = "inputs",
) -> Path:
    """An ONNX model as a model of OpenVINO."""
    model = openvino_core().read_model(content.SerializeToString())
    if with_facts:
        model.set_rt_info(facts(takes=takes).to_text(), KEY)
    import_openvino().save_model(model, str(path), compress_to_fp16=False)
    return path
