"""Runs as served models: on which images their engines must agree."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_server import ColourClassifier

import small
from residua.predict.engines import choose
from residua.runs.run import create
from residua.serve import trained
from residua.serve.trained import load_trained, own_views

FACTS: dict[str, Any] = {"classes": ["blue", "green", "red"], "train": 20, "test": 4, "digest": ""}


def run_of(path: Path, source: str, **facts: Any) -> Path:
    """A run without a state, which names its images."""
    return create(path, small.recipe(source), identity=FACTS | facts).path


def test_engines_are_compared_on_images_of_the_run(tmp_path: Path) -> None:
    photos, classifier = small.photo_folder(tmp_path / "photos"), ColourClassifier()
    views: Any = own_views(run_of(tmp_path / "run", str(photos)), classifier)  # type: ignore[arg-type]
    files = {classifier.view(file).tobytes() for file in photos.rglob("*.*")}
    assert len(views) == choose.SAMPLE
    assert len({view.tobytes() for view in views} & files) == choose.SAMPLE


def test_images_that_are_not_at_hand_are_not_waited_for(tmp_path: Path) -> None:
    photos = small.photo_folder(tmp_path / "photos")
    places = [
        run_of(tmp_path / "moved", str(tmp_path / "moved photos")),
        run_of(tmp_path / "large", str(photos), train=10_000_000),
        run_of(tmp_path / "far", "https://127.0.0.1:1/shards"),
        run_of(tmp_path / "named", "cifar10"),
        photos,
    ]
    assert [own_views(path, ColourClassifier()) for path in places] == [None] * 5  # type: ignore[arg-type]


def test_the_choice_of_an_engine_gets_them(trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views, compared = np.zeros((2, 3, 12, 12), np.uint8), []

    def chosen(network: Any, views: Any, **_: Any) -> Any:
        compared.append(views)
        return choose.named_engine(network, choose.EAGER, batch_size=8)

    monkeypatch.setattr(trained, "own_views", lambda *_: views)
    monkeypatch.setattr(choose, "choose_engine", chosen)
    load_trained(trained_run, "colours", "auto", lambda _: None)
    assert [each is views for each in compared] == [True]
