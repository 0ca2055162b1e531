"""The size at which a network reads images: by --image-size, by a setting, and for few photographs."""

from pathlib import Path

import pytest
import torch

from box_data import voc_folder
from residua.errors import ConfigError
from residua.jobs.prepare import prepare, resolve
from residua.jobs.train_request import TrainRequest
from residua.recipes import few_images
from residua.spec import change, zoo
from residua.spec.arch import Arch
from small import photo_folder, recipe, split_folder

CPU = (("plan.device", "cpu"),)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("sizes") / "photos", side=150)


@pytest.fixture(scope="module")
def small_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_folder(tmp_path_factory.mktemp("sizes") / "images")


def sizes(source: Path | str, model: str | Arch | None = None, **request: object) -> tuple[int, int]:
    """Crop and shorter side before it."""
    decided, _ = resolve(TrainRequest(str(source), model, **request))  # type: ignore[arg-type]
    return decided.arch.preprocess.size, decided.arch.preprocess.resize


def test_image_size_sets_crop_and_resize_together(photos: Path, small_images: Path) -> None:
    assert sizes(photos, "resnet18", image_size=96) == (96, 109)
    assert sizes(photos, "resnet18", image_size=224, recipe="quick.photos") == (224, 256)
    assert sizes(small_images, "cifar_resnet20", image_size=20) == (20, 20)
    assert sizes("digits", "cifar_resnet20", image_size=16) == (16, 16)


def test_image_size_sets_the_scales_of_a_paper(photos: Path) -> None:
    decided, _ = resolve(TrainRequest(str(photos), "resnet18", "he2016.imagenet", image_size=112))
    assert decided.augment.sides == (128, 240)


def test_the_size_alone_takes_the_resize_with_it(photos: Path) -> None:
    size = ("arch.preprocess.size", "56")
    assert sizes(photos, "resnet18", changes=(size,)) == (56, 64)
    assert sizes(photos, "resnet18", changes=(("arch.preprocess.size", "448"),)) == (448, 512)


def test_an_explicit_pair_stays(photos: Path) -> None:
    pair = (("arch.preprocess.size", "56"), ("arch.preprocess.resize", "256"))
    assert sizes(photos, "resnet18", changes=pair) == (56, 256)
    assert sizes(photos, "resnet18", changes=(("arch.preprocess.resize", "240"),)) == (224, 240)


def test_two_sizes_are_refused(photos: Path) -> None:
    with pytest.raises(ConfigError, match="give one"):
        sizes(photos, "resnet18", image_size=64, changes=(("arch.preprocess.size", "32"),))
    with pytest.raises(ConfigError, match="img_size"):
        sizes(photos, "resnet18:img_size=96", image_size=64)


@pytest.mark.parametrize("size", [0, -3, 1 << 20])
def test_a_size_that_no_image_has_is_refused(size: int, photos: Path) -> None:
    with pytest.raises(ConfigError, match="size"):
        sizes(photos, "resnet18", image_size=size)


def test_few_photographs_are_read_small_on_a_cpu(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sizes(photos, "resnet18", changes=CPU) == (128, 146)
    monkeypatch.setattr(few_images, "MIN_UPDATES", 0)  # so that they are not few
    assert sizes(photos, "resnet18", changes=CPU) == (224, 256)


def test_a_size_that_the_user_chose_stays(photos: Path, tmp_path: Path) -> None:
    assert sizes(photos, "resnet18:img_size=160", changes=CPU)[0] == 160
    assert sizes(photos, change.with_size(zoo.arch("resnet18"), 160), changes=CPU)[0] == 160
    assert sizes(photos, "resnet18", image_size=160, changes=CPU)[0] == 160
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "resnet18.pth")
    assert sizes(photos, "resnet18", weights=str(tmp_path / "resnet18.pth"), changes=CPU)[0] == 224
    assert sizes(photos, "resnet18", recipe="quick.photos", changes=CPU)[0] == 224
    assert sizes(photos, recipe=recipe(str(photos)), changes=CPU) == (12, 12)


def test_a_detector_keeps_its_size(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ssd512"):
        sizes(f"voc:{voc_folder(tmp_path)}", image_size=64)


def test_the_plan_says_what_was_chosen_for_few_images(small_images: Path) -> None:
    prepared = prepare(TrainRequest(str(small_images), "smallconvnet", changes=CPU))
    few = next(note for note in prepared.notes if note.startswith("few "))
    assert "24 training images" in few
    assert "--batch-size" in few
    assert "450 steps" in next(note for note in prepared.notes if note.startswith("length"))
    assert prepared.recipe.budget.epochs == 150
