"""A small file that describes a giant network: refused before memory is taken for that network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch

import residua
import residua.timm
from residua.errors import CheckpointError, ConfigError
from residua.jobs.convert import convert
from residua.jobs.models import create_model
from residua.nn.network import Network, build
from residua.predict.folder import CONFIG
from residua.runs import checkpoint
from residua.runs.metadata_backup import write_backup
from residua.runs.run import RECIPE
from residua.spec.arch import Arch
from residua.spec.block import Block
from residua.spec.detector import DETECTORS
from residua.spec.record import to_json, to_plain
from residua.spec.zoo import arch as named
from residua.tasks.detect.predictor import load as load_detector
from residua.weights.load import FILE, load
from residua.weights.store import publish
from small import arch, colours, file_of, fresh, photo_folder, recipe

HUGE = replace(named("vgg16"), classes=100_000)
"""543 million weights."""
DEEP = replace(arch(), stages=((Block("A"),) * 5_000,))
"""More layers than a file of 30 KB may have."""


@pytest.fixture(autouse=True)
def no_huge_network_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Network.__init__

    def make_small(self: Network, spec: Arch, **options: Any) -> None:
        assert spec.classes < 100_000, "it is built"
        assert len(spec.blocks()) < 5_000, "it is built"
        make(self, spec, **options)

    monkeypatch.setattr(Network, "__init__", make_small)


def described(folder: Path, spec: Arch, *, facts: bool) -> Path:
    """A saved folder whose `config.json` says that its small weights are of `spec`."""
    residua.save(build(arch()), folder)
    plain = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**plain, "arch": to_plain(spec), "num_classes": spec.classes}))
    if facts:
        publish(folder / FILE, build(arch()).state_dict(), {"arch": to_plain(spec), "classes": []})
    else:
        safetensors.torch.save_file(build(arch()).state_dict(), folder / FILE)
    return folder


@pytest.mark.parametrize("facts", [True, False], ids=["ours", "foreign"])
@pytest.mark.parametrize("spec", [HUGE, DEEP], ids=["huge", "deep"])
def test_a_folder_that_describes_a_giant_is_refused(spec: Arch, facts: bool, tmp_path: Path) -> None:
    folder = described(tmp_path / "saved", spec, facts=facts)
    with pytest.raises(CheckpointError, match=FILE):
        residua.load(folder)
    if facts:
        with pytest.raises(CheckpointError, match=FILE):
            residua.load(folder / FILE)


def test_weights_of_another_number_of_classes_are_not_taken_for_those_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"head\.linear1\.weight"):
        residua.load(described(tmp_path / "saved", arch(classes=5), facts=False))


def test_a_config_longer_than_any_is_not_parsed(tmp_path: Path) -> None:
    folder = described(tmp_path / "saved", arch(), facts=False)
    with (folder / CONFIG).open("a") as file:
        file.write(" " * 2**22)
    with pytest.raises(CheckpointError, match=CONFIG):
        residua.load(folder)


def test_a_folder_for_timm_that_describes_a_giant_is_refused(tmp_path: Path) -> None:
    folder = residua.save(create_model("cifar_resnet20"), tmp_path / "saved")
    plain = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**plain, "num_classes": 1_000_000}))
    with pytest.raises(CheckpointError, match=FILE):
        timm.create_model(f"local-dir:{folder}", pretrained=True)


def test_a_last_layer_of_many_classes_and_no_numbers_is_not_converted(tmp_path: Path) -> None:
    state = {"linear.weight": torch.zeros(1_000_000, 0), "linear.bias": torch.zeros(0)}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth"):
        convert(tmp_path / "a.pth", "cifar_resnet20", out=tmp_path / "out")


def test_a_run_whose_recipe_describes_a_giant_is_not_resumed(tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos")
    small = file_of(recipe(""), tmp_path / "recipe.json")
    run = residua.train(photos, recipe=str(small), epochs=1, out=tmp_path / "run")
    giant = replace(run.recipe, arch=HUGE, budget=replace(run.recipe.budget, epochs=9))
    (run.path / RECIPE).write_text(to_json(giant))
    (run.path / "finished.json").unlink()
    write_backup(run.path)
    with pytest.raises(CheckpointError, match="state-"):
        residua.resume(run.path, force_environment=True)


def test_a_file_that_describes_a_giant_detector_is_refused(tmp_path: Path) -> None:
    """Its layers that predict classes would take 60 GB; its backbone is honest."""
    rows = len(DETECTORS["ssd300"].ratios)
    detector = replace(DETECTORS["ssd300"], ratios=((2.0,) * 400,) * rows)
    names = [f"class {number}" for number in range(1000)]
    facts = {"arch": to_plain(named("resnet18")), "classes": names, "detector": to_plain(detector)}
    publish(tmp_path / "a.safetensors", {"model.w": torch.zeros(6_000_000)}, facts)
    with pytest.raises(CheckpointError, match="describes a detector"):
        load_detector(tmp_path / "a.safetensors")


@pytest.mark.parametrize("weights", ["zz", "", None, 1, "best", "ema"])
def test_a_saved_folder_has_one_set_of_weights(weights: Any, tmp_path: Path) -> None:
    folder = residua.save(build(arch()), tmp_path / "saved")
    with pytest.raises(ConfigError, match="auto"):
        residua.load(folder, weights=weights)


def test_a_state_is_not_taken_for_the_best_weights(tmp_path: Path) -> None:
    run = fresh(tmp_path, recipe(), colours())
    with pytest.raises(CheckpointError, match="best"):
        residua.load(checkpoint.list_checkpoints(run.checkpoints)[0], weights="best")


def test_values_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="frozen"):
        create_model("cifar_resnet20", norm="zz")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="centre"):
        load(build(arch()), {}, inflation="zz")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="zz"):
        create_model("cifar_resnet20", weights="zz")
    with pytest.raises(CheckpointError, match="zz"):
        create_model("cifar_resnet20", weights="zz.pth")
