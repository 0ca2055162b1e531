"""Training takes a network by name, with changes, as a file, as an Arch and as a Network."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import residua
from residua.curate.clean import CleanRequest
from residua.errors import CheckpointError, ConfigError
from residua.jobs.first_weights import FIRST_WEIGHTS, model_facts
from residua.jobs.prepare import resolve
from residua.jobs.train import load_run, start_or_join
from residua.jobs.train_request import TrainRequest
from residua.nn.network import Network, build
from residua.runs.run import Run
from residua.spec.named_network import arch_of
from residua.spec.record import to_json
from residua.weights.store import read
from small import arch, file_of, photo_folder, recipe, rows, weights


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos")


@pytest.fixture
def network() -> Network:
    torch.manual_seed(7)
    return build(arch())


def request(photos: Path, folder: Path, model: Any, **options: Any) -> TrainRequest:
    """Three epochs of four steps on the photos."""
    return TrainRequest(str(photos), model, str(file_of(recipe(""), folder / "recipe.json")), **options)


@pytest.mark.parametrize(
    "model", ["cifar_resnet20:order=e,shortcut=B", "cifar_resnet20:num_classes=10,in_chans=1"]
)
def test_a_run_has_the_network_that_its_name_says(model: str) -> None:
    trained = resolve(TrainRequest("digits", model))[0].arch
    assert (trained.name, trained.stages) == (arch_of(model).name, arch_of(model).stages)
    assert trained == resolve(TrainRequest("digits", arch_of(model)))[0].arch


def test_changes_of_the_request_win_and_reach_the_default_network_too() -> None:
    both = resolve(TrainRequest("digits", "cifar_resnet20:order=e", model_changes={"order": "d"}))[0].arch
    assert both.name == "cifar_resnet20:order=d"
    default = resolve(TrainRequest("digits", model_changes={"order": "c"}))[0].arch
    assert default.name == "cifar_resnet20:order=c"


def test_a_file_of_a_network_is_trained(tmp_path: Path) -> None:
    own = replace(arch_of("cifar_resnet20"), name="mine", stages=arch_of("cifar_resnet20").stages[:1])
    file = tmp_path / "mine.json"
    file.write_text(to_json(own))
    trained = resolve(TrainRequest("digits", f"{file}:order=e"))[0].arch
    assert (trained.name, len(trained.stages), trained.tail) == ("mine:order=e", 1, "NA")


@pytest.mark.parametrize(
    ("option", "value"), [("num_classes", 7), ("in_chans", 3), ("img_size", 32)], ids=lambda each: str(each)
)
def test_a_change_that_the_data_decide_is_refused_where_they_differ(option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{option} is {value}"):
        resolve(TrainRequest("digits", f"cifar_resnet20:{option}={value}"))


@pytest.mark.parametrize("model", [5, ["resnet18"], torch.nn.Linear(2, 2)], ids=["number", "list", "module"])
def test_a_model_of_another_type_is_refused(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"model is .*Arch or a Network"):
        resolve(TrainRequest("digits", model))


def test_a_network_is_trained_from_its_weights_and_stays_as_it_is(
    photos: Path, network: Network, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    file = str(file_of(recipe(""), tmp_path / "recipe.json"))
    first = residua.train(photos, network, recipe=file, out=tmp_path / "first", progress=False)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    stored = read(first.path / "checkpoints" / FIRST_WEIGHTS)[0]
    assert stored.keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in stored.items())
    residua.save(network, tmp_path / "saved")
    second = residua.train(
        photos, arch(), recipe=file, weights=tmp_path / "saved", out=tmp_path / "second", progress=False
    )
    assert (weights(first), rows(first)) == (weights(second), rows(second))
    repeated, _ = resolve(TrainRequest(str(photos), recipe=str(first.path / "recipe.json")))
    assert Path(repeated.weights) == (first.path / "checkpoints" / FIRST_WEIGHTS).absolute()


def test_a_run_that_is_resumed_before_its_first_state_begins_with_the_weights_of_its_network(
    photos: Path, network: Network, tmp_path: Path
) -> None:
    run, prepared = start_or_join(request(photos, tmp_path, network), tmp_path / "run")
    assert all(
        torch.equal(value, network.state_dict()[key]) for key, value in prepared.network.state_dict().items()
    )
    moved = Run(Path(shutil.move(run.path, tmp_path / "moved")))
    loaded = load_run(moved).network.state_dict()
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in loaded.items())
    (moved.checkpoints / FIRST_WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=FIRST_WEIGHTS):
        load_run(moved)


def test_a_network_for_other_classes_gets_a_new_last_layer_and_keeps_the_rest(
    photos: Path, tmp_path: Path
) -> None:
    network = build(arch(classes=5))
    run, prepared = start_or_join(request(photos, tmp_path, network), tmp_path / "run")
    assert network.arch.classes == 5
    assert run.recipe.arch.classes == prepared.network.arch.classes == 3
    first = "stem.conv1.weight"
    assert torch.equal(prepared.network.state_dict()[first], network.state_dict()[first])
    assert any("head re-initialised: 5 -> 3" in note for note in prepared.notes)


def test_a_network_that_cannot_be_trained_as_it_is_is_refused(
    photos: Path, network: Network, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"weights.* leave"):
        start_or_join(request(photos, tmp_path, network, weights="other"), tmp_path / "run")
    network.stem.requires_grad_(False)
    with pytest.raises(ConfigError, match=r"frozen.*stem\.conv1"):
        start_or_join(request(photos, tmp_path, network), tmp_path / "run")
    network.requires_grad_().reset_classifier(0)
    with pytest.raises(ConfigError, match="no last layer"):
        start_or_join(request(photos, tmp_path, network), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_models_are_told_apart_by_name_changes_and_weights(network: Network) -> None:
    torch.manual_seed(8)
    other = build(arch())
    models: list[Any] = ["resnet18", "resnet18:order=e", arch_of("resnet18"), network, other, None]
    facts = [to_json(model_facts(model, {})) for model in models]
    assert len(set(facts)) == len(facts)
    assert model_facts("resnet18", {"order": "e"}) == model_facts("resnet18:order=e", {})
    assert model_facts(network, {}) == model_facts(network, {})
    assert CleanRequest(TrainRequest("photos", network)).training.model is network
