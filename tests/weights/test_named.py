"""From what a user writes to weights: names, hubs, files, folders, and what they bring."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

import residua
from released import READS, ROW, in_catalogue, released, shaken
from residua.errors import CheckpointError, ConfigError, UnreachableError
from residua.files import cache_folder, file_sha256
from residua.nn.network import build
from residua.spec.named_network import arch_of
from residua.weights import caches, hub_folder, save_as
from residua.weights.fill import check_network, fill
from residua.weights.named import (
    is_path,
    is_trained,
    names_weights,
    open_record,
    open_weights,
    read_record,
)

RESNET = {
    "architecture": "resnet18",
    "num_classes": 5,
    "pretrained_cfg": {
        "input_size": [3, 96, 96],
        "crop_pct": 0.95,
        "interpolation": "bicubic",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "num_classes": 5,
        "license": "apache-2.0",
        "label_names": list("abcde"),
    },
}


def repository(name: str, config: object, state: "dict[str, torch.Tensor] | None" = None) -> Path:
    """A repository of the hub in the cache of residua."""
    folder = cache_folder() / "weights" / "hub" / name.replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if state is not None:
        safetensors.torch.save_file(state, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("cifar_resnet20.tests.v1", ""),
        ("tests.v1", "cifar_resnet20"),
        ("auto", "cifar_resnet20"),
        ("imagenet", "cifar_resnet20:num_classes=3"),
        ("cifar_resnet20", ""),
    ],
)
def test_a_name_brings_network_pixels_classes_and_licence(
    text: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, network = released(monkeypatch)
    opened = open_weights(text, model)
    assert opened.arch == replace(network.arch, preprocess=READS)
    assert (opened.preprocess, opened.classes[:2]) == (READS, ("airplane", "automobile"))
    assert opened.provenance
    digest = file_sha256(caches.own_path(row))
    assert (opened.provenance.name, opened.provenance.licence) == (row.name, "MIT")
    assert opened.record == f"cifar_resnet20.tests.v1@sha256:{digest}"
    assert read_record(opened.record) == (row.name, digest)
    filled = fill(build(arch_of("cifar_resnet20")), opened)
    assert "cifar names" in filled
    ours = build(arch_of("cifar_resnet20")).eval()
    fill(ours, opened)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(ours(images), network(images))
    assert (ours.class_names, ours.pretrained_from) == (opened.classes, opened.provenance)


def test_a_name_without_network_takes_the_one_that_the_data_would_get(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released(monkeypatch)
    for text in ("auto", "tests.v1"):
        assert open_weights(text, default="cifar_resnet20").arch
        with pytest.raises(ConfigError, match="resnet18"):
            open_weights(text, "resnet18", default="cifar_resnet20")
        with pytest.raises(ConfigError, match=text):
            open_weights(text)


def test_a_wrong_name_is_answered_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    released(monkeypatch)
    with pytest.raises(ConfigError, match=r"tests\.v1"):
        open_weights("test.v1", "cifar_resnet20")


@pytest.mark.parametrize("text", ["missing.pth", "/no/such/run", "./no", "runs/gone"])
def test_a_path_that_is_missing_is_no_name(text: str) -> None:
    with pytest.raises(CheckpointError, match=text):
        open_weights(text)


def test_weights_that_are_not_here_say_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = released(monkeypatch)
    caches.own_path(row).unlink()
    with pytest.raises(UnreachableError, match=row.urls[0]) as error:
        open_weights(row.name)
    assert str(caches.own_path(row)) in str(error.value)


def test_a_licence_that_forbids_uses_is_accepted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = released(monkeypatch, licence="CC-BY-NC-4.0")
    assert open_weights(row.name).provenance
    caches.own_path(row).unlink()
    with pytest.raises(ConfigError, match="--accept-licence"):
        open_weights(row.name)


def test_published_weights_of_another_function_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and shapes of all tensors are the same."""
    row, _ = released(monkeypatch)
    opened = open_weights(row.name)
    check_network(opened, arch_of("cifar_resnet20", num_classes=3, in_chans=1, drop_path_rate=0.1))
    for other in ("cifar_plain20", "cifar_resnet20:shortcut=scale0.5"):
        with pytest.raises(ConfigError, match="cifar_resnet20"):
            check_network(opened, arch_of(other))


def test_where_a_file_comes_from_decides_between_v1_and_v15(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"name": "resnet50.tests.v1", "model": "resnet50", "dialect": "torchvision", "classes": ""}
    row, _ = released(monkeypatch, **names)
    opened = open_weights(row.name)
    assert any("3x3 (V1.5)" in note for note in opened.notes)
    assert "fits" not in fill(build(arch_of("resnet50")), opened)
    with pytest.raises(ConfigError, match="resnet50"):
        check_network(opened, arch_of("resnet50_v1"))


def test_the_file_of_a_published_name_is_known_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _ = released(monkeypatch)
    file = tmp_path / row.file
    file.write_bytes(caches.own_path(row).read_bytes())
    assert open_weights(str(file)).preprocess is None
    in_catalogue(monkeypatch, replace(row, sha256=file_sha256(file)[:8]))
    assert open_weights(str(file)).preprocess == READS
    in_catalogue(monkeypatch, replace(row, sha256="0" * 8))
    assert open_weights(str(file)).preprocess is None


def test_a_record_is_read_from_the_caches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = released(monkeypatch)
    monkeypatch.delenv("RESIDUA_OFFLINE")
    record = open_weights(row.name).record
    monkeypatch.setattr("socket.socket", None)
    assert open_record(record).provenance
    with pytest.raises(CheckpointError, match="SHA-256"):
        open_record(record[:-1] + ("1" if record[-1] == "0" else "0"))
    caches.own_path(row).unlink()
    for text in (record, f"hf:nobody/nothing@sha256:{'0' * 64}"):
        with pytest.raises(ConfigError, match=r"weights"):
            open_record(text)


def test_a_repository_of_timm_says_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    in_catalogue(monkeypatch, ROW)
    theirs = timm.create_model("resnet18", num_classes=5)
    repository("somebody/resnet18.flowers", RESNET, theirs.state_dict())
    for prefix in ("hf:", "hf-hub:"):
        opened = open_weights(f"{prefix}somebody/resnet18.flowers")
        assert opened.arch
        assert (opened.arch.name, opened.arch.classes, opened.classes) == ("resnet18", 5, tuple("abcde"))
        assert opened.preprocess
        assert (opened.preprocess.size, opened.preprocess.resize) == (96, 101)
        assert opened.provenance
        assert (opened.provenance.name, opened.provenance.licence) == (
            "hf:somebody/resnet18.flowers",
            "apache-2.0",
        )
    ours = build(opened.arch).eval()
    fill(ours, opened)
    images = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs.eval()(images), atol=1e-5, rtol=1e-5)


def test_a_repository_that_forbids_commercial_use_is_downloaded_only_when_that_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {**RESNET, "pretrained_cfg": {**RESNET["pretrained_cfg"], "license": "cc-by-nc-sa-4.0"}}
    folder = repository("somebody/flowers", config)
    with pytest.raises(ConfigError, match="flowers is published under cc-by-nc-sa-4"):
        open_weights("hf:somebody/flowers")
    monkeypatch.setenv("RESIDUA_ACCEPT_LICENCE", "CC-BY-NC-SA-4.0")
    with pytest.raises(UnreachableError, match=r"model\.safetensors"):  # the tests forbid downloads
        open_weights("hf:somebody/flowers")
    monkeypatch.delenv("RESIDUA_ACCEPT_LICENCE")
    theirs = timm.create_model("resnet18", num_classes=5)
    safetensors.torch.save_file(theirs.state_dict(), folder / "model.safetensors")
    for download in (True, False):  # the user has it, accepted elsewhere
        assert open_weights("hf:somebody/flowers", download=download).provenance


def test_a_repository_of_another_network_is_refused_before_its_weights_are_read() -> None:
    repository("somebody/vit", {**RESNET, "architecture": "resnet26"})
    with pytest.raises(CheckpointError, match="resnet26"):
        open_weights("hf:somebody/vit")


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": 7},
        {"pretrained_cfg": {**RESNET["pretrained_cfg"], "label_names": [*"abcd", "\ud800"]}},  # type: ignore[dict-item]
        {"pretrained_cfg": {**RESNET["pretrained_cfg"], "input_size": "wide"}},  # type: ignore[dict-item]
        {"pretrained_cfg": {**RESNET["pretrained_cfg"], "crop_pct": 0}},  # type: ignore[dict-item]
        {"pretrained_cfg": {**RESNET["pretrained_cfg"], "num_classes": "many"}},  # type: ignore[dict-item]
        {"pretrained_cfg": {**RESNET["pretrained_cfg"], "mean": None}},  # type: ignore[dict-item]
        {"model_args": {"block_args": 1}},
    ],
)
def test_a_damaged_config_is_refused_by_its_name(change: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(RESNET | change))
    with pytest.raises(CheckpointError, match="somebody/net"):
        hub_folder.check_config(tmp_path, "somebody/net")


def test_a_repository_of_ours_is_a_saved_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    in_catalogue(monkeypatch, ROW)
    network = shaken("cifar_resnet20", num_classes=2)
    network.class_names = ("cat", "dog")
    folder = repository("somebody/pets", {})
    residua.save(network, folder, force=True)
    opened = open_weights("hf:somebody/pets")
    assert (opened.arch, opened.classes) == (network.arch, ("cat", "dog"))


def test_timm_takes_the_tag_that_timm_itself_takes() -> None:
    for name, tag in hub_folder.TAGS.items():
        assert timm.models.get_pretrained_cfg(name).tag == tag
        assert hub_folder.timm_repository(name) == f"timm/{name}.{tag}"
    assert hub_folder.timm_repository("resnet18.a2_in1k") == "timm/resnet18.a2_in1k"
    for wrong in ("resnet18d", "resnet200", "resnet18.", "vit_base"):
        with pytest.raises(ConfigError, match=wrong.rstrip(".")):
            hub_folder.timm_repository(wrong)


def test_a_folder_that_only_has_the_name_of_weights_is_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`imagenet` often is a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    assert not is_path("imagenet")
    residua.save(shaken("cifar_resnet20"), "imagenet")
    assert is_path("imagenet")


def test_a_folder_without_weights_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="folder without weights"):
        open_weights(str(tmp_path))


def test_networks_and_weights_are_told_apart() -> None:
    for text in ("timm:resnet18", "hf:a/b", "resnet50.torchvision.v2", "resnet18.a1_in1k"):
        assert names_weights(text)
        assert is_trained(text)
    for text in ("resnet18", "resnet34:shortcut=scale0.5", "ssd300_resnet18", "net.json"):
        assert not names_weights(text)
    assert is_trained("resnet18")
    assert not is_trained("missing.safetensors")


def test_a_bare_file_is_the_network_that_alone_has_its_names_and_shapes(tmp_path: Path) -> None:
    torch.save(
        save_as(shaken("cifar_resnet20:shortcut=B", num_classes=7), "torchvision"), tmp_path / "net.pth"
    )
    opened = open_weights(str(tmp_path / "net.pth"))
    assert opened.arch
    assert (opened.arch.name, opened.arch.classes) == ("cifar_resnet20:shortcut=B", 7)
    assert opened.preprocess is None
    torch.save(save_as(shaken("cifar_plain20"), "cifar"), tmp_path / "two.pth")
    with pytest.raises(ConfigError, match="cifar_plain20 and cifar_resnet20"):
        residua.create_model(weights=tmp_path / "two.pth")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="no listed network"):
        residua.create_model(weights=tmp_path / "none.pth")
