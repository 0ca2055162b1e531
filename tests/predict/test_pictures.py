"""What is no picture, or an empty one, is refused with a line that says what was given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import residua
from residua.data.decode import convert_image
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
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
OTHERS = {
    "values from 0 to 2": np.linspace(0, 2, 75, dtype=np.float32).reshape(5, 5, 3),
    "values from -1": torch.linspace(-1, 1, 75).view(3, 5, 5),
    "float64": np.full((5, 5, 3), np.nan),
    "int64": np.zeros((5, 5), np.int64),
    "bool": np.zeros((5, 5), bool),
    "(3, 5, 5)": np.zeros((3, 5, 5), np.uint8),
    "(5, 5, 4)": np.zeros((5, 5, 4), np.uint8),
    "(5, 5, 3)": torch.zeros(5, 5, 3, dtype=torch.uint8),
    "(1, 1, 3, 5, 5)": torch.zeros(1, 1, 3, 5, 5, dtype=torch.uint8),
    "(5,)": np.zeros(5, np.uint8),
    "NoneType": None,
    "int": [1],
    "mode F": Image.new("F", (5, 5)),
    "mode I": Image.new("I", (5, 5)),
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


def test_an_array_a_tensor_and_an_image_are_one_picture(classifier: Classifier) -> None:
    tensor = torch.from_numpy(NOISE).permute(2, 0, 1)
    expected = classifier(NOISE)
    for same in (tensor, tensor / 255, (tensor / 255).double(), NOISE / 255.0, Image.fromarray(NOISE)):
        assert classifier(same) == expected
    grey = NOISE[:, :, 0]
    for same in (grey[:, :, None], torch.from_numpy(grey), torch.from_numpy(grey)[None], grey / 255.0):
        assert classifier(same) == classifier(grey)


def test_several_pictures_are_a_list_whatever_holds_them(classifier: Classifier) -> None:
    both = np.stack([NOISE, NOISE[::-1]])
    expected = [classifier(one) for one in both]
    for several in ([*both], (*both,), both, torch.from_numpy(both).permute(0, 3, 1, 2)):
        for prediction, alone in zip(classifier(several), expected, strict=True):
            np.testing.assert_allclose(prediction.probabilities, alone.probabilities, atol=1e-5)
    assert classifier([]) == []
    assert len(classifier([NOISE] * 40)) == 40


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "CMYK", "1", "I;16", "YCbCr"])
def test_every_mode_of_an_image_follows_the_rule_of_files(mode: str, classifier: Classifier) -> None:
    image = Image.new(mode, (20, 20))
    assert classifier(image) == classifier(convert_image(image, colour="rgb"))


def test_a_transparent_image_is_composed_over_white(classifier: Classifier) -> None:
    assert classifier(Image.new("RGBA", (20, 20), (9, 9, 9, 0))) == classifier(Image.new("L", (20, 20), 255))


def test_a_network_for_bands_says_what_it_reads() -> None:
    classifier = Classifier(residua.create_model("cifar_resnet20", in_chans=5).eval())
    with pytest.raises(DataError, match=r"5 bands.*\(N, 5, 32, 32\)"):
        classifier(NOISE)


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
