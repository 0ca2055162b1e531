"""timm: every name of ours is one of its names, and its own stay its own."""

from pathlib import Path

import pytest
import timm
import timm.data
import torch

import residua
import residua.timm as ours
from few import one_of_each_family
from residua.errors import ConfigError, UnreachableError
from residua.nn.network import Network
from residua.spec import zoo

TINY = "cifar_resnet20"


@pytest.mark.parametrize("name", one_of_each_family(n for n in zoo.NAMES if zoo.arch(n).depth() < 1000))
def test_every_name_is_created_by_timm(name: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(f"residua_{name}", num_classes=7)
    assert isinstance(network, Network)
    assert (network.arch.name, network.arch.classes, network.num_classes) == (name, 7, 7)


def test_a_bare_name_is_ours_unless_timm_has_it() -> None:
    with torch.device("meta"):
        networks = {
            name: timm.create_model(name, num_classes=7) for name in ("resnet50", "iresnet50", "vgg16")
        }
    assert {name: isinstance(network, Network) for name, network in networks.items()} == {
        "resnet50": False,
        "iresnet50": True,
        "vgg16": False,
    }
    for name in zoo.NAMES:
        owner = timm.models.model_entrypoint(name).__module__
        assert owner.startswith("residua") == (name in ours.__all__), name


def test_timms_own_names_stay_its_own() -> None:
    assert "resnet50" not in ours.__all__
    assert "residua_resnet50" in ours.__all__
    assert type(timm.create_model("resnet18")).__module__ == "timm.models.resnet"
    assert set(timm.list_models("residua_*")) == {f"residua_{name}" for name in zoo.NAMES}
    assert timm.list_models("iresnet50*") == ["iresnet50", "iresnet50_released"]


@pytest.mark.parametrize("name", [TINY, "residua_resnet18"])
def test_timms_data_config_is_our_preprocessing(name: str) -> None:
    network = timm.create_model(name)
    config = timm.data.resolve_model_data_config(network)
    preprocess = network.preprocess
    assert config["input_size"] == (3, preprocess.size, preprocess.size)
    assert (tuple(config["mean"]), tuple(config["std"])) == (preprocess.mean, preprocess.std)
    assert config["interpolation"] == preprocess.interpolation
    assert config["crop_pct"] == preprocess.size / preprocess.resize
    resize = timm.data.create_transform(**config).transforms[0]
    assert resize.size in (preprocess.resize, (preprocess.resize, preprocess.resize))


def test_grey_images_and_no_classes() -> None:
    network = timm.create_model(TINY, in_chans=1, num_classes=0)
    assert timm.data.resolve_model_data_config(network)["input_size"] == (1, 32, 32)
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, network.num_features)
    assert network.num_classes == 0


def test_features_say_how_wide_and_how_small_they_are() -> None:
    network = timm.create_model(TINY, features_only=True, out_indices=(1, -1))
    maps = network(torch.zeros(1, 3, 32, 32))
    assert network.feature_info.channels() == [m.shape[1] for m in maps] == [16, 64]
    assert network.feature_info.reduction() == [32 // m.shape[2] for m in maps] == [1, 4]
    assert network.feature_info.module_name() == ["stages.0", "stages.2"]


def test_a_saved_folder_is_a_timm_model(tmp_path: Path) -> None:
    network = residua.create_model(TINY, num_classes=3)
    network.class_names = ("a", "b", "c")
    folder = residua.save(network, tmp_path / "saved")
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True)
    pairs = zip(network.state_dict().values(), loaded.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert loaded.class_names == ("a", "b", "c")
    assert loaded.pretrained_cfg["num_classes"] == 3


def test_weights_that_are_not_there_are_said_to_be_missing() -> None:
    with pytest.raises(UnreachableError, match=TINY):
        timm.create_model(TINY, pretrained=True)
    with pytest.raises(ConfigError, match="resmlp"):
        timm.create_model("residua_resmlp", pretrained=True)


def test_a_checkpoint_path_is_read_by_timm_itself(tmp_path: Path) -> None:
    network = residua.create_model(TINY)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "a.pth")
    loaded = timm.create_model(TINY, checkpoint_path=str(tmp_path / "a.pth"))
    assert torch.equal(loaded.stem.conv1.weight, network.stem.conv1.weight)


@pytest.mark.parametrize("name", ["cifar_resnet1001", "cifar_preresnet1001"])
def test_new_networks_start_as_their_shortcuts_as_in_timm(name: str) -> None:
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert timm.create_model(f"residua_{name}").eval()(x).isfinite().all()
        drawn = timm.create_model(f"residua_{name}", zero_init_last=False).eval()
        assert not drawn(x).isfinite().all()
