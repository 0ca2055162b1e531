"""Hub: what is pushed is what is pulled, against a hub made of folders."""

import inspect
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, snapshot_download

import residua
from residua.errors import CheckpointError, ConfigError
from residua.nn.network import build
from small import COLOURS, arch, flip


class LocalHub:
    """A hub whose repositories are folders; it takes what `huggingface_hub` takes, and nothing else."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls = root, []

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
        assert not local_files_only
        self.calls.append((repo_id, revision))
        snapshot = self.root / "cache"
        shutil.rmtree(snapshot, ignore_errors=True)
        snapshot.mkdir()
        for name in allow_patterns:
            (snapshot / name).symlink_to(self.root / repo_id / name)  # as the library's cache does
        return str(snapshot)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
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


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"pip install 'residua\[hub\]'"):
        residua.from_hub("me/colours")
