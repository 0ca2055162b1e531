"""`create_model` with weights by name, and trained networks by name in every command."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import residua
from released import READS, released, shaken
from residua.errors import ConfigError, UnreachableError
from residua.jobs.analyse import analyse
from residua.jobs.convert import convert
from residua.jobs.models import create_model
from residua.jobs.predict import predict
from residua.predict.folder import read as read_folder
from residua.tasks.predict_task import PredictOptions
from residua.weights import caches, save_as
from residua.weights.catalogue import ReleasedWeights
from small import photo_folder

IMAGES = torch.rand(2, 3, 32, 32)


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> ReleasedWeights:
    return released(monkeypatch)[0]


def test_one_network_by_many_names(row: ReleasedWeights) -> None:
    first = create_model("cifar_resnet20", weights="tests.v1")
    assert (first.preprocess, first.class_names[0]) == (READS, "airplane")
    assert first.pretrained_from
    others = [
        create_model("cifar_resnet20", weights=True),
        create_model("cifar_resnet20", pretrained=True),
        create_model("cifar_resnet20", "auto"),
        create_model(weights=row.name),
        create_model(row.name, pretrained=True),
        create_model(row.name, weights="auto"),
        create_model("cifar_resnet20", weights=caches.own_path(row)),
    ]
    for other in others:
        assert torch.equal(other.eval()(IMAGES), first.eval()(IMAGES))
    assert all(other.preprocess == READS for other in others[:-1])


def test_without_weights_a_name_is_a_network(row: ReleasedWeights) -> None:
    network = create_model(row.name)
    assert (network.preprocess, network.pretrained_from) == (READS, None)
    with pytest.raises(ConfigError, match="network"):
        create_model()


def test_changes_win_over_what_weights_bring(row: ReleasedWeights) -> None:
    grey = create_model(row.name, pretrained=True, num_classes=3, in_chans=1, img_size=20)
    assert (grey.preprocess.size, grey.preprocess.resize, grey.preprocess.colour) == (20, 22, "grey")
    assert grey.preprocess.mean == pytest.approx([0.2])
    assert (grey.num_classes, grey.class_names) == (3, ())
    maps = create_model("cifar_resnet20", weights=row.name, features_only=True)
    assert [*maps(IMAGES)][-1].shape == (2, 64, 8, 8)


def test_what_is_known_and_assumed_is_in_the_log(
    row: ReleasedWeights, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "residua")
    create_model(row.name, pretrained=True)
    assert "licence MIT" in caplog.text
    torch.save(save_as(shaken("cifar_resnet20"), "cifar"), tmp_path / "net.pth")
    create_model("cifar_resnet20", weights=tmp_path / "net.pth")
    assert "assumed" in caplog.text


def test_a_saved_folder_brings_its_pixels_and_classes(tmp_path: Path) -> None:
    network = shaken("cifar_resnet20", num_classes=2)
    network.class_names = ("cat", "dog")
    residua.save(network, tmp_path / "pets")
    again = create_model("cifar_resnet20", tmp_path / "pets")
    assert again.class_names == ("cat", "dog")
    assert torch.equal(again.eval()(IMAGES), network(IMAGES))


def test_published_weights_are_a_trained_network(row: ReleasedWeights, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((50, 50, 3), 90, np.uint8)).save(photo)
    for name in (row.name, "cifar_resnet20"):
        classify = residua.load(name)
        assert len(classify.classes) == 10
    predictions, noun = predict(Path(row.name), [photo], PredictOptions(topk=2))
    assert (len(predictions), noun) == (1, "image")
    folder = photo_folder(tmp_path / "photos")
    for colour, name in zip(("blue", "green", "red"), classify.classes, strict=False):
        (folder / colour).rename(folder / name)
    (score,) = residua.evaluate(row.name, data=str(folder))
    assert score.n == 24
    assert analyse([row.name], what=["field"])
    with pytest.raises(ConfigError, match=r"cifar_resnet20\.tests\.v1"):
        residua.load("cifar_resnet20.test.v1")
    caches.own_path(row).unlink()
    with pytest.raises(UnreachableError, match=row.file):
        residua.load(row.name)


def test_weights_by_name_become_a_folder(row: ReleasedWeights, tmp_path: Path) -> None:
    done = convert(row.name, out=tmp_path / "saved")
    assert any("licence MIT" in note for note in done.notes)
    saved = read_folder(tmp_path / "saved")
    assert (saved.preprocess, len(saved.class_names)) == (READS, 10)
    assert saved.pretrained_from
    assert saved.pretrained_from.name == row.name


def test_timm_takes_the_best_published_weights(row: ReleasedWeights) -> None:
    import residua.timm  # noqa: F401 (it registers the names)

    network = timm.create_model("residua_cifar_resnet20", pretrained=True)
    assert (network.preprocess, network.pretrained_cfg["mean"]) == (READS, [0.1, 0.2, 0.3])
    with pytest.raises(ConfigError, match="resmlp"):
        timm.create_model("residua_resmlp", pretrained=True)


def test_the_preprocess_of_a_file_of_a_network_is_kept(row: ReleasedWeights, tmp_path: Path) -> None:
    """Who writes a network in full decides what it reads."""
    from residua.spec.named_network import arch_of
    from residua.spec.record import to_json

    own = replace(READS, size=30, resize=31)
    (tmp_path / "net.json").write_text(to_json(replace(arch_of("cifar_resnet20"), preprocess=own)))
    assert create_model(str(tmp_path / "net.json"), weights=row.name).preprocess == own
