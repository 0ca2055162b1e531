"""What people see when they print a network, a predictor, a prediction or a score: lines, not pages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import residua
from residua.data.images import Images
from residua.errors import DataError
from residua.measure.evaluation import Evaluation
from residua.nn.network import Network, build
from residua.predict.classifier import Classifier
from residua.predict.prediction import Prediction
from residua.spec.recipe import Plan
from residua.tasks.classify.predictions import ClassPredictions
from residua.tasks.detect.prediction import BoxPrediction
from residua.tasks.detect.predictions import BoxPredictions
from residua.tasks.detect.score import BoxScore
from residua.tasks.video.predictor import ClipPredictor, VideoPrediction
from small import arch

CLASSES = ("ant", "bee", "cat", "\u202etac")
SHARES = np.array([[0.2, 0.5, 0.2, 0.1]] * 7, np.float32)


def network(**changes: Any) -> Network:
    return residua.create_model("cifar_resnet20", **changes)


def test_a_network_is_three_lines_and_its_tree_is_within_reach() -> None:
    model = network(num_classes=4)
    model.class_names = CLASSES
    lines = repr(model).splitlines()
    assert len(lines) == 3
    for words in ("cifar_resnet20", "0.27 M", "32 x 32 rgb", "4 classes (ant, bee, cat,", "3, 3, 3 blocks"):
        assert words in repr(model)
    assert model.tree() == nn.Module.__repr__(model)
    assert "Conv2d(3, 16" in model.tree()
    model.reset_classifier(0)
    assert "without a last layer" in repr(model)


@pytest.mark.parametrize("name", ["resnet50", "alexnet", "resmlp", "resnet3d18", "iresnet50"])
def test_every_kind_of_network_is_short(name: str) -> None:
    with torch.device("meta"):
        shown = repr(residua.create_model(name))
    assert name in shown
    assert max(map(len, shown.splitlines())) < 110


def test_many_classes_are_counted() -> None:
    model = network(num_classes=100)
    model.class_names = tuple(map(str, range(100)))
    assert "100 classes (0, 1, 2, 3, 4, and 95 more)" in repr(model)


def evaluation() -> Evaluation:
    pixels = np.zeros((7, 8, 8, 3), np.uint8)
    split = Images("val", CLASSES, np.array([1] * 5 + [0] * 2), pixels=pixels)
    return Evaluation(SHARES, split, 0.9, network="runs/insects")


SHOWN = [
    (Classifier(build(arch()), Plan("cpu", "contiguous", "float32", 1)), ("tiny", "3 classes", "cpu")),
    (ClipPredictor(build(arch()), Plan("cpu", "contiguous", "float32", 1), "ema"), ("Clip", "tiny", "ema")),
    (Prediction(CLASSES, tuple(SHARES[0].tolist())), ("bee 50.0 %", "1 more")),
    (evaluation(), ("runs/insects", "28.57 % wrong", "n = 7 of val")),
    (evaluation().score, ("center", "71.43 % top-1", "35.89 to 91.78", "n = 7 of val", "raw")),
    (
        BoxScore("voc", 71.5, (60.0, 80.0), (), (("ant", 71.5),), 9, 30, "val", "raw"),
        ("voc", "71.5 %", "60.0 to 80.0", "9 images", "30 objects"),
    ),
    (BoxPrediction(np.zeros((2, 4)), np.zeros(2), np.array([0.9, 0.5])), ("2 boxes", "90 %")),
    (
        VideoPrediction(
            Path("a/run.mp4"), CLASSES, SHARES[:2], np.zeros(2), 2.0, "s", np.zeros((8, 9, 9, 3)), "16 frames"
        ),
        ("run.mp4", "bee 50.0 %", "2 moments"),
    ),
]


@pytest.mark.parametrize(("value", "words"), SHOWN, ids=lambda value: type(value).__name__)
def test_a_result_is_one_line(value: object, words: tuple[str, ...]) -> None:
    shown = repr(value)
    assert [word for word in words if word not in shown] == []
    assert "\n" not in shown
    assert "\u202e" not in shown
    assert len(shown) < 150


def test_many_predictions_show_their_first_rows() -> None:
    files = [Path(f"{number}.png") for number in range(9)]
    outputs = [Prediction(CLASSES, tuple(SHARES[0].tolist()))] * 8 + [DataError("broken")]
    lines = repr(ClassPredictions.of(files, outputs, topk=2)).splitlines()
    assert len(lines) == 7
    assert "9 inputs, 1 cannot be read" in lines[0]
    assert lines[1].split() == ["0.png", "bee", "50.0", "%", "ant", "20.0", "%"]
    assert "3 more" in lines[-1]
    boxes = BoxPredictions(("a.png",), (None,), {0: "broken"}, CLASSES, lambda _: pytest.fail("read"))
    assert repr(boxes).splitlines() == ["BoxPredictions(1 image, 1 cannot be read)"]


def test_a_prediction_is_a_table_in_a_notebook() -> None:
    shown = Prediction(("<b>", "cat"), (0.75, 0.25))._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "75.0 %" in shown
