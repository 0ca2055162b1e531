"""int8 for both runtimes: what is chosen to calibrate and to measure, what it costs, and what is refused."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest

from colour_network import TEST, TRAIN, colour_network, stretched_network
from residua.data.images import Images
from residua.errors import CheckpointError, DataError
from residua.events import Event
from residua.nn.network import Network
from residua.predict.export import int8
from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.export.graph import ExportGraph, export_graph
from residua.predict.export.int8 import Int8Accuracy, Int8Data
from residua.predict.export.int8_onnx import int8_onnx
from residua.predict.export.int8_openvino import int8_openvino
from residua.predict.export.onnx import write_onnx
from residua.predict.export.openvino import convert_to_openvino


def silent(event: Event) -> None:
    """Hears what is done."""


@cache
def traced(network: Network) -> ExportGraph:
    return export_graph(network)


@cache
def onnx_file(network: Network) -> bytes:
    return write_onnx(traced(network))


@cache
def openvino_of(network: Network) -> Any:
    return convert_to_openvino(traced(network))


def to_onnx(network: Network, **settings: Any) -> tuple[ExportFacts, Int8Accuracy]:
    data = Int8Data.of(traced(network).facts, TRAIN, TEST)
    content, accuracy = int8_onnx(onnx_file(network), data, listen=silent, **settings)
    entries = {each.key: each.value for each in onnx.load_from_string(content).metadata_props}
    assert [*entries] == [KEY]
    return ExportFacts.from_text(entries[KEY], path="int8.onnx"), accuracy


def to_openvino(network: Network, **settings: Any) -> tuple[ExportFacts, Int8Accuracy]:
    data = Int8Data.of(traced(network).facts, TRAIN, TEST)
    model, accuracy = int8_openvino(openvino_of(network), data, listen=silent, **settings)
    return ExportFacts.from_text(model.get_rt_info(KEY).astype(str), path="int8.xml"), accuracy


RUNTIMES = pytest.mark.parametrize("convert", [to_onnx, to_openvino])
Convert = Callable[..., tuple[ExportFacts, Int8Accuracy]]


@RUNTIMES
def test_that_an_ordinary_network_keeps_its_accuracy_with_every_operation_in_int8(convert: Convert) -> None:
    facts, accuracy = convert(colour_network())
    assert (accuracy.before.top1, accuracy.drop, accuracy.agreement) == (100, 0, 100)
    assert not accuracy.float_operations
    assert accuracy.after.n == len(TEST)
    assert facts.precision == "int8"
    assert facts.calibration == accuracy.sentence()
    assert "60 images of train" in facts.calibration


@RUNTIMES
def test_that_the_operations_around_a_stretched_channel_stay_float32(convert: Convert) -> None:
    _, accuracy = convert(stretched_network())
    assert accuracy.drop <= int8.MAX_DROP
    assert 0 < len(accuracy.float_operations) < accuracy.operations
    assert "float32" in accuracy.sentence()
    assert any(accuracy.float_operations[0] in note for note in accuracy.table().notes)


@RUNTIMES
def test_that_more_than_the_allowed_drop_is_refused(
    convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "STEPS", ())
    with pytest.raises(CheckpointError, match="max-drop"):
        convert(stretched_network())
    _, accuracy = convert(stretched_network(), max_drop=100)
    assert accuracy.drop > int8.MAX_DROP
    assert accuracy.comparison.losses > accuracy.comparison.wins


def test_that_the_same_training_images_calibrate_whatever_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(int8, "CALIBRATION_IMAGES", 10)
    facts = traced(colour_network()).facts
    data = Int8Data.of(facts, TRAIN, TEST)
    assert len(data.calibration) == 10
    assert data.calibration.name == "train"
    again = Int8Data.of(facts, TRAIN, TEST)
    assert again.calibration.identity() == data.calibration.identity()
    calibrating, measured = (
        {data.calibration.item(i).tobytes() for i in range(10)},
        {TEST.item(i).tobytes() for i in range(len(TEST))},
    )
    assert not calibrating & measured


def test_that_only_so_many_test_images_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "TEST_IMAGES", 12)
    data = Int8Data.of(traced(colour_network()).facts, TRAIN, TEST)
    assert len(data.test) == 12


def test_that_data_without_training_images_are_refused() -> None:
    nothing: Images = TRAIN.subset(np.arange(0))
    with pytest.raises(DataError, match="calibrate"):
        Int8Data.of(traced(colour_network()).facts, nothing, TEST)
