"""Hub: what is pushed is what is pulled, against a hub made of folders."""

import inspect
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi, ModelCard, snapshot_download

import residua
from residua.errors import CheckpointError, ConfigError
from residua.nn.network import build
from residua.predict.classifier import Classifier
from residua.runs.run import Run
from small import COLOURS, arch, file_of, flip, photo_folder, recipe


class LocalHub:
    """A hub whose repositories are folders; it takes what `huggingface_hub` takes, and nothing else."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls, self.local = root, [], []

    def HfApi(self) -> "LocalHub":  # noqa: N802 (the library's name)
        return self

    def create_repo(self, repo_id: str, *, private: bool | None, exist_ok: bool) -> None:
        assert exist_ok
        self.calls.append((repo_id, private))
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> SimpleNamespace:
        self.calls.append((repo_id, commit_message))
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return SimpleNamespace(commit_url=f"https://hub.example/{repo_id}/commit/1")

    def snapshot_download(
        self, repo_id: str, *, revision: str | None, allow_patterns: list[str], local_files_only: bool
    ) -> str:
        self.local.append(local_files_only)
        self.calls.append((repo_id, revision))
        snapshot = self.root / "cache"
        shutil.rmtree(snapshot, ignore_errors=True)
        snapshot.mkdir()
        for name in allow_patterns:
            (snapshot / name).symlink_to(self.root / repo_id / name)  # as the library's cache does
        return str(snapshot)


@pytest.fixture
def hub(online: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    local_hub: Any = LocalHub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", local_hub)
    monkeypatch.setattr("residua.predict.hub.check_hub", lambda *_, **__: None)
    return local_hub


def test_what_is_pushed_is_what_is_pulled(hub: LocalHub) -> None:
    network = build(arch())
    network.class_names = tuple(COLOURS)
    assert (
        residua.push_to_hub(network, "me/colours", private=True) == "https://hub.example/me/colours/commit/1"
    )
    pulled = residua.from_hub("me/colours", revision="v1")
    assert hub.calls == [("me/colours", True), ("me/colours", "tiny by residua"), ("me/colours", "v1")]
    assert pulled.classes == tuple(COLOURS)
    pairs = zip(network.state_dict().values(), pulled.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("variable", ["", "RESIDUA_OFFLINE", "HF_HUB_OFFLINE"])
def test_the_library_uses_its_cache_alone_where_downloads_are_forbidden(
    hub: LocalHub, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    residua.push_to_hub(build(arch()), "me/colours")
    if variable:
        monkeypatch.setenv(variable, "1")
    residua.from_hub("me/colours")
    assert hub.local == [bool(variable)]


def test_a_damaged_copy_is_refused(hub: LocalHub) -> None:
    residua.push_to_hub(build(arch()), "me/colours")
    flip(hub.root / "me/colours/model.safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        residua.from_hub("me/colours")


def test_the_real_library_takes_the_words_that_the_stand_in_takes() -> None:
    for real, ours in (
        (HfApi.create_repo, LocalHub.create_repo),
        (HfApi.upload_folder, LocalHub.upload_folder),
    ):
        assert set(inspect.signature(ours).parameters) <= set(inspect.signature(real).parameters)
    parameters = set(inspect.signature(LocalHub.snapshot_download).parameters) - {"self"}
    assert parameters <= set(inspect.signature(snapshot_download).parameters)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    photos = photo_folder(tmp_path_factory.mktemp("private") / "photos")
    out = tmp_path_factory.mktemp("run")
    file = file_of(recipe("", arch=arch()), out / "recipe.json")
    return residua.train(photos, recipe=str(file), out=out / "run", progress=False)


@pytest.mark.parametrize("form", ["run", "path"])
def test_a_run_is_pushed_with_a_card_that_tells_what_it_measured(form: str, run: Run, hub: LocalHub) -> None:
    residua.push_to_hub(
        run if form == "run" else str(run.path), "me/colours", license_name="apache-2.0", message="first"
    )
    card = ModelCard((hub.root / "me/colours/README.md").read_text())
    error = run.metrics[-1]["test_error"]
    front = card.data.to_dict()
    assert (front["license"], front["library_name"]) == ("apache-2.0", "residua")
    assert {"residua", "image-classification"} <= set(card.data.tags)
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_value) == ("photos", pytest.approx(1 - error / 100, abs=1e-6))
    for words in (f"{error:.2f} %", "n = 6", "3 classes (blue, green, red)", "recipe `tests`", '"lr": 0.05'):
        assert words in card.text
    assert 'residua.from_pretrained("me/colours")' in card.text
    picture = np.full((12, 12, 3), 200, np.uint8)
    assert residua.from_pretrained("me/colours")(picture) == run.predictor(device="cpu")(picture)


def test_a_card_names_no_folder_of_the_machine(run: Run, hub: LocalHub) -> None:
    residua.push_to_hub(run, "me/colours")
    card = (hub.root / "me/colours/README.md").read_text()
    assert str(run.path) not in card
    assert "private" not in card
    assert "license" not in card


def test_a_network_alone_has_a_card_without_numbers(hub: LocalHub) -> None:
    network = build(arch())
    network.class_names = ('a"b', "c: d", "\u202ee")
    for trained in (network, Classifier(network.eval())):
        residua.push_to_hub(trained, "me/colours")
        card = ModelCard((hub.root / "me/colours/README.md").read_text())
        assert card.data.eval_results is None
        assert "Nothing is known" in card.text
        assert "\u202e" not in card.text


def test_pretrained_names_save_and_load_as_the_others(run: Run, tmp_path: Path) -> None:
    classifier = residua.from_pretrained(run.path, device="cpu")
    classifier.save_pretrained(tmp_path / "one")
    residua.save_pretrained(classifier.network, tmp_path / "two")
    with pytest.raises(FileExistsError, match="one"):
        classifier.save_pretrained(tmp_path / "one")
    picture = np.full((12, 12, 3), 200, np.uint8)
    for folder in ("one", "two"):
        assert residua.Classifier.from_pretrained(tmp_path / folder)(picture) == classifier(picture)


@pytest.mark.parametrize("place", ["nowhere", "./no/where", "/no/where", "a/b/c"])
def test_a_path_that_is_no_name_is_not_looked_for_on_a_hub(place: str, hub: LocalHub) -> None:
    with pytest.raises(CheckpointError, match=Path(place).name):
        residua.from_pretrained(place)
    assert hub.calls == []


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"pip install 'residua\[hub\]'"):
        residua.from_hub("me/colours")
