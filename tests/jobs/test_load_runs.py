"""`residua.load` gives the predictor of a network's task."""

from pathlib import Path

import pytest

import box_data
import residua
import small
from residua.nn.network import build
from residua.predict.classifier import Classifier
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.tasks.detect.predict_task import DetectPredict
from residua.tasks.video.predictor import ClipPredictor


def test_saved_networks_for_images_and_clips_are_loaded(tmp_path: Path) -> None:
    image = residua.save(build(small.arch()), tmp_path / "image")
    clip = residua.save(build(inflate(small.arch(), Clip(3, 2))), tmp_path / "clip")
    assert isinstance(residua.load(image, device="cpu"), Classifier)
    assert isinstance(residua.load(str(clip), device="cpu"), ClipPredictor)


def test_a_run_with_boxes_is_loaded_as_its_task_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    run.mkdir()
    small.file_of(box_data.recipe("voc:none"), run / "recipe.json")
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(DetectPredict, "load", lambda _, path, **words: calls.append((path, words)))
    residua.load(run, weights="best", device="cpu")
    residua.Run(run).predictor(weights="best", device="cpu")
    expected = (run, {"weights": "best", "device": "cpu", "precision": "float32"})
    assert calls == [expected, expected]
