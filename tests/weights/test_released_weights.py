"""The catalogue of released weights: every row agrees with the package of its owner, every name is found."""

import importlib.resources
import math
import re
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from timm.data import resolve_data_config

from few import few_of
from residua.errors import ConfigError
from residua.files import file_sha256
from residua.nn.network import build
from residua.spec.named_network import arch_of
from residua.weights import catalogue, save_as
from residua.weights.catalogue import ReleasedWeights

ALL = catalogue.entries()
REAL = Path(__file__).parents[3] / "shared/data/weights"
"""Files that a few owners released; without them their digests are not compared."""
TORCHVISION = {
    "resnext50_32x4d": "ResNeXt50_32X4D",
    "wide_resnet50_2": "Wide_ResNet50_2",
    "googlenet": "GoogLeNet",
    "alexnet": "AlexNet",
    "resnet3d18": "R3D_18",
}
"""Our name -> how torchvision begins the name of the weights, where another rule holds."""
SPDX = {"apache-2.0": "Apache-2.0", "bsd-3-clause": "BSD-3-Clause", "cc-by-nc-4.0": "CC-BY-NC-4.0"}
NETWORKS = list({(entry.model, entry.dialect): entry for entry in reversed(ALL)}.values())
SMALL = (
    "resnet18",
    "preresnet18",
    "cifar_resnet20",
    "cifar_plain20",
    "resnet3d18",
    "googlenet",
    "resgroup50",
)
FEW = [entry for entry in NETWORKS if entry.network in SMALL]


def of(owner: str) -> list[ReleasedWeights]:
    return [entry for entry in ALL if entry.name.split(".")[1] == owner]


def name(entry: ReleasedWeights) -> str:
    return entry.name


def torchvision_weights(entry: ReleasedWeights) -> torchvision.models.WeightsEnum:
    """What torchvision says of the weights."""
    theirs = TORCHVISION.get(entry.network) or re.sub(
        "^resnet", "ResNet", entry.network.replace("vgg", "VGG")
    )
    data = "KINETICS400" if entry.classes == "kinetics400" else "IMAGENET1K"
    tag = f"{data}_{entry.name[-2:].upper()}"
    if entry.classes == "kinetics400":
        return torchvision.models.video.R3D_18_Weights[tag]
    return torchvision.models.get_weight(f"{theirs.replace('bn', 'BN')}_Weights.{tag}")


@pytest.mark.parametrize("entry", of("torchvision"), ids=name)
def test_a_row_of_torchvision_says_what_torchvision_says(entry: ReleasedWeights) -> None:
    weights = torchvision_weights(entry)
    preset = weights.transforms()
    assert entry.urls == (weights.url,)
    assert entry.file == weights.url.rpartition("/")[2]
    assert f"-{entry.sha256}." in entry.file
    assert entry.size == round(weights.meta["_file_size"] * 2**20)
    assert entry.top1 == next(iter(weights.meta["_metrics"].values()))["acc@1"]
    assert list(catalogue.class_names(entry)) == weights.meta["categories"]
    ours = entry.preprocess
    assert (ours.size, ours.resize) == (preset.crop_size[0], preset.resize_size[0])
    assert ours.interpolation == preset.interpolation.value
    mean, std = torch.tensor(preset.mean), torch.tensor(preset.std)
    if entry.network == "googlenet":  # its network shifts the pixels to these, ours does not
        mean = std = torch.full((3,), 0.5)
    torch.testing.assert_close(torch.tensor(ours.mean), mean)
    torch.testing.assert_close(torch.tensor(ours.std), std)


def test_every_version_of_torchvision_is_listed() -> None:
    for entry in of("torchvision"):
        versions = [version for version in type(torchvision_weights(entry)) if "FEATURES" not in version.name]
        listed = [other for other in of("torchvision") if other.network == entry.network]
        assert len(listed) == len(versions), entry.network


@pytest.mark.parametrize("entry", of("timm") + of("fb"), ids=name)
def test_a_row_of_timm_says_what_timm_says(entry: ReleasedWeights) -> None:
    theirs = entry.hub.removeprefix("timm/")
    config = timm.models.get_pretrained_cfg(theirs, allow_unregistered=False)
    assert config is not None
    assert config.hf_hub_id == entry.hub
    assert entry.licence == SPDX[config.license]
    is_test_size = bool(config.test_input_size) and config.test_input_size[1] == entry.preprocess.size
    facts = resolve_data_config(pretrained_cfg=config.to_dict(), use_test_size=is_test_size)
    assert facts["input_size"] == (3, entry.preprocess.size, entry.preprocess.size)
    assert entry.preprocess.resize == math.floor(entry.preprocess.size / facts["crop_pct"])
    assert (entry.preprocess.mean, entry.preprocess.std) == (facts["mean"], facts["std"])
    assert entry.preprocess.interpolation == facts["interpolation"]
    assert config.num_classes == len(catalogue.class_names(entry))
    if config.test_input_size and config.test_input_size[1] == 288:
        assert f"one of 288 from {math.floor(288 / config.test_crop_pct)}" in entry.protocol


@pytest.mark.parametrize("entry", few_of(NETWORKS, FEW), ids=lambda each: f"{each.model}-{each.dialect}")
def test_the_network_of_a_row_has_the_tensors_of_its_owner(entry: ReleasedWeights) -> None:
    with torch.device("meta"):
        network = build(arch_of(entry.model))
        theirs = peer(entry)
    ours = {key: tuple(value.shape) for key, value in save_as(network, entry.dialect).items()}
    assert network.arch.classes == len(catalogue.class_names(entry))
    tensors = (theirs or network).state_dict().values()  # theirs has auxiliary heads, too
    megabytes = sum(value.numel() * value.element_size() for value in tensors) / 1e6
    is_half = entry.file == "wide_resnet50_2-95faca4d.pth"  # published in half precision
    assert entry.size / 1e6 * (2 if is_half else 1) == pytest.approx(megabytes, rel=0.1, abs=0.15)
    if theirs is None:
        return
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert ours == {key: shape for key, shape in expected.items() if not key.startswith("aux")}


def peer(entry: ReleasedWeights) -> torch.nn.Module | None:
    """The owner's own network of a row, on the meta device; None where no package has it."""
    owner = entry.name.split(".")[1]
    if owner in ("timm", "fb"):
        return timm.create_model(entry.hub.removeprefix("timm/").partition(".")[0])
    if owner == "torchvision" and entry.classes == "kinetics400":
        return torchvision.models.video.r3d_18()
    if owner == "torchvision":
        options = {"init_weights": False} if entry.network == "googlenet" else {}
        return torchvision.models.get_model(entry.network, **options)
    return None


@pytest.mark.parametrize(
    ("entry", "shortcut"),
    [
        ("cifar_resnet20.akamaster", ""),
        ("cifar_resnet20.a-martyn", ""),
        ("cifar_resnet20.chenyaofo.cifar10", "layer2.0.downsample.0.weight"),
        ("cifar_resnet20.chenyaofo.cifar100", "layer2.0.downsample.0.weight"),
        ("resstage50_released.iduta", "layer1.0.downsample.0.weight"),
        ("iresnet50_released.iduta", "layer1.0.downsample.1.weight"),  # behind a pool
    ],
)
def test_shortcuts_have_the_tensors_of_the_code_that_no_package_holds(entry: str, shortcut: str) -> None:
    released = catalogue.find(entry)
    with torch.device("meta"):
        names = save_as(build(arch_of(released.model)), released.dialect)
    assert next((name for name in names if re.search("downsample|shortcut", name)), "") == shortcut


def test_rows_are_whole() -> None:
    names = [entry.name for entry in ALL]
    assert len(names) == len(set(names)) > 100
    for entry in ALL:
        assert re.fullmatch(r"[a-z0-9_]+\.[a-z-]+(\.[a-z0-9]+)?", entry.name), entry.name
        assert entry.model.partition(":")[0] == entry.network
        assert bool(entry.urls) != bool(entry.hub)
        assert all(url.startswith("https://") for url in (*entry.urls, entry.source))
        assert re.fullmatch("|[0-9a-f]{8}|[0-9a-f]{64}", entry.sha256)
        assert entry.top1 is None or 50 < entry.top1 < 95
        assert entry.size > 500_000
    files = [entry.urls for entry in ALL if entry.urls]
    assert len(files) == len(set(files))


def test_only_what_facebook_released_forbids_commercial_use() -> None:
    assert {entry.name.split(".")[1] for entry in ALL if not entry.is_permissive} == {"fb"}
    assert len(of("fb")) == 6


def test_a_digest_in_the_name_of_a_file_is_that_of_the_row() -> None:
    in_name = {entry.name: re.search(r"-([0-9a-f]{8})\.\w+$", entry.file) for entry in ALL}
    assert sum(match is not None for match in in_name.values()) > 30
    for entry in ALL:
        if match := in_name[entry.name]:
            assert entry.sha256.startswith(match[1])


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no released files in {REAL}")
def test_digests_and_sizes_are_those_of_the_files_that_are_here() -> None:
    compared = 0
    for entry in ALL:
        file = REAL / entry.name.split(".")[1] / entry.file
        if file.is_file():
            assert (entry.sha256, entry.size) == (file_sha256(file), file.stat().st_size)
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize(("classes", "count"), [("cifar10", 10), ("cifar100", 100)])
def test_the_classes_of_cifar_are_in_the_order_of_its_labels(classes: str, count: int) -> None:
    entry = next(entry for entry in ALL if entry.classes == classes)
    names = catalogue.class_names(entry)
    assert len(set(names)) == count
    assert list(names) == sorted(names)  # both number their classes by the alphabet


def test_the_rows_and_lists_are_part_of_the_package() -> None:
    package = importlib.resources.files("residua.weights")
    assert package.joinpath("catalogue.json").is_file()
    assert {entry.classes for entry in ALL} == {
        path.name.removesuffix(".txt") for path in package.joinpath("classes").iterdir()
    }


@pytest.mark.parametrize(
    ("text", "model", "expected"),
    [
        ("resnet50.torchvision.v2", "", "resnet50.torchvision.v2"),
        ("torchvision.v2", "resnet50", "resnet50.torchvision.v2"),
        ("timm.a1", "resnet18:num_classes=10", "resnet18.timm.a1"),
        ("akamaster", "cifar_resnet56", "cifar_resnet56.akamaster"),
        ("IMAGENET1K_V1", "resnet18", "resnet18.torchvision.v1"),
        ("ResNet50_Weights.IMAGENET1K_V2", "", "resnet50.torchvision.v2"),
        ("ResNet18_Weights.DEFAULT", "", "resnet18.torchvision.v1"),
        ("ResNet50_Weights.DEFAULT", "resnet50", "resnet50.torchvision.v2"),
        ("R3D_18_Weights.KINETICS400_V1", "", "resnet3d18.torchvision.v1"),
        ("resnet18.a1_in1k", "", "resnet18.timm.a1"),
        ("timm/resnetv2_34.ra4_e3600_r224_in1k", "", "preresnet34.timm.ra4"),
        ("a1h_in1k", "preresnet50:opening=timm", "preresnet50.timm.a1h"),
        ("resnet50.fb_swsl_ig1b_ft_in1k", "", "resnet50.fb.swsl"),
        ("auto", "resnet18", "resnet18.timm.a1"),
        ("True", "resnet18", "resnet18.timm.a1"),
        ("resnet18", "", "resnet18.timm.a1"),
        ("resnet18", "resnet50", "resnet18.timm.a1"),
        ("cifar_resnet20", "", "cifar_resnet20.akamaster"),
        ("cifar_resnet20:shortcut=B", "", "cifar_resnet20.chenyaofo.cifar10"),
        ("chenyaofo", "cifar_resnet20:num_classes=100", "cifar_resnet20.chenyaofo.cifar100"),
        ("auto", "preresnet50", "preresnet50.timm.a1h"),
        ("timm", "resnet34", "resnet34.timm.ra4"),
        ("fb", "resnet50", "resnet50.fb.swsl"),
    ],
)
def test_weights_are_found_by_every_name_they_have(text: str, model: str, expected: str) -> None:
    assert catalogue.find(text, model).name == expected


def test_every_entry_is_found_by_its_name_and_by_the_part_behind_its_network() -> None:
    for entry in ALL:
        assert catalogue.find(entry.name) is entry
        assert catalogue.find(entry.name.partition(".")[2], entry.model) is entry
        if entry.hub:
            assert catalogue.find(entry.hub) is entry


@pytest.mark.parametrize(
    ("text", "model", "match"),
    [
        ("torchvison.v2", "resnet50", "torchvision.v2"),
        ("torchvision.v2", "resnet18", "torchvision.v1"),
        ("resnet18.timm.a9", "", "resnet18.timm.a"),
        ("timm.a1", "", "resnet18.timm.a1"),
        ("auto", "", "which network"),
        ("auto", "plain34", "plain34"),
        ("auto", "iresnet50", "iresnet50_released"),
        ("iduta", "iresnet50", "iresnet50_released.iduta"),
        ("torchvision.v1", "plain34", "none of this network"),
        ("auto", "resnet5000", "resnet5000"),
        ("", "resnet50", "torchvision.v1"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(text: str, model: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        catalogue.find(text, model)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("resnet50", "resnet50.torchvision.v2"),
        ("resnet50:num_classes=10", "resnet50.torchvision.v2"),
        ("resnet34:shortcut=B", "resnet34.timm.ra4"),
        ("wide_resnet50_2", "wide_resnet50_2.torchvision.v2"),
        ("cifar_resnet20", "cifar_resnet20.akamaster"),
        ("cifar_resnet20:shortcut=B,num_classes=100", "cifar_resnet20.chenyaofo.cifar100"),
        ("preresnet50:opening=timm", "preresnet50.timm.a1h"),
        ("preresnet50", None),
        ("resnet34:shortcut=A", None),
        ("resnet50_v1", None),
        ("iresnet50", None),
        ("plain34", None),
    ],
)
def test_the_best_weights_compute_what_the_network_does(model: str, expected: str | None) -> None:
    entry = catalogue.best(model)
    assert (entry and entry.name) == expected


def test_the_best_weights_allow_commercial_use_and_have_the_highest_published_accuracy() -> None:
    for network in {entry.network for entry in ALL}:
        entry = catalogue.best(next(each.model for each in ALL if each.network == network))
        assert entry is not None
        assert entry.is_permissive
        others = [other for other in ALL if other.model == entry.model and other.is_permissive]
        assert max(other.top1 or 0 for other in others) - (entry.top1 or 0) < catalogue.EQUAL


@pytest.mark.parametrize(
    ("pattern", "some", "count"),
    [
        ("resnet50", "resnet50.timm.a1", 12),
        ("timm.a1", "resnet101.timm.a1", 6),
        ("*_in1k", "resnet50.fb.ssl", 53),
        ("AKAMASTER", "cifar_resnet20.akamaster", 6),
        ("*", "alexnet.torchvision.v1", len(ALL)),
        ("nothing-like-it", "", 0),
    ],
)
def test_patterns_match_names_and_parts_of_them(pattern: str, some: str, count: int) -> None:
    names = [entry.name for entry in catalogue.entries(pattern)]
    assert len(names) == count
    assert not some or some in names
