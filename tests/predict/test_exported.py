"""Exported files as classifiers: ONNX and OpenVINO, with and without preprocessing in the graph."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import SparseTensorProto, TensorProto, helper
from PIL import Image

import residua
from exported_files import (
    CLASSES,
    bomb_model,
    facts,
    onnx_model,
    save_openvino,
    write_onnx,
    write_openvino,
)
from residua.errors import CheckpointError, ConfigError
from residua.nn.network import build
from residua.predict.export.graph import export_graph
from residua.predict.export.pt2 import write_pt2
from residua.predict.exported import load_exported
from residua.predict.picture_classifier import rows_of_views
from small import arch, picture

FORMS = [(".onnx", "inputs"), (".onnx", "images"), (".xml", "inputs"), (".xml", "images")]


def write(path: Path, takes: str) -> Path:
    return (write_onnx if path.suffix == ".onnx" else write_openvino)(path, takes=takes)


@pytest.mark.parametrize(("suffix", "takes"), FORMS)
def test_a_file_classifies_pictures_of_every_kind_and_size(suffix: str, takes: str, tmp_path: Path) -> None:
    classify = residua.load(write(tmp_path / f"m{suffix}", takes))
    assert classify.classes == CLASSES
    pictures = [picture(colour, 3, side) for colour, side in zip(CLASSES, (12, 30, 30), strict=True)]
    Image.fromarray(pictures[0]).save(tmp_path / "0.png")
    forms = [tmp_path / "0.png", Image.fromarray(pictures[1]), pictures[2]]
    predictions = classify(forms)
    assert [prediction.top()[0][0] for prediction in predictions] == list(CLASSES)
    assert all(abs(sum(prediction.probabilities) - 1) < 1e-5 for prediction in predictions)
    assert classify((tmp_path / "0.png").read_bytes()).top() == predictions[0].top()
    assert "tiny: 3 classes" in repr(classify)
    wide = np.zeros((20, 31, 3), np.uint8)
    assert classify.view(wide).shape == ((3, 12, 12) if takes == "inputs" else (3, 20, 31))


@pytest.mark.parametrize("in_batches", [False, True])
@pytest.mark.parametrize(("suffix", "takes"), FORMS)
def test_several_pictures_get_the_answers_of_each_alone(
    suffix: str, takes: str, in_batches: bool, tmp_path: Path
) -> None:
    classify = load_exported(write(tmp_path / f"m{suffix}", takes), in_batches=in_batches)
    views = [classify.view(picture(CLASSES[n % 3], n, 12 + n % 2)) for n in range(7)]
    alone = np.concatenate([classify.probabilities(view[None]) for view in views])
    assert np.allclose(rows_of_views(classify, views), alone, atol=1e-6)


def without_facts(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def with_external_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def with_an_external_constant(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=model.graph.initializer[0])
    node.attribute[0].t.data_location = TensorProto.EXTERNAL
    model.graph.node.insert(0, node)


def external(count: int = 3) -> TensorProto:
    """A tensor whose values are in another file."""
    tensor = TensorProto(dims=[count], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def sparse() -> SparseTensorProto:
    """A sparse tensor whose values are in another file."""
    indices = helper.make_tensor("i", TensorProto.INT64, [3], [0, 1, 2])
    return SparseTensorProto(values=external(), indices=indices, dims=[3])


def with_a_sparse_constant(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], sparse_value=sparse()))


def with_a_list_of_sparse_tensors(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("own", [sparse()]))


def with_a_list_of_external_tensors(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("own", [external()]))


def with_sparse_weights(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse())


def with_a_list_of_graphs(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("own", [body]))


def with_steps_of_training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.initializer.append(external())


def with_an_operator_of_its_own(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.stranger"


def with_a_branch(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=body, else_branch=body))


def with_a_function(model: onnx.ModelProto) -> None:
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "f", [], [], [], opset))


def with_an_unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Surprise"


def of_a_newer_format(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = model.metadata_props[0].value.replace('"format": 1', '"format": 99')


def naming_too_few_classes(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = facts(classes=CLASSES[:2]).to_text()


def naming_half_a_character(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = model.metadata_props[0].value.replace('"red"', '"\\ud800"')


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (without_facts, "residua export"),
        (with_external_weights, "another file"),
        (with_an_external_constant, "another file"),
        (with_a_sparse_constant, "sparse"),
        (with_a_list_of_sparse_tensors, "sparse"),
        (with_a_list_of_external_tensors, "another file"),
        (with_sparse_weights, "sparse"),
        (with_steps_of_training, "training"),
        (with_a_list_of_graphs, "branches"),
        (with_an_operator_of_its_own, "com.stranger"),
        (with_a_branch, "branches"),
        (with_a_function, "functions"),
        (with_an_unknown_operator, "Surprise"),
        (of_a_newer_format, "99"),
        (naming_too_few_classes, "2 of 3"),
        (naming_half_a_character, "half a character"),
    ],
)
def test_an_onnx_file_that_could_do_more_than_compute_is_refused(
    change: Callable[[onnx.ModelProto], None], word: str, tmp_path: Path
) -> None:
    model, path = onnx_model(), tmp_path / "m.onnx"
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=word) as caught:
        load_exported(path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_file_are_seen_where_runtimes_see_them(tmp_path: Path) -> None:
    """ONNX Runtime drops the bits of a field's number above 32, and so reads a field that others skip."""
    model, path = onnx_model(), tmp_path / "m.onnx"
    weights = model.graph.initializer.pop()
    hidden = external(9)
    hidden.name, hidden.dims[:] = weights.name, weights.dims
    (tmp_path / "secret.bin").write_bytes(weights.raw_data)
    graph, tensor = model.graph.SerializeToString(), hidden.SerializeToString()
    initializers = bytes([5 << 3 | 2 | 128, 128, 128, 128, 32, len(tensor)])  # 5 << 3 | 2, and bit 33
    graph += initializers + tensor
    model.ClearField("graph")
    length = bytes([len(graph) & 127 | 128, len(graph) >> 7])
    path.write_bytes(model.SerializeToString() + bytes([7 << 3 | 2]) + length + graph)
    onnxruntime.InferenceSession(path)  # it reads the other file
    with pytest.raises(CheckpointError, match="no ONNX file"):
        load_exported(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_is_refused(share: float, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError):
        load_exported(path)


def test_damaged_bytes_never_raise_anything_but_a_checkpoint_error(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    content, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 4):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            load_exported(path)(picture("red", 1))
        except CheckpointError:
            refused += 1
    assert refused > 30


def test_a_damaged_model_of_openvino_is_refused(tmp_path: Path) -> None:
    path = write_openvino(tmp_path / "m.xml")
    content = path.read_bytes()
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(CheckpointError):
        load_exported(path)
    path.write_bytes(content[:300])
    with pytest.raises(CheckpointError, match="OpenVINO"):
        load_exported(path)
    with pytest.raises(CheckpointError, match="residua export"):
        load_exported(write_openvino(tmp_path / "n.xml", with_facts=False))


def test_other_endings_and_options_that_a_file_lacks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"\.onnx"):
        load_exported(tmp_path / "m.tflite")
    path = write_onnx(tmp_path / "m.onnx")
    for options in ({"device": "cuda"}, {"weights": "ema"}, {"precision": "bfloat16"}):
        with pytest.raises(ConfigError, match="exported"):
            residua.load(path, **options)


GROWTH = """
import sys
from pathlib import Path
from residua.errors import CheckpointError
from residua.predict.exported import load_exported

load_exported(Path(sys.argv[1]))
Path("/proc/self/clear_refs").write_text("5")  # the peak begins here

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

before = peak()
try:
    load_exported(Path(sys.argv[2]))
except CheckpointError as error:
    assert "small constants" in str(error)
print(peak() - before)
"""
"""Prints by how many KiB a process grows when it loads a file, after another one of the same runtime."""


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_small_file_that_describes_large_constants_takes_no_memory(suffix: str, tmp_path: Path) -> None:
    """In a process of its own, whose memory grows by nothing else."""
    harmless, bomb = write(tmp_path / f"m{suffix}", "inputs"), tmp_path / f"bomb{suffix}"
    if suffix == ".onnx":
        bomb.write_bytes(bomb_model().SerializeToString())
    else:
        save_openvino(bomb_model(), bomb)
    command = [sys.executable, "-c", GROWTH, str(harmless), str(bomb)]
    assert int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) < 64 * 1024


def test_the_weights_beside_a_model_of_openvino_count_as_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_openvino(tmp_path / "m.xml")
    monkeypatch.setattr("residua.predict.exported.MAX_BYTES", path.stat().st_size)
    with pytest.raises(CheckpointError, match="give at most"):
        load_exported(path)


def test_a_graph_with_other_outputs_than_its_facts_is_refused(tmp_path: Path) -> None:
    model, path = onnx_model(), tmp_path / "m.onnx"
    model.metadata_props[0].value = facts(classes=(*CLASSES, "grey"), arch=arch(4)).to_text()
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"\(1, 3\)"):
        load_exported(path)(picture("red", 1))


def test_an_archive_of_torch_is_refused_because_it_can_run_code(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    write_pt2(export_graph(build(arch()).eval()), path)
    with pytest.raises(CheckpointError, match="code"):
        load_exported(path)
    with pytest.raises(CheckpointError, match="code"):
        residua.load(path)
