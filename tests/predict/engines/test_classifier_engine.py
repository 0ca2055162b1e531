"""`residua.load(..., engine=NAME)`: another engine computes the same probabilities."""

import numpy as np
import pytest
import torch

import residua
from residua.errors import ConfigError
from residua.nn.network import build
from residua.predict import folder
from residua.predict.classifier import Classifier
from small import PIXELS
from small import arch as small_arch

VIEWS = np.random.default_rng(1).integers(0, 256, (5, 3, PIXELS.size, PIXELS.size), np.uint8)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = build(small_arch()).eval()
    network.class_names = ("ant", "bee", "cat")
    return folder.save(network, tmp_path / "saved")


def test_a_named_engine_gives_the_probabilities_of_torch(saved):
    plain, folded = residua.load(saved), residua.load(saved, engine="torch-folded")
    assert plain.engine is None
    assert folded.engine.name == "torch-folded"
    np.testing.assert_allclose(folded.probabilities(VIEWS), plain.probabilities(VIEWS), atol=1e-5)
    picture = np.zeros((20, 30, 3), np.uint8)
    assert folded(picture).top(1)[0][0] == plain(picture).top(1)[0][0]


def test_auto_measures_and_says_what_it_measured(saved, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines = []
    classifier = residua.load(saved).with_engine("auto", VIEWS, batch_size=2, images=4, listen=lines.append)
    assert classifier.engine is not None
    assert lines
    assert classifier.probabilities(VIEWS).shape == (5, 3)


def test_an_engine_that_is_not_there_is_refused(saved):
    with pytest.raises(ConfigError, match="auto"):
        residua.load(saved, engine="warp")
    assert isinstance(residua.load(saved, engine="torch"), Classifier)
