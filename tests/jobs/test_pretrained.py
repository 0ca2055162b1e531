"""Runs that begin from weights by name: network, pixels and licence are theirs, and they resume alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import residua
from released import READS, in_catalogue, released, shaken
from residua.errors import CheckpointError, ConfigError
from residua.events import Event, PlanLine
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run
from residua.jobs.train_request import TrainRequest
from residua.predict.folder import read as read_folder
from residua.predict.model_card import model_card
from residua.runs.run import Run
from residua.spec.preprocess import Preprocess
from residua.weights import caches, save_as
from residua.weights.catalogue import ReleasedWeights
from small import rows, split_folder
from small import weights as weights_of

FAST = {
    "plan.precision": "float32",
    "plan.memory_format": "contiguous",
    "plan.compile": "off",
    "plan.threads": 1,
    "data.num_workers": 0,
    "budget.batch_size": 8,
}
CHANGES = tuple((name, str(value)) for name, value in FAST.items())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_folder(tmp_path_factory.mktemp("pretrained") / "photos", side=50)


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> ReleasedWeights:
    return released(monkeypatch)[0]


def plan_of(photos: Path, **request: object) -> "tuple[Preprocess, str, list[str]]":
    """What a run would read, its network, and the lines about weights and pixels."""
    lines: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, PlanLine) and event.text.startswith(("weights", "pixels")):
            lines.append(event.text)

    own = request.pop("changes", ())
    fields = {"recipe": "quick.small", "epochs": 1, **request, "changes": (*CHANGES, *own)}  # type: ignore[misc]
    prepared = prepare(TrainRequest(str(photos), **fields), listen=listen)  # type: ignore[arg-type]
    return prepared.recipe.arch.preprocess, prepared.recipe.arch.name, lines


def test_a_name_gives_network_and_pixels_and_says_so(photos: Path, row: ReleasedWeights) -> None:
    preprocess, name, lines = plan_of(photos, weights=row.name)
    assert (preprocess, name) == (READS, "cifar_resnet20")
    assert "licence MIT" in lines[0]
    assert lines[1].startswith("pixels  40 of 44 pixels, mean 0.1 0.2 0.3")
    assert f"as {row.name} was trained" in lines[1]
    assert "head re-initialised: 10 -> 3" in lines[2]


def test_what_the_user_asks_for_wins_over_the_weights(photos: Path, row: ReleasedWeights) -> None:
    sized, _, lines = plan_of(photos, weights=row.name, image_size=20)
    assert sized == replace(READS, size=20, resize=22)
    assert "but for the size" in lines[1]
    assert plan_of(photos, weights="auto", model="cifar_resnet20:img_size=20")[0] == sized
    changed, _, lines = plan_of(photos, weights=row.name, changes=(("arch.preprocess.mean", "0.5,0.5,0.5"),))
    assert changed == replace(READS, mean=(0.5, 0.5, 0.5))
    assert "as was set" in lines[1]


def test_a_network_may_be_named_by_its_weights(photos: Path, row: ReleasedWeights) -> None:
    preprocess, name, lines = plan_of(photos, model=row.name)
    assert (preprocess, name) == (READS, "cifar_resnet20")
    assert row.name in lines[0]


def test_a_bare_file_says_what_was_assumed(photos: Path, tmp_path: Path) -> None:
    torch.save(save_as(shaken("cifar_resnet20:shortcut=B"), "torchvision"), tmp_path / "net.pth")
    _, name, lines = plan_of(photos, weights=str(tmp_path / "net.pth"))
    assert name == "cifar_resnet20:shortcut=B"
    assert any("assumed" in line and "mean 0.4914" in line for line in lines)


def test_the_pixels_of_a_run_go_on_in_the_next(photos: Path, row: ReleasedWeights, tmp_path: Path) -> None:
    first = trained(photos, row, tmp_path / "first")
    preprocess, name, lines = plan_of(photos, weights=str(first.path))
    assert (preprocess, name) == (READS, "cifar_resnet20")
    assert str(first.path) in lines[0]
    arrays = [torch.zeros(8, 16, 16, 3, dtype=torch.uint8).numpy(), [0, 1] * 4]
    second = residua.train(
        (tuple(arrays), tuple(arrays)),
        weights=first.path,
        recipe="quick.small",
        epochs=1,
        changes=FAST,
        progress=False,
        out=tmp_path / "second",
    )
    assert second.recipe.arch.preprocess == replace(READS, size=16, resize=16)
    assert residua.load(second.path).network.pretrained_from.name == row.name  # type: ignore[attr-defined]


def trained(photos: Path, row: ReleasedWeights, out: Path, epochs: int = 1) -> Run:
    return residua.train(
        photos, weights=row.name, recipe="quick.small", epochs=epochs, changes=FAST, progress=False, out=out
    )


def test_a_run_tells_its_origin_wherever_it_goes(photos: Path, row: ReleasedWeights, tmp_path: Path) -> None:
    run = trained(photos, row, tmp_path / "run")
    digest = caches.digest_of(caches.own_path(row))
    assert run.recipe.weights == f"{row.name}@sha256:{digest}"
    network = residua.load(run.path).network  # type: ignore[attr-defined]
    assert network.pretrained_from.sha256 == digest
    residua.save(network, tmp_path / "saved")
    assert read_folder(tmp_path / "saved").pretrained_from == network.pretrained_from
    assert json.loads((tmp_path / "saved/config.json").read_text())["pretrained_from"]["licence"] == "MIT"
    card = model_card(network, "somebody/net", run=run)
    for text in (card, (run.path / "report.html").read_text()):
        assert f"{row.name}, licence MIT, trained on CIFAR-10" in text


def test_a_run_goes_on_without_network_and_without_the_cache(
    photos: Path, row: ReleasedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(photos, row, tmp_path / "whole", epochs=2)
    request = TrainRequest(str(photos), recipe="quick.small", weights=row.name, epochs=2, changes=CHANGES)
    begun = create_run(prepare(request), tmp_path / "begun")
    caches.own_path(row).unlink()
    in_catalogue(monkeypatch)
    monkeypatch.delenv("RESIDUA_OFFLINE")
    monkeypatch.setattr("socket.socket", None)
    residua.resume(begun.path, progress=False)
    assert rows(begun) == rows(whole)
    assert weights_of(begun) == weights_of(whole)
    moved = shutil.copytree(begun.path, tmp_path / "moved")
    assert residua.load(moved).network.pretrained_from  # type: ignore[attr-defined]
    assert residua.evaluate(moved)


def test_the_recipe_of_a_stranger_downloads_nothing(
    photos: Path, row: ReleasedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(photos, row, tmp_path / "run")
    recipe = str(run.path / "recipe.json")
    assert plan_of(photos, recipe=recipe)[0] == READS
    caches.own_path(row).unlink()
    monkeypatch.delenv("RESIDUA_OFFLINE")
    monkeypatch.setattr("socket.socket", None)
    with pytest.raises(ConfigError, match="not on this machine"):
        plan_of(photos, recipe=recipe)


def test_a_dry_run_downloads_nothing(
    photos: Path, row: ReleasedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches.own_path(row).unlink()
    monkeypatch.delenv("RESIDUA_OFFLINE")
    monkeypatch.setattr("socket.socket", None)
    with pytest.raises(ConfigError, match="residua weights get"):
        prepare(TrainRequest(str(photos), weights=row.name, changes=CHANGES), download=False)


def test_weights_of_another_network_are_refused(photos: Path, row: ReleasedWeights, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cifar_resnet20"):
        plan_of(photos, weights=row.name, model="cifar_plain20")
    with pytest.raises(ConfigError, match=r"tests\.v1"):
        plan_of(photos, weights="test.v1", model="cifar_resnet20")
    with pytest.raises(CheckpointError, match=r"gone\.pth"):
        plan_of(photos, weights="gone.pth")
