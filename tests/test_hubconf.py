"""torch.hub: every name is there, with the words of `create_model`."""

import importlib.util
from pathlib import Path

import pytest
import torch

import residua
from residua.spec import zoo

ROOT = str(Path(__file__).parents[1])


def test_every_name_is_listed_and_explained() -> None:
    spec = importlib.util.spec_from_file_location("hubconf", Path(ROOT, "hubconf.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(zoo.NAMES) <= {name for name in dir(module) if callable(getattr(module, name))}
    assert "num_classes" in module.iresnet50.__doc__
    assert all(importlib.util.find_spec(package) for package in module.dependencies)


@pytest.mark.parametrize("name", {zoo.arch(name).family: name for name in reversed(zoo.NAMES)}.values())
def test_a_name_of_every_family_is_loaded(name: str) -> None:
    with torch.device("meta"):
        network = torch.hub.load(ROOT, name, source="local", num_classes=7, pretrained=False)
    assert (network.arch.name, network.arch.classes) == (name, 7)


def test_weights_and_changes_go_through(tmp_path: Path) -> None:
    saved = residua.save(residua.create_model("cifar_resnet20", in_chans=1), tmp_path / "saved")
    network = torch.hub.load(ROOT, "cifar_resnet20", source="local", weights=saved, in_chans=1)
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 10)
    with pytest.raises(RuntimeError, match="Cannot find callable resnet51"):
        torch.hub.load(ROOT, "resnet51", source="local")
