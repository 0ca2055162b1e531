"""Many images are predicted by an engine that is measured, or taken by name; few as the network is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from residua.data.inputs import Inputs, list_inputs
from residua.errors import ConfigError
from residua.jobs.predict import PredictJob
from residua.nn.network import build
from residua.predict.classifier import Classifier
from residua.predict.engines import choose as engine_choice
from residua.tasks.classify import fast_engine
from residua.tasks.classify.fast_engine import with_engine
from residua.tasks.classify.picture_stream import predict_pictures
from residua.tasks.classify.predict_task import ClassifyPredict
from residua.tasks.predict_task import PredictOptions
from small import COLOURS, arch, photo_folder


@pytest.fixture
def classifier() -> Classifier:
    network = build(arch()).eval()
    network.class_names = tuple(COLOURS)
    return Classifier(network)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    photos = photo_folder(tmp_path / "photos", count=4)
    (photos / "blue" / "00.jpg").write_bytes(b"no image")
    return list_inputs([str(photos)])


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("nothing is to be measured")


@pytest.mark.parametrize("name", ["onnxruntime", "torch-folded"])
def test_an_engine_by_name_predicts_the_same(name: str, classifier: Classifier, inputs: Inputs) -> None:
    task, options = ClassifyPredict(), PredictOptions(topk=3, engine=name)
    fast = with_engine(classifier, inputs, options, never)
    assert fast.engine is not None
    assert fast.engine.name == name
    (expected,) = predict_pictures(classifier, inputs, options)
    (part,) = task.predict(fast, inputs, options)
    assert [*part.failures] == [0]
    for pairs, others in zip(part.top, expected.top, strict=True):
        assert dict(pairs) == pytest.approx(dict(others), abs=1e-4)


def test_few_images_are_predicted_as_the_network_is(classifier: Classifier, inputs: Inputs) -> None:
    assert with_engine(classifier, inputs, PredictOptions(engine="auto"), never) is classifier
    for engine in ("auto", "torch"):
        job = PredictJob(ClassifyPredict(), classifier, inputs, PredictOptions(engine=engine), Path("run"))
        assert job.accelerated(never).predict_with in (None, classifier)


def test_many_images_are_predicted_by_what_was_chosen_on_the_first_of_them(
    classifier: Classifier, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    class Chosen:
        name = "chosen"

        def logits(self, views: Any) -> Any:
            return np.eye(3, dtype=np.float32)[[1] * len(views)]

    def choose(network: Any, views: Any, **options: Any) -> Chosen:
        calls.append((network, views, options))
        return Chosen()

    monkeypatch.setattr(engine_choice, "choose_engine", choose)
    monkeypatch.setattr(fast_engine, "FEW", 10)
    options = PredictOptions(engine="auto", mirrored=True, batch_size=5)
    fast = with_engine(classifier, inputs, options, never)
    ((network, views, given),) = calls
    assert network is classifier.network
    assert views.shape == (8, 3, 12, 12)
    assert np.array_equal(views[0], classifier.view(inputs.item(1)))
    assert (given["batch_size"], given["images"]) == (5, 24)
    assert set(next(predict_pictures(fast, inputs, options)).best_classes[1:]) == {"green"}


def test_an_unknown_engine_is_refused_with_those_that_exist(classifier: Classifier, inputs: Inputs) -> None:
    with pytest.raises(ConfigError, match="onnxruntime"):
        with_engine(classifier, inputs, PredictOptions(engine="fastest"), never)
