"""A model of OpenVINO computes what the network computes, for any batch, and tells what it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sample_network import CLASSES, sample_network

from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.export.graph import export_graph, weights_digest
from residua.predict.export.openvino import convert_to_openvino
from residua.predict.openvino_package import import_openvino, openvino_core

openvino: Any = import_openvino()


@pytest.fixture(scope="module")
def exported() -> Any:
    return convert_to_openvino(export_graph(sample_network()))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_that_the_batch_is_free_although_the_example_had_another(exported: Any, batch: int) -> None:
    network, inputs = sample_network().eval(), torch.randn(batch, 3, 12, 12)
    compiled = openvino.compile_model(exported, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with torch.inference_mode():
        np.testing.assert_allclose(compiled(inputs.numpy())["logits"], network(inputs), atol=1e-5)


def test_that_the_batch_alone_is_free(exported: Any) -> None:
    assert exported.input("inputs").partial_shape == openvino.PartialShape([-1, 3, 12, 12])


def test_that_the_file_names_network_classes_and_digest(exported: Any, tmp_path: Path) -> None:
    openvino.save_model(exported, tmp_path / "model.xml", compress_to_fp16=False)
    model = openvino_core().read_model(tmp_path / "model.xml")
    facts = ExportFacts.from_text(model.get_rt_info(KEY).value, path="model.xml")
    assert facts.classes == CLASSES
    assert facts.digest == weights_digest(sample_network())
    assert "openvino" in facts.made_with
    assert model.input("inputs").partial_shape == openvino.PartialShape([-1, 3, 12, 12])
