"""What a new user writes for pretrained weights: it works, or one line says which file to put where."""

from pathlib import Path

import pytest
import torch

from command import complaint, residua, succeeded
from released import shaken
from residua.files import cache_folder
from residua.weights import catalogue, save_as
from small import photo_folder

UNREACHABLE = 7


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("names") / "photos", side=80)


@pytest.mark.parametrize(
    "words",
    [
        ("--weights", "resnet18"),
        ("--weights", "imagenet", "-m", "resnet18"),
        ("--weights", "hf-hub:timm/resnet18.a1_in1k"),
        ("--weights", "resnet18.a1_in1k"),
        ("-m", "timm:resnet18"),
        ("-m", "resnet18", "--pretrained"),
    ],
)
def test_offline_one_line_says_which_file_to_put_where(words: tuple[str, ...], photos: Path) -> None:
    line = complaint(residua("train", photos, *words, "-o", photos.parent / "run"), UNREACHABLE)
    for part in ("timm/resnet18.a1_in1k", "weights/resnet18.timm.a1/model.safetensors"):
        assert part in line
    assert not (photos.parent / "run").exists()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--weights", "IMAGENET1K_V2", "-m", "resnet50"), UNREACHABLE, "resnet50-11ad3fa6.pth"),
        (("--weights", "resnet50.torchvison.v2"), 2, "resnet50.torchvision.v2"),
        (("-m", "timm:resnet18d"), 2, "resnet18"),
        (("--weights", "gone.pth"), 5, "gone.pth"),
        (("--weights", "hf:nobody/net"), UNREACHABLE, "config.json"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(
    words: tuple[str, ...], code: int, part: str, photos: Path
) -> None:
    assert part in complaint(residua("train", photos, *words, "-o", photos.parent / "run"), code)


def test_weights_that_are_here_are_named_and_used(photos: Path, tmp_path: Path) -> None:
    """The row of the catalogue has no published digest, so that any file of its network is taken."""
    row = catalogue.find("cifar_resnet32.a-martyn")
    assert not row.sha256
    file = cache_folder() / "weights" / row.name / row.file
    file.parent.mkdir(parents=True)
    torch.save(save_as(shaken(row.model), row.dialect), file)
    shown = residua("predict", row.name, photos / "red")
    assert "licence BSD-3-Clause" in shown.stderr
    assert "00.jpg" in succeeded(shown)
    done = residua("convert", row.name, "-o", tmp_path / "saved")
    assert "licence BSD-3-Clause" in done.stderr
    assert "tensors of cifar_resnet32" in succeeded(done)
    plan = succeeded(residua("train", photos, "--weights", tmp_path / "saved", "--epochs", 1, "--dry-run"))
    assert "0.49187" in plan
    file.unlink()
