"""What is no picture, or an empty one, is refused with a line that says what was given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from residua.errors import DataError
from residua.nn.network import build
from residua.predict.classifier import Classifier
from residua.spec.zoo import arch

EMPTY = {
    "array without rows": np.zeros((0, 5, 3), np.uint8),
    "array without columns": np.zeros((5, 0), np.uint8),
    "array without anything": np.zeros((0, 0, 3), np.uint8),
    "image": Image.new("RGB", (0, 0)),
    "image without rows": Image.new("L", (5, 0)),
}
OTHERS = {
    "float32": np.zeros((5, 5, 3), np.float32),
    "float64": np.full((5, 5, 3), np.nan),
    "int64": np.zeros((5, 5), np.int64),
    "bool": np.zeros((5, 5), bool),
    "(3, 5, 5)": np.zeros((3, 5, 5), np.uint8),
    "(5, 5, 4)": np.zeros((5, 5, 4), np.uint8),
    "(1, 5, 5, 3)": np.zeros((1, 5, 5, 3), np.uint8),
    "(5,)": np.zeros(5, np.uint8),
    "Tensor": torch.zeros(3, 5, 5, dtype=torch.uint8),
    "NoneType": None,
    "list": [1],
}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(build(arch("cifar_resnet20")).eval())


@pytest.mark.parametrize("picture", EMPTY.values(), ids=EMPTY)
def test_an_empty_picture_is_refused(picture: Any, classifier: Classifier) -> None:
    with pytest.raises(DataError, match="empty"):
        classifier(picture)


@pytest.mark.parametrize(("word", "picture"), OTHERS.items(), ids=OTHERS)
def test_what_is_no_picture_is_named_by_its_kind(word: str, picture: Any, classifier: Classifier) -> None:
    with pytest.raises(DataError) as caught:
        classifier(picture)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for picture in (tmp_path / "a.png", b""):
        with pytest.raises(DataError, match="empty"):
            classifier(picture)


@pytest.mark.parametrize(
    "pixels", [torch.zeros(0, 3, 32, 32), torch.zeros(1, 3, 0, 0), torch.full((1, 3, 32, 32), torch.nan)]
)
def test_a_batch_without_pixels_or_of_another_type_is_refused(
    pixels: torch.Tensor, classifier: Classifier
) -> None:
    with pytest.raises(DataError, match="shape"):
        classifier.logits(pixels if pixels.isnan().any() else pixels.byte())
