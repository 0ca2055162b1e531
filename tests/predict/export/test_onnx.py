"""An ONNX file computes what the network computes, for any batch, and tells what it is."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sample_network import CLASSES, ORIGIN, sample_network

from residua.errors import ConfigError
from residua.predict.export import onnx as export_onnx
from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.export.graph import export_graph, weights_digest
from residua.predict.export.onnx import OPSET, onnx_bytes

OPSET_20 = onnx.helper.make_opsetid("", 20)


@pytest.fixture(scope="module")
def exported() -> bytes:
    return onnx_bytes(sample_network())


def logits(model: bytes, inputs: torch.Tensor) -> np.ndarray:
    """What ONNX Runtime computes."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"inputs": inputs.numpy()})[0])


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_that_the_batch_is_free_although_the_example_had_another(exported: bytes, batch: int) -> None:
    network, inputs = sample_network().eval(), torch.randn(batch, 3, 12, 12)
    with torch.inference_mode():
        np.testing.assert_allclose(logits(exported, inputs), network(inputs), atol=1e-5)


def test_that_the_opset_is_the_one_that_was_asked_for(exported: bytes) -> None:
    model = onnx.load_from_string(exported)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    onnx.checker.check_model(model, full_check=True)


def test_that_another_opset_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_onnx, "_translated", lambda _: onnx.ModelProto(opset_import=[OPSET_20]))
    with pytest.raises(ConfigError, match="opset"):
        onnx_bytes(sample_network())


def test_that_all_weights_are_in_the_one_file(exported: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(exported)
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert not [each for each in model.graph.initializer if each.external_data]


def test_that_weights_beyond_one_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_onnx, "LIMIT", 1000)
    with pytest.raises(ConfigError, match="openvino"):
        onnx_bytes(sample_network())


def test_that_axes_and_outputs_have_names(exported: bytes) -> None:
    graph = onnx.load_from_string(exported).graph
    sides = [axis.dim_param or axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    assert (graph.input[0].name, sides) == ("inputs", ["n", 3, 12, 12])
    outputs = [axis.dim_param or axis.dim_value for axis in graph.output[0].type.tensor_type.shape.dim]
    assert (graph.output[0].name, outputs) == ("logits", ["n", 3])


def test_that_the_file_names_network_classes_digest_and_licence(exported: bytes) -> None:
    entries = {each.key: each.value for each in onnx.load_from_string(exported).metadata_props}
    facts = ExportFacts.from_text(entries[KEY], path="model.onnx")
    network = sample_network()
    assert (facts.arch, facts.preprocess) == (network.arch, network.preprocess)
    assert facts.classes == CLASSES
    assert facts.digest == weights_digest(network)
    assert (facts.takes, facts.licence, facts.origin) == ("inputs", "MIT", ORIGIN.text)
    assert all(name in facts.made_with for name in ("residua", "torch", "onnx"))


def test_that_an_export_is_the_same_file_twice_and_names_no_folder_of_the_machine(exported: bytes) -> None:
    assert onnx_bytes(sample_network()) == exported
    assert b".py" not in exported


def test_that_a_network_in_channels_last_becomes_the_same_operators(exported: bytes) -> None:
    """Adaptive pooling gave its output strides there, which the exporter wrote as indices, once as a loop."""
    network = sample_network().to(memory_format=torch.channels_last)
    kinds = [
        [node.op_type for node in onnx.load_from_string(content).graph.node]
        for content in (exported, onnx_bytes(network))
    ]
    assert kinds[0] == kinds[1]
    assert not {"Loop", "Gather", "Range"} & {*kinds[1]}


def test_that_exporting_leaves_the_network_as_it_was() -> None:
    network = sample_network()
    network.set_grad_checkpointing()
    before = weights_digest(network)
    export_graph(network)
    assert network.training
    assert network.segments
    assert weights_digest(network) == before


def test_that_a_network_without_a_last_layer_is_refused() -> None:
    network = sample_network()
    network.reset_classifier(0)
    with pytest.raises(ValueError, match="last layer"):
        export_graph(network)
