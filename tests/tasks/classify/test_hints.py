"""The one line that says what would help most."""

from dataclasses import replace

import numpy as np
import pytest

from residua.data.images import ImageDataset
from residua.recipes import recipe as recipe_named
from residua.spec import change, zoo
from residua.tasks.classify import hints
from small import colours

RECIPE = recipe_named("quick.photos", change.with_classes(zoo.arch("resnet18"), 3), "photos")


def photographs(repeats: int = 1) -> ImageDataset:
    """24 photographs of three classes, so many times."""
    data = colours()
    return replace(data, size=300, train=data.train.subset(np.tile(np.arange(24), repeats)))


def test_few_photographs_need_pretrained_weights() -> None:
    assert "--weights" in hints.before(RECIPE, photographs(), small=64)
    assert hints.before(RECIPE, photographs(13), small=64) == ""
    assert hints.before(replace(RECIPE, weights="a.pth"), photographs(), small=64) == ""


def test_small_images_need_a_network_made_for_them() -> None:
    small = replace(RECIPE, arch=change.with_size(RECIPE.arch, 32))
    assert "cifar_resnet20" in hints.before(small, colours(), small=64)
    assert hints.before(replace(RECIPE, arch=zoo.arch("cifar_resnet20")), colours(), small=64) == ""


@pytest.mark.parametrize(
    ("train", "test", "word"),
    [(60.0, 62.0, "train longer"), (5.0, 50.0, "more examples"), (5.0, 20.0, ""), (60.0, 30.0, "")],
)
def test_a_poor_result_says_what_would_help(train: float, test: float, word: str) -> None:
    line = hints.after(RECIPE, {"train_error": train, "test_error": test})
    assert word in line
    assert bool(line) == bool(word)


def test_the_averaged_weights_count() -> None:
    row = {"train_error": 5.0, "test_error": 60.0, "ema_test_error": 10.0}
    assert hints.after(RECIPE, row) == ""
    assert "--weights" not in hints.after(replace(RECIPE, weights="a"), {"train_error": 5, "test_error": 60})
