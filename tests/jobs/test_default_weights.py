"""Which weights training takes by itself, and what it says where there are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from released import ROW, in_catalogue, released
from residua.data.http_download import PATIENCE, Patience
from residua.errors import CheckpointError, ResiduaError, ResourceError, UnreachableError
from residua.events import Event, Note
from residua.jobs import default_weights as module
from residua.jobs.default_weights import BENCHMARKS, default_weights
from residua.jobs.prepare import open_data
from residua.jobs.train_request import TrainRequest
from small import photo_folder


def test_weights_in_a_cache_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = released(monkeypatch)
    assert default_weights("photos", "cifar_resnet20", download=False).name == row.name


@pytest.mark.parametrize("source", [*BENCHMARKS, "cifar10:folder", "imagenet:folder"])
def test_a_benchmark_by_name_takes_none(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    released(monkeypatch)
    chosen = default_weights(source, "cifar_resnet20", download=True)
    assert (chosen.name, chosen.note) == ("", "")


def test_a_licence_that_forbids_uses_is_never_taken_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    released(monkeypatch, licence="CC-BY-NC-4.0")
    assert not default_weights("photos", "cifar_resnet20", download=True).name


def test_offline_the_line_says_which_command_fetches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    in_catalogue(monkeypatch, replace(ROW, file="not-here.pth"))
    chosen = default_weights("photos", "cifar_resnet20", download=True)
    assert not chosen.name
    for word in ("from scratch", f"residua weights get {ROW.name}", "MIT", ROW.urls[0], "not-here.pth"):
        assert word in chosen.note


@pytest.mark.usefixtures("online")
def test_a_file_that_is_here_comes_before_the_download_of_a_better_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row, _ = released(monkeypatch)
    better = replace(row, name="cifar_resnet20.tests.v2", file="not-here.pth", top1=92.5)
    in_catalogue(monkeypatch, better, row)
    monkeypatch.setattr(module.fetch, "fetch", None)
    chosen = default_weights("photos", "cifar_resnet20", download=True)
    assert chosen.name == row.name
    assert f"residua weights get {better.name}" in chosen.note


@pytest.mark.usefixtures("online")
def test_name_size_and_licence_are_told_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    in_catalogue(monkeypatch, replace(ROW, file="not-here.pth"))
    told: list[Event] = []

    def fetch(*_: object, **__: object) -> Path:
        assert isinstance(told[0], Note)
        for word in (ROW.name, "MiB", "MIT", "CIFAR-10", "--from-scratch"):
            assert word in told[0].text
        return Path("file")

    monkeypatch.setattr(module.fetch, "fetch", fetch)
    assert default_weights("photos", "cifar_resnet20", download=True, listen=told.append).name == ROW.name
    assert not default_weights("photos", "cifar_resnet20", download=False).name


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("kind", [UnreachableError, CheckpointError, ResourceError])
def test_a_download_that_fails_stops_no_training(
    monkeypatch: pytest.MonkeyPatch, kind: type[ResiduaError]
) -> None:
    def fetch(*_: object, patience: Patience = PATIENCE, **__: object) -> Path:
        assert patience.seconds < PATIENCE.seconds
        raise kind("tests.invalid does not answer")

    in_catalogue(monkeypatch, replace(ROW, file="not-here.pth"))
    monkeypatch.setattr(module.fetch, "fetch", fetch)
    chosen = default_weights("photos", "cifar_resnet20", download=True)
    assert not chosen.name
    assert "tests.invalid" in chosen.note


def test_a_folder_gets_them_with_their_preprocessing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row, _ = released(monkeypatch)
    folder = photo_folder(tmp_path / "photos")
    opened = open_data(TrainRequest(str(folder), model="cifar_resnet20"))
    assert opened.default.name == row.name
    assert opened.weights
    assert opened.weights.preprocess == row.preprocess
    for refused in ({"from_scratch": True}, {"recipe": "quick.small"}):
        assert not open_data(TrainRequest(str(folder), model="cifar_resnet20", **refused)).weights  # type: ignore[arg-type]


def test_images_in_memory_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from residua.data.sources.objects import source_and_listing

    released(monkeypatch)
    pixels, labels = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 2
    source, listing = source_and_listing((pixels, labels))
    assert not open_data(TrainRequest(source, model="cifar_resnet20", listing=listing)).default.name
